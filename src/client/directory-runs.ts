import { boundedCache } from '../base/bounded.ts';
import { NAME_BYTES_MAX } from '../base/constants.ts';
import type { InodeId } from '../base/ids.ts';
import type { Place } from './api.ts';

const DIRECTORY_COUNT_MAX = 256;
/** So many names that were not known, each behind the one before, make a run. */
const RUN_COUNT_MIN = 8;
/** A page is as long at first, and twice as long each time; the longest keeps the master from others for some milliseconds. */
const PAGE_COUNT_MIN = 32;
const PAGE_COUNT_MAX = 512;
/** One in so many names of a page has to be looked up, or there is no next one. */
const USED_SHARE = 8;

interface Run {
  /** The name that was missed last. */
  last: Uint8Array;
  missedCount: number;
  /** How many names the last page was to have; 0: there was none. */
  pageCount: number;
  /** How many look-ups were answered by what is known since. */
  usedCount: number;
}

/**
 * Who looks up one name of a directory after the other, in the order in which they are listed: a program that has read the
 * whole directory and now wants to know what each name is, as `find` and `du` do, or what each file has in it, as `grep -r`
 * and `tar` do. Each would be a question to the master; here it is decided when to ask for a page of names with attributes, or of
 * open files, instead, from the one that was missed on.
 */
export class DirectoryRuns {
  readonly #runs = boundedCache<InodeId, Run>(DIRECTORY_COUNT_MAX);

  /** What is known did not answer: how many names are to be asked for, from this one on. 1: it alone. */
  missed({ parent, name }: Place): number {
    const run = this.#runs.get(parent);
    const order = run === undefined ? -1 : Buffer.compare(name, run.last);
    if (run === undefined || order < 0 || this.#isInVain(run)) {
      this.#runs.set(parent, { last: Buffer.from(name), missedCount: 1, pageCount: 0, usedCount: 0 });
      return 1;
    }
    if (order === 0) return 1;
    run.last = Buffer.from(name);
    run.missedCount += 1;
    if (run.missedCount < RUN_COUNT_MIN) return 1;
    run.pageCount = Math.min(Math.max(PAGE_COUNT_MIN, run.pageCount * 2), PAGE_COUNT_MAX);
    run.usedCount = 0;
    return run.pageCount;
  }

  /** What is known answered a look-up. */
  answered(parent: InodeId): void {
    const run = this.#runs.get(parent);
    if (run !== undefined) run.usedCount += 1;
  }

  /** Names are looked up that are not there, or the directory may not be listed. */
  end(parent: InodeId): void {
    this.#runs.delete(parent);
  }

  #isInVain({ pageCount, usedCount }: Run): boolean {
    return usedCount * USED_SHARE < pageCount - USED_SHARE;
  }
}

/** The last bytes before a name in the order of names: no other name comes after them and before it. */
export function boundBefore(name: Uint8Array): Buffer {
  const bound = Buffer.alloc(NAME_BYTES_MAX, 0xff);
  bound.set(name);
  const last = name.length - 1;
  bound[last] = (name[last] ?? 0) - 1;
  return bound;
}
