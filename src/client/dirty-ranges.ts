import { assert, must } from '../base/assert.ts';

/** Bytes taken from a writer, until they are at the cluster or overwritten. */
export interface Slice {
  readonly bytes: Uint8Array;
  readonly epoch: Epoch;
  /** Whose buffer it is; absent: ours. */
  readonly owner: Owner | undefined;
  /** By which operations it was written: the first of them, where there are many small ones. */
  readonly asked: readonly Asked[];
}

/** An operation, by its name in all logs, which is made when that is asked for. */
export interface Asked {
  readonly requestId?: string | undefined;
}

export const NOBODY: readonly Asked[] = [];
/** More names than that do not fit into a call. */
const ASKED_MAX = 16;

/** The writes between two flushes; a flush waits until nothing is outstanding of its own and earlier ones. */
export interface Epoch {
  /** Rises from one flush to the next. */
  readonly number: number;
  outstandingBytes: number;
}

/** A buffer that was taken over, given back when no part of it is needed any more. */
export interface Owner {
  remainingBytes: number;
  readonly release: () => void;
}

/** A run of dirty bytes, [start, end) of the file. */
export interface Dirty {
  readonly start: number;
  readonly end: number;
  readonly slices: readonly Slice[];
}

interface Segment {
  start: number;
  end: number;
  slices: Slice[];
  /** Goes out as it is; nobody waits for more bytes to join it. */
  forced: boolean;
}

interface Replaced {
  readonly slices: readonly Slice[];
  readonly oldest: Epoch | undefined;
  readonly forced: boolean;
}
const NOTHING_REPLACED: Replaced = { slices: [], oldest: undefined, forced: false };

/** What was written and is not on its way yet: segments in order, none overlapping; the latest write wins. */
export class DirtyRanges {
  readonly #unitBytes: number;
  readonly #onDropped: (slice: Slice) => void;
  #segments: Segment[] = [];
  #bytes = 0;

  /** `unitBytes`: mutations are cut where multiples of it lie in the file. `onDropped`: for what was overwritten. */
  constructor(unitBytes: number, onDropped: (slice: Slice) => void) {
    this.#unitBytes = unitBytes;
    this.#onDropped = onDropped;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get segmentCount(): number {
    return this.#segments.length;
  }

  get end(): number {
    return this.#segments.at(-1)?.end ?? 0;
  }

  /**
   * Adds a write. It counts for the oldest epoch of what it replaces: a flush that waits for the older bytes must not
   * return while neither they nor the newer ones are at the cluster.
   */
  put(start: number, slice: Slice): void {
    const end = start + slice.bytes.length;
    assert(end > start, 'a write is not empty');
    const replaced = this.#clear(start, end);
    const epoch =
      replaced.oldest && replaced.oldest.number < slice.epoch.number ? replaced.oldest : slice.epoch;
    const added = epoch === slice.epoch ? slice : { ...slice, epoch };
    this.#bytes += slice.bytes.length;
    epoch.outstandingBytes += slice.bytes.length;
    for (const old of replaced.slices) this.#onDropped(old);
    const index = this.#indexFrom(start);
    const before = this.#segments[index - 1];
    if (before !== undefined && before.end === start) {
      extend(before, added);
      before.forced ||= replaced.forced;
      return;
    }
    this.#segments.splice(index, 0, { start, end, slices: [added], forced: replaced.forced });
  }

