import { assert } from '../base/assert.ts';

/**
 * A run of a chunk's bytes in one place: nowhere (`zero`), in the data file at its chunk offset (`data`), or inline in
 * the chunk's log (`log`), from position `at`. `at` is 0 for the other two.
 */
export interface Segment {
  readonly start: number;
  readonly end: number;
  readonly source: SegmentSource;
  readonly at: number;
}
export type SegmentSource = 'zero' | 'data' | 'log';

/** Where each byte of a chunk is: segments in order, without holes, from 0 to the chunk's length. */
export class SegmentMap {
  #segments: Segment[] = [];

  get length(): number {
    return this.#segments.at(-1)?.end ?? 0;
  }

  get segmentCount(): number {
    return this.#segments.length;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** Replaces what is there, extends the chunk, or both; a gap before it becomes zeros. */
  put(segment: Segment): void {
    assert(segment.start < segment.end, 'a segment is not empty');
    if (segment.start > this.length) {
      this.#append({ start: this.length, end: segment.start, source: 'zero', at: 0 });
    }
    if (segment.start === this.length) {
      this.#append(segment);
      return;
    }
    const first = this.#indexOf(segment.start);
    const replacement: Segment[] = [];
    const head = this.#segments[first];
    if (head !== undefined && head.start < segment.start)
      replacement.push(part(head, head.start, segment.start));
    replacement.push(segment);
    let next = first;
    for (; next < this.#segments.length; next += 1) {
      const old = this.#segments[next];
      if (old === undefined || old.start >= segment.end) break;
      if (old.end > segment.end) replacement.push(part(old, segment.end, old.end));
    }
    this.#segments.splice(first, next - first, ...replacement);
  }

  /** Makes it longer with zeros, or shorter. */
  setLength(length: number): void {
    if (length > this.length) {
      this.#append({ start: this.length, end: length, source: 'zero', at: 0 });
    } else if (length < this.length) {
      const last = length === 0 ? -1 : this.#indexOf(length - 1);
      const segment = this.#segments[last];
      this.#segments.length = last + 1;
      if (segment !== undefined) this.#segments[last] = part(segment, segment.start, length);
    }
  }

  /** The segments of [start, end), cut to it. */
  within(start: number, end: number): Segment[] {
    const found: Segment[] = [];
    if (start >= end) return found;
    for (let index = this.#indexOf(start); index < this.#segments.length; index += 1) {
      const segment = this.#segments[index];
      if (segment === undefined || segment.start >= end) break;
      found.push(part(segment, Math.max(start, segment.start), Math.min(end, segment.end)));
    }
    return found;
  }

  #append(segment: Segment): void {
    const last = this.#segments.at(-1);
    if (last !== undefined && continues(last, segment)) {
      this.#segments[this.#segments.length - 1] = { ...last, end: segment.end };
    } else {
      this.#segments.push(segment);
    }
  }

  /** Index of the segment that holds the byte at `offset`, or the count of segments. */
  #indexOf(offset: number): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const segment = this.#segments[middle];
      if (segment !== undefined && segment.end <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** How many bytes of these segments have such a source. */
export function bytesIn(segments: readonly Segment[], isMeant: (source: SegmentSource) => boolean): number {
  return segments.reduce((sum, { start, end, source }) => sum + (isMeant(source) ? end - start : 0), 0);
}

function part(segment: Segment, start: number, end: number): Segment {
  if (start === segment.start && end === segment.end) return segment;
  const at = segment.source === 'log' ? segment.at + start - segment.start : 0;
  return { start, end, source: segment.source, at };
}

function continues(last: Segment, next: Segment): boolean {
  return (
    last.source === next.source && (last.source !== 'log' || last.at + last.end - last.start === next.at)
  );
}
