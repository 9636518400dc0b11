import type { Env, Timer } from '../base/env.ts';
import type { InodeId } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import type { Caller, ExtentLocation, OpenFile } from '../rpc/messages.ts';

/** For so long at least, and up to twice as long, a file stays open that nobody asks for again. */
const KEPT_MS = 15 * SECOND_MS;
const COUNT_MAX = 16 * 1024;
/** Where there are more, so many of the oldest go. */
const EXCESS_COUNT = COUNT_MAX / 16;

/** `append`: whatever is written comes to lie at the end of the file. */
export type HeldFile = OpenFile & {
  readonly append: boolean;
  /** It may serve its caller once more when it is closed. */
  readonly mayBeKept?: boolean;
};

/** What the master said of a file's first extents when it opened it. */
export interface FirstExtents {
  readonly extents: readonly ExtentLocation[];
  readonly askedAtMs: number;
}

interface KeptFile {
  readonly file: HeldFile;
  /** Of one that nobody has had open here yet. */
  readonly first: FirstExtents | undefined;
  readonly sinceMs: number;
}

export interface KeptFilesOptions {
  readonly env: Env;
  /** The master may be told that these are closed. */
  readonly onReleased: (openId: number) => void;
}

/**
 * Files that are open at the master to be read, and that nobody here has open: they were read of late, or are expected to
 * be. Who opens one again costs the master nothing. It is for as long as nothing is heard of the inode only: whoever
 * hears that it is another now, or removes it, releases it.
 */
export class KeptFiles {
  readonly #options: KeptFilesOptions;
  readonly #files = new Map<InodeId, KeptFile>();
  #timer: Timer | undefined;
  #isOver = false;

  constructor(options: KeptFilesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#files.size;
  }

  /** False: its caller has one of this inode already, or nothing is kept any more. */
  keep(inode: InodeId, file: HeldFile, first?: FirstExtents): boolean {
    const before = this.#files.get(inode);
    if (this.#isOver || (before !== undefined && isSame(before.file.caller, file.caller))) return false;
    this.release(inode);
    const kept = { file, first, sinceMs: this.#options.env.monotonicMs() };
    if (this.#files.size >= COUNT_MAX) {
      for (const oldest of [...this.#files.keys()].slice(0, EXCESS_COUNT)) this.release(oldest);
    }
    this.#files.set(inode, kept);
    this.#releaseByAndBy();
    return true;
  }

  /** Gives it to who opens the file to read it, if it was opened for him before. */
  take(inode: InodeId, caller: Caller): KeptFile | undefined {
    const kept = this.#files.get(inode);
    if (kept === undefined || !isSame(kept.file.caller, caller)) return undefined;
    this.#files.delete(inode);
    return kept;
  }

  release(inode: InodeId): void {
    const kept = this.#files.get(inode);
    if (kept === undefined) return;
    this.#files.delete(inode);
    this.#options.onReleased(kept.file.openId);
  }

  releaseAll(): void {
    for (const inode of [...this.#files.keys()]) this.release(inode);
  }

  /** Their session ended, and all that was open in it. */
  forget(): void {
    this.#files.clear();
  }

  /** Nothing is kept from now on; what is kept goes with the session. */
  close(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#files.clear();
  }

  #releaseByAndBy(): void {
    const { env } = this.#options;
    this.#timer ??= env.setTimer(KEPT_MS, () => {
      this.#timer = undefined;
      const oldMs = env.monotonicMs() - KEPT_MS;
      for (const [inode, { sinceMs }] of [...this.#files]) if (sinceMs <= oldMs) this.release(inode);
      if (this.#files.size > 0) this.#releaseByAndBy();
    });
  }
}

function isSame(a: Caller | undefined, b: Caller | undefined): boolean {
  return (
    a === b ||
    (a !== undefined &&
      b !== undefined &&
      a.uid === b.uid &&
      a.gid === b.gid &&
      a.groups.length === b.groups.length &&
      a.groups.every((group, index) => group === b.groups[index]))
  );
}
