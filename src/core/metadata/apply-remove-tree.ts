import { assert, must } from '../../base/assert.ts';
import type { InodeId } from '../../base/ids.ts';
import { refuse } from '../../base/result.ts';
import {
  dropLink,
  isEmpty,
  removable,
  removeInode,
  takeDirectory,
  takeDirectoryName,
  takeName,
} from './apply-remove.ts';
import type { Continued } from './commands.ts';
import { type Prepare, ready } from './prepared.ts';
import { FileType, type Time, type TreeRemoval } from './rows.ts';
import type { MetadataState } from './state.ts';

/** Removal of a tree: one command that takes it out of sight, and steps that remove what it was made of. */

const NO_NAME = new Uint8Array(0);
/** Entries that are read at once: those behind a directory are read again when it is gone. */
const PAGE_SIZE = 32;

/**
 * What is below is not looked at: whether the caller may remove that is known to who gives the command
 * (`tree-check.ts`), and what cannot have changed before this is applied.
 */
export const prepareRemoveTree: Prepare<'removeTree'> = (state, body, { context: { caller }, time }) => {
  const { parent, name } = body;
  const found = removable(state, caller, parent, name);
  if (!found.ok) return found;
  const { directory, inode } = found.value;
  if (inode.inode !== body.inode) {
    return refuse('VERSION_MISMATCH', `the name means inode ${inode.inode}, not ${body.inode}`);
  }
  const entry = { directory, name, inode };
  if (inode.type !== FileType.DIRECTORY) return ready(() => takeName(state, entry, time));
  if (isEmpty(state, inode.inode)) return ready(() => takeDirectory(state, entry, time));
  return ready(() => {
    takeDirectoryName(state, entry, time);
    const top = { ...inode, linkCount: 0, parent: 0 as const, ctime: time };
    state.tables.putInode(top);
    const { inode: id } = inode;
    const begun = { doneCount: 0, startedAt: time, uid: caller.uid };
    state.tables.putLongCommand({ kind: 'removal', id, at: id, ...begun });
    state.detached.begin(id);
    return { inode: top };
  });
};

export const prepareContinueLong: Prepare<'continueLong'> = (state, { id, count }, { time }) => {
  const command = state.longCommand(id);
  return ready(() =>
    command === undefined ? { files: [], ended: true } : removeSome(state, command, count, time),
  );
};

/**
 * Always the first entry of the directory where it stands, and the directory itself when that is empty: so nothing but that place
 * has to be remembered, however deep the tree is. Nobody else changes names there. Rows of directories that stay for
 * another step are left as they were: nobody sees their times and links.
 */
function removeSome(state: MetadataState, removal: TreeRemoval, count: number, time: Time): Continued {
  const { tables } = state;
  const files: InodeId[] = [];
  let { at, doneCount } = removal;
  for (let left = count; left > 0; ) {
    const { entries } = tables.dirents(at, NO_NAME, Math.min(left, PAGE_SIZE));
    if (entries.length === 0) {
      const { parent } = removeDirectory(state, at);
      left -= 1;
      doneCount += 1;
      if (at === removal.id) {
        tables.removeLongCommand(removal.id);
        state.detached.end(removal.id);
        return { files, ended: true };
      }
      at = must(parent || undefined, 'below the top of a tree every directory has a parent');
    }
    for (const { name, inode, type } of entries) {
      left -= 1;
      if (type === FileType.DIRECTORY) {
        at = inode;
        break;
      }
      tables.removeDirent(at, name);
      dropLink(state, state.inodeOf(inode), { directory: at, time });
      if (type === FileType.REGULAR) files.push(inode);
      doneCount += 1;
    }
  }
  tables.putLongCommand({ ...removal, at, doneCount });
  return { files, ended: false };
}

/** An empty one, with its name, which is the first in its parent. */
function removeDirectory(state: MetadataState, directory: InodeId): { parent: InodeId | 0 } {
  const row = state.inodeOf(directory);
  removeInode(state, row);
  if (row.parent === 0) return row;
  const [entry] = state.tables.dirents(row.parent, NO_NAME, 1).entries;
  assert(entry?.inode === directory, 'a tree goes in the order of its names');
  state.tables.removeDirent(row.parent, entry.name);
  return row;
}
