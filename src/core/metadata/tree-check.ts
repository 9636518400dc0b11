import type { Buffer } from 'node:buffer';
import { type InodeId, ROOT_INODE } from '../../base/ids.ts';
import { type Result, refuse } from '../../base/result.ts';
import { isEmpty } from './apply-remove.ts';
import type { Caller, Command, CommandResult, CommandResults } from './commands.ts';
import { denied, isOwner, MAY_EXECUTE, MAY_READ, MAY_WRITE, MODE_STICKY, mayAccess } from './permissions.ts';
import { FileType } from './rows.ts';
import type { MetadataState } from './state.ts';
import type { NamedDirent } from './tables.ts';
import { type TreeVisitor, TreeWalk } from './tree-walk.ts';

/** Directories of further hard links that are read at once. */
const PAGE_SIZE = 64;

/**
 * Whether a caller may remove a whole tree, as `rm -r` would have to: list, search and change each directory that is not empty,
 * and in a sticky one own it or all that is in it. The first thing that he may not is refused, with its path below the top.
 *
 * It goes in steps, between which the tree changes. What was looked at before is looked at again when a command changed
 * what counts there; so when nothing is left to look at, all of it holds at that moment.
 */
export class TreeCheck {
  readonly top: InodeId;
  readonly #state: MetadataState;
  readonly #caller: Caller;
  #walk: TreeWalk<Checked>;
  /** The walk began at the top, and knows the way to where it is. */
  #knowsWay = true;
  /** It began there anew, to find the way to what is in the way. */
  #searched = false;
  #refusal: Result<never> | undefined;
  /** Directories to be looked at again: with all below, or alone. */
  readonly #again = new Map<InodeId, 'below' | 'alone'>();

  constructor(state: MetadataState, caller: Caller, top: InodeId) {
    this.#state = state;
    this.#caller = caller;
    this.top = top;
    this.#walk = this.#newWalk(top, 'below');
  }

  get refusal(): Result<never> | undefined {
    return this.#refusal;
  }

  /** Nothing is left to look at; or something was refused. */
  get isDone(): boolean {
    return this.#refusal !== undefined || (this.#walk.isDone && this.#again.size === 0);
  }

  /** Looks at so many entries at most. */
  step(count: number): void {
    for (let left = count; left > 0 && !this.isDone; ) {
      if (this.#walk.isDone) this.#lookAgain();
      // A directory that is not gone into costs something, too.
      left = Math.min(this.#walk.step(left), left - 1);
    }
  }

  /** To be told of each command as it is applied. */
  commandApplied({ body: { $case, value } }: Command, result: Result<CommandResult>): void {
    if (!result.ok) return;
    switch ($case) {
      case 'createFile':
        if ((result.value as CommandResults['createFile']).created) this.#changed(value.parent);
        return;
      case 'makeNode':
      case 'makeLink':
        this.#changed(value.parent);
        return;
      case 'rename': {
        const { moved, other } = result.value as CommandResults['rename'];
        this.#changed(value.newParent);
        this.#changed(value.parent);
        this.#moved(moved);
        if (other !== undefined) this.#moved(other);
        return;
      }
      case 'setAttributes':
        if (value.uid !== undefined) this.#ownerChanged(value.inode);
        this.#changed(value.inode);
        return;
      case 'setXattr':
      case 'removeXattr':
        this.#changed(value.inode);
        return;
    }
  }

  #changed(directory: InodeId): void {
    if (this.#again.get(directory) === 'below' || !this.#isWithin(directory)) return;
    this.#again.set(directory, 'alone');
  }

  #moved({ inode, type }: { inode: InodeId; type: FileType }): void {
    if (type === FileType.DIRECTORY && this.#isWithin(inode)) this.#again.set(inode, 'below');
  }

  /** In a sticky directory that counts. */
  #ownerChanged(inode: InodeId): void {
    const parent = this.#state.tables.inode(inode)?.parent ?? 0;
    if (parent !== 0) this.#changed(parent);
    for (let after: InodeId | 0 = 0; ; ) {
      const page = this.#state.tables.linkDirectories(inode, after, PAGE_SIZE);
      for (const directory of page) this.#changed(directory);
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_SIZE) return;
      after = last;
    }
  }

  #lookAgain(): void {
    const [next] = this.#again;
    if (next === undefined) return;
    const [directory, how] = next;
    this.#again.delete(directory);
    if (!this.#isWithin(directory)) return;
    this.#knowsWay = directory === this.top;
    this.#walk = this.#newWalk(directory, how);
  }

  #newWalk(from: InodeId, how: 'below' | 'alone'): TreeWalk<Checked> {
    const visitor: TreeVisitor<Checked> = {
      enter: (directory, walk) =>
        how === 'alone' && directory !== from ? undefined : this.#enter(directory, walk.path()),
      entry: (parent, entry, { isForeign }, walk) => {
        if (isForeign) this.#checkOwned(parent, entry, walk.path(entry));
      },
    };
    return new TreeWalk(this.#state.tables, from, visitor);
  }

  #enter(directory: InodeId, path: Buffer): Checked | undefined {
    const row = this.#state.tables.inode(directory);
    if (this.#refusal !== undefined || row?.type !== FileType.DIRECTORY || isEmpty(this.#state, directory))
      return undefined;
    if (!mayAccess(this.#state, this.#caller, row, MAY_READ | MAY_WRITE | MAY_EXECUTE)) {
      this.#refuse(directory, denied(row), path);
      return undefined;
    }
    const isForeign = (row.mode & MODE_STICKY) !== 0 && !isOwner(this.#caller, row);
    // One without directories in it has two links.
    return isForeign || row.linkCount > 2 ? { isForeign } : undefined;
  }

  #checkOwned(parent: InodeId, { inode }: NamedDirent, path: Buffer): void {
    const row = this.#state.tables.inode(inode);
    if (row === undefined || isOwner(this.#caller, row)) return;
    const refusal = refuse('NOT_PERMITTED', 'in a sticky directory only the owner removes an entry');
    this.#refuse(parent, refusal, path);
  }

  /** What left the tree meanwhile, while the walk was in it, does not count. */
  #refuse(directory: InodeId, refusal: Result<never>, path: Buffer): void {
    if (refusal.ok || !this.#isWithin(directory)) return;
    if (!this.#knowsWay && !this.#searched) {
      this.#searched = true;
      this.#again.set(this.top, 'below');
      return;
    }
    const { code, message } = refusal.error;
    this.#refusal ??=
      path.length === 0 || !this.#knowsWay
        ? refusal
        : refuse(code, `${path.toString()}: ${message}`, { below: path.toString('latin1') });
  }

  #isWithin(directory: InodeId): boolean {
    for (let current: InodeId | 0 = directory; current !== this.top; ) {
      const row = this.#state.tables.inode(current);
      if (row?.type !== FileType.DIRECTORY || row.parent === 0 || current === ROOT_INODE) return false;
      current = row.parent;
    }
    return true;
  }
}

/** A directory that the walk is in. */
interface Checked {
  /** Sticky, and another's: what is in it has to be the caller's. */
  readonly isForeign: boolean;
}
