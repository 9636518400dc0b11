import { assert, must } from '../../base/assert.ts';
import { type InodeId, ROOT_INODE } from '../../base/ids.ts';
import type { Caller } from './commands.ts';
import { MAY_EXECUTE, mayAccess } from './permissions.ts';
import { FileType, type Inode } from './rows.ts';
import type { MetadataState } from './state.ts';

/**
 * Where an inode's names are. The row of its inode knows one directory (`parent`); each further link of a file is counted
 * under the directory it lies in, in the table of links. So a file with one name, as nearly all have, needs no row
 * more, and which of a directory's entries it is does not matter: whoever may search the directory comes by any of them.
 */

/** How many directories of an inode are read at once. */
const PAGE_SIZE = 64;

/** The row with one name more, in `directory`. The caller writes it. */
export function withLink(state: MetadataState, inode: Inode, directory: InodeId): Inode {
  const linkCount = inode.linkCount + 1;
  if (inode.linkCount === 0) return { ...inode, linkCount, parent: directory };
  const count = state.tables.linksIn(inode.inode, directory);
  state.tables.putLinksIn(inode.inode, directory, count + 1);
  return { ...inode, linkCount };
}

/** The row with one name less, of those in `directory`. The caller writes it. */
export function withoutLink(state: MetadataState, inode: Inode, directory: InodeId): Inode {
  const linkCount = inode.linkCount - 1;
  if (linkCount === 0) return { ...inode, linkCount, parent: 0 };
  if (dropLinkRow(state, inode.inode, directory)) return { ...inode, linkCount };
  assert(inode.parent === directory, 'a link is in its inode or in the table of links');
  const [heir] = state.tables.linkDirectories(inode.inode, 0, 1);
  const parent = must(heir, 'a file with further names has rows of them');
  dropLinkRow(state, inode.inode, parent);
  return { ...inode, linkCount, parent };
}

/** Whether there was a link of that directory beside the inode's own. */
function dropLinkRow(state: MetadataState, inode: InodeId, directory: InodeId): boolean {
  const count = state.tables.linksIn(inode, directory);
  if (count === 0) return false;
  if (count === 1) state.tables.removeLinksIn(inode, directory);
  else state.tables.putLinksIn(inode, directory, count - 1);
  return true;
}

/** Whether the caller may search every directory from the root to one of the inode's names. */
export function isReachable(state: MetadataState, caller: Caller, inode: Inode): boolean {
  if (inode.inode === ROOT_INODE) return true;
  if (inode.linkCount === 0) return false;
  const first = must(inode.parent || undefined, 'what has a name has a parent');
  if (isPathSearchable(state, caller, first)) return true;
  const mayHaveMore = inode.linkCount > 1 && inode.type !== FileType.DIRECTORY;
  return mayHaveMore && isReachableByFurtherLinks(state, caller, inode.inode);
}

function isReachableByFurtherLinks(state: MetadataState, caller: Caller, inode: InodeId): boolean {
  for (let after: InodeId | 0 = 0; ; ) {
    const page = state.tables.linkDirectories(inode, after, PAGE_SIZE);
    if (page.some((directory) => isPathSearchable(state, caller, directory))) return true;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_SIZE) return false;
    after = last;
  }
}

/** The directory itself and all above it. */
function isPathSearchable(state: MetadataState, caller: Caller, directory: InodeId): boolean {
  for (let current = directory; ; ) {
    const row = state.inodeOf(current);
    if (!mayAccess(state, caller, row, MAY_EXECUTE)) return false;
    if (current === ROOT_INODE) return true;
    // The top of a tree that was removed.
    if (row.parent === 0) return false;
    current = row.parent;
  }
}
