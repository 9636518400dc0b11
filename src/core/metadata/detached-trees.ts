import { type InodeId, ROOT_INODE } from '../../base/ids.ts';
import { FileType, type Inode } from './rows.ts';
import type { Tables } from './tables.ts';

/** Directories of further hard links that are read at once. */
const PAGE_SIZE = 64;

/**
 * Trees that lost their name and are being removed: their rows go in steps, and until then say what was. Here is what of them
 * counts no more. A directory belongs to one if the way up from it ends at its top, which has no parent; so whoever looks
 * while there are none pays nothing, and otherwise a row for each directory above.
 */
export class DetachedTrees {
  readonly #tables: Tables;
  /** Rows are the truth; this is which there are. */
  readonly #tops = new Set<InodeId>();

  constructor(tables: Tables) {
    this.#tables = tables;
    for (const { id } of tables.longCommands()) this.#tops.add(id);
  }

  get isNone(): boolean {
    return this.#tops.size === 0;
  }

  begin(top: InodeId): void {
    this.#tops.add(top);
  }

  end(top: InodeId): void {
    this.#tops.delete(top);
  }

  /** Whether it is gone for everybody: a file may be open, and is no more than unlinked. */
  hides(inode: Inode): boolean {
    if (this.isNone || inode.type === FileType.REGULAR) return false;
    if (inode.type === FileType.DIRECTORY) return this.#isBelow(inode.inode);
    return inode.linkCount > 0 && this.linkCountOf(inode) === 0;
  }

  /** Names by which it can be found. */
  linkCountOf(inode: Inode): number {
    const { parent, linkCount } = inode;
    if (this.isNone || parent === 0 || inode.type === FileType.DIRECTORY) return linkCount;
    let hidden = this.#isBelow(parent) ? 1 : 0;
    if (linkCount > 1) hidden += this.#hiddenFurtherLinks(inode.inode);
    return linkCount - hidden;
  }

  #hiddenFurtherLinks(inode: InodeId): number {
    let hidden = 0;
    for (let after: InodeId | 0 = 0; ; ) {
      const page = this.#tables.linkDirectories(inode, after, PAGE_SIZE);
      for (const directory of page)
        if (this.#isBelow(directory)) hidden += this.#tables.linksIn(inode, directory);
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_SIZE) return hidden;
      after = last;
    }
  }

  #isBelow(directory: InodeId): boolean {
    for (let current: InodeId | 0 = directory; current !== ROOT_INODE; ) {
      if (current === 0 || this.#tops.has(current)) return true;
      current = this.#tables.inode(current)?.parent ?? 0;
    }
    return false;
  }
}
