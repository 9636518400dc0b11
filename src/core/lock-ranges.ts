import { assert } from '../base/assert.ts';

/** The last byte that a lock can name: up to the end of the file, however far that is. */
export const LOCK_END = Number.MAX_SAFE_INTEGER;

/** First and last byte, both included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface Piece<T> extends ByteRange {
  readonly lock: T;
}

export function overlap(one: ByteRange, other: ByteRange): boolean {
  return one.start <= other.end && other.start <= one.end;
}

/** What one owner has locked of one file: pieces in order, none over another, equal neighbours joined. */
export class LockRanges<T> {
  readonly #isSame: (one: T, other: T) => boolean;
  #pieces: readonly Piece<T>[] = [];

  constructor(isSame: (one: T, other: T) => boolean) {
    this.#isSame = isSame;
  }

  get pieces(): readonly Piece<T>[] {
    return this.#pieces;
  }

  /** What lies in the range, cut to it. */
  within({ start, end }: ByteRange): Piece<T>[] {
    const found: Piece<T>[] = [];
    for (const piece of this.#pieces) {
      if (!overlap(piece, { start, end })) continue;
      found.push({ ...piece, start: Math.max(piece.start, start), end: Math.min(piece.end, end) });
    }
    return found;
  }

  /** The whole range is this lock from now on, whatever was there. */
  set({ start, end }: ByteRange, lock: T): void {
    assert(start <= end, 'a range has a byte at least');
    this.#replace({ start, end }, { start, end, lock });
  }

  remove(range: ByteRange): void {
    this.#replace(range, undefined);
  }

  removeIf(isGone: (lock: T) => boolean): void {
    this.#pieces = this.#pieces.filter(({ lock }) => !isGone(lock));
  }

  #replace(range: ByteRange, by: Piece<T> | undefined): void {
    const before: Piece<T>[] = [];
    const after: Piece<T>[] = [];
    for (const piece of this.#pieces) {
      if (piece.start < range.start) before.push({ ...piece, end: Math.min(piece.end, range.start - 1) });
      if (piece.end > range.end) after.push({ ...piece, start: Math.max(piece.start, range.end + 1) });
    }
    const joined: Piece<T>[] = [];
    for (const piece of by === undefined ? [...before, ...after] : [...before, by, ...after]) {
      const last = joined.at(-1);
      if (last !== undefined && last.end + 1 === piece.start && this.#isSame(last.lock, piece.lock)) {
        joined[joined.length - 1] = { ...last, end: piece.end };
      } else {
        joined.push(piece);
      }
    }
    this.#pieces = joined;
  }
}
