import { boundedCache } from '../base/bounded.ts';
import type { InodeId } from '../base/ids.ts';
import type { Attributes } from '../rpc/messages.ts';
import { FileState, type FileStateOptions } from './file-state.ts';

/** Files that are not open and whose caches may still be good. */
const CLOSED_COUNT_MAX = 16 * 1024;

/** The state of each file that is open here, or was of late. */
export class FileStates {
  readonly #options: FileStateOptions;
  readonly #open = new Map<InodeId, FileState>();
  readonly #closed = boundedCache<InodeId, FileState>(CLOSED_COUNT_MAX);

  constructor(options: FileStateOptions) {
    this.#options = options;
  }

  /** When a question is asked whose answer will be given to `observe`. */
  get now(): number {
    return this.#options.clock.now;
  }

  find(inode: InodeId): FileState | undefined {
    return this.#open.get(inode) ?? this.#closed.get(inode);
  }

  /** For an open file; given back by `release`. */
  acquire(inode: InodeId, attributes: Attributes, askedAt: number): { state: FileState; unchanged: boolean } {
    let state = this.find(inode);
    if (state === undefined) state = new FileState(inode, this.#options);
    this.#closed.delete(inode);
    this.#open.set(inode, state);
    return { state, unchanged: state.opened(attributes, askedAt) };
  }

  release(state: FileState): void {
    state.openCount -= 1;
    if (state.openCount > 0) return;
    // With its block for copies. (After a close that could not wait, something may still be on its way.)
    if (state.isIdle) state.writeBehind = undefined;
    this.#open.delete(state.inode);
    this.#closed.set(state.inode, state);
  }

  /** Nothing that is known of any file is certain any more. */
  allMayHaveChanged(): void {
    for (const state of [...this.#open.values(), ...this.#closed.values()]) {
      state.mayHaveChanged();
      state.modeMayHaveChanged();
    }
  }

  /** Since these attributes are what they are, what was written here and the master was not told of may have been cut off. */
  mayBeCut(attributes: Attributes): boolean {
    return this.find(attributes.inode as InodeId)?.mayBeCut(attributes) ?? false;
  }

  /** The attributes as they are with what was written and read here. */
  observe(attributes: Attributes, askedAt: number): Attributes {
    const state = this.find(attributes.inode as InodeId);
    return state?.observe(attributes, askedAt) ?? this.#options.accessTimes.observed(attributes);
  }
}