  /** All that is there now goes out without waiting for more. */
  force(): void {
    for (const segment of this.#segments) segment.forced = true;
  }

  /**
   * The next mutation: from a segment that is forced or fills a unit to its end, and that is not `blocked`. What is
   * taken leaves the ranges.
   */
  take(blocked: (start: number, end: number) => boolean): Dirty | undefined {
    for (let index = 0; index < this.#segments.length; index += 1) {
      const segment = must(this.#segments[index], 'it is below the length');
      const unitEnd = (Math.floor(segment.start / this.#unitBytes) + 1) * this.#unitBytes;
      if (segment.end < unitEnd && !segment.forced) continue;
      const end = Math.min(segment.end, unitEnd);
      if (blocked(segment.start, end)) continue;
      return this.#takeFrom(index, segment, end);
    }
    return undefined;
  }

  /** Parts of [start, end) that are dirty, in order. */
  overlapping(start: number, end: number): Dirty[] {
    const result: Dirty[] = [];
    for (let index = Math.max(0, this.#indexFrom(start) - 1); index < this.#segments.length; index += 1) {
      const segment = must(this.#segments[index], 'it is below the length');
      if (segment.start >= end) break;
      if (segment.end > start) result.push(segment);
    }
    return result;
  }

  /** Everything is given up. */
  dropAll(): void {
    const segments = this.#segments;
    this.#segments = [];
    this.#bytes = 0;
    for (const { slices } of segments) slices.forEach(this.#onDropped);
  }

  #takeFrom(index: number, segment: Segment, end: number): Dirty {
    this.#bytes -= end - segment.start;
    if (end === segment.end) {
      this.#segments.splice(index, 1);
      return segment;
    }
    const { start } = segment;
    const [taken, rest] = split(segment.slices, end - start);
    segment.start = end;
    segment.slices = rest;
    return { start, end, slices: taken };
  }

  /** Removes [start, end) from what is there: a newer write replaces it. */
  #clear(start: number, end: number): Replaced {
    const last = this.#segments.at(-1);
    if (last === undefined || last.end <= start) return NOTHING_REPLACED;
    const replaced: { -readonly [K in keyof Replaced]: Replaced[K] } = { ...NOTHING_REPLACED };
    const slices: Slice[] = [];
    let index = Math.max(0, this.#indexFrom(start) - 1);
    while (index < this.#segments.length) {
      const segment = must(this.#segments[index], 'it is below the length');
      if (segment.start >= end) break;
      if (segment.end <= start) {
        index += 1;
        continue;
      }
      const [before, others] = split(segment.slices, Math.max(0, start - segment.start));
      const [gone, after] = split(others, Math.min(segment.end, end) - Math.max(segment.start, start));
      for (const slice of gone) {
        this.#bytes -= slice.bytes.length;
        slices.push(slice);
        if (!replaced.oldest || slice.epoch.number < replaced.oldest.number) replaced.oldest = slice.epoch;
      }
      replaced.forced ||= segment.forced;
      const kept: Segment[] = [];
      if (before.length > 0)
        kept.push({ start: segment.start, end: start, slices: before, forced: segment.forced });
      if (after.length > 0)
        kept.push({ start: end, end: segment.end, slices: after, forced: segment.forced });
      this.#segments.splice(index, 1, ...kept);
      index += kept.length;
    }
    return { ...replaced, slices };
  }

  /** Index of the first segment that begins at or after the offset. */
  #indexFrom(offset: number): number {
    let low = 0;
    let high = this.#segments.length;
    // A sequential writer comes behind the last one.
    const last = this.#segments[high - 1];
    if (last === undefined || last.start < offset) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (must(this.#segments[middle], 'it is below the length').start < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function extend(segment: Segment, slice: Slice): void {
  segment.end += slice.bytes.length;
  const last = must(segment.slices.at(-1), 'a segment is not empty');
  const joined =
    last.epoch === slice.epoch && !last.owner && !slice.owner ? joinedView(last, slice) : undefined;
  if (joined === undefined) {
    segment.slices.push(slice);
    return;
  }
  const isFull = slice.asked.length === 0 || last.asked.length >= ASKED_MAX;
  const asked = isFull ? last.asked : [...last.asked, ...slice.asked];
  segment.slices[segment.slices.length - 1] = { bytes: joined, epoch: last.epoch, owner: undefined, asked };
}

/** One view over both, where the second lies right behind the first in one of our own blocks. */
function joinedView(first: Slice, second: Slice): Uint8Array | undefined {
  const { buffer, byteOffset, length } = first.bytes;
  if (buffer !== second.bytes.buffer || byteOffset + length !== second.bytes.byteOffset) return undefined;
  return new Uint8Array(buffer, byteOffset, length + second.bytes.length);
}

/** The slices of the first `length` bytes, and those of the rest. */
function split(slices: readonly Slice[], length: number): [Slice[], Slice[]] {
  const first: Slice[] = [];
  const rest: Slice[] = [];
  let position = 0;
  for (const slice of slices) {
    const end = position + slice.bytes.length;
    if (end <= length) first.push(slice);
    else if (position >= length) rest.push(slice);
    else {
      first.push({ ...slice, bytes: slice.bytes.subarray(0, length - position) });
      rest.push({ ...slice, bytes: slice.bytes.subarray(length - position) });
    }
    position = end;
  }
  return [first, rest];
}
