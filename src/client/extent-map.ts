import { assert, must } from '../base/assert.ts';
import type { ExtentLocation } from '../rpc/messages.ts';

/** A part of a file as the master described it: an extent with its chunk's places, or a hole. */
export interface Span {
  /** File offsets [start, end). */
  readonly start: number;
  readonly end: number;
  /** Absent: a hole. */
  readonly location: ExtentLocation | undefined;
  /** When the master was asked: what happened before, it knew. */
  readonly checkedAtMs: number;
  /** When it was last asked to confirm that, answered or not. */
  triedAtMs: number;
}
export type ExtentSpan = Span & { readonly location: ExtentLocation };

export function isExtent(span: Span | undefined): span is ExtentSpan {
  return span?.location !== undefined;
}

/**
 * What is known of one file's extents: spans in order, none overlapping, with gaps where nothing is known. New
 * knowledge replaces whatever it overlaps.
 */
export class ExtentMap {
  readonly #chunkSizeBytes: number;
  #spans: Span[] = [];

  constructor(chunkSizeBytes: number) {
    this.#chunkSizeBytes = chunkSizeBytes;
  }

  get size(): number {
    return this.#spans.length;
  }

  at(fileOffset: number): Span | undefined {
    const span = this.#spans[this.#indexAfter(fileOffset) - 1];
    return span !== undefined && fileOffset < span.end ? span : undefined;
  }

  /** All that lies in [from, to) is these extents, in order, and holes. The first may begin before `from`. */
  learn(from: number, to: number, extents: readonly ExtentLocation[], askedAtMs: number): void {
    const spans: Span[] = [];
    let position = from;
    for (const location of extents) {
      if (location.start > position) spans.push(hole(position, location.start, askedAtMs));
      const span = spanOf(location, this.#chunkSizeBytes, askedAtMs);
      // An extent that was sealed at nothing holds nothing.
      if (span.end > span.start) spans.push(span);
      position = Math.max(position, span.end);
    }
    if (position < to) spans.push(hole(position, to, askedAtMs));
    const first = spans[0];
    if (first !== undefined) this.#replace(Math.min(from, first.start), Math.max(to, position), spans);
  }

  /** Nothing is known about this span any more. */
  forget(span: Span): void {
    const index = this.#spans.indexOf(span);
    if (index >= 0) this.#spans.splice(index, 1);
  }

  forgetAll(): void {
    this.#spans = [];
  }

  /** Puts `spans` in place of all in [from, to); holes that stick out are cut, extents that stick out go. */
  #replace(from: number, to: number, spans: readonly Span[]): void {
    const old = this.#spans;
    let first = this.#indexAfter(from);
    if (first > 0 && must(old[first - 1], 'it is before').end > from) first -= 1;
    let last = first;
    while (last < old.length && must(old[last], 'it is below the length').start < to) last += 1;
    const before = old[first];
    const after = last > first ? old[last - 1] : undefined;
    const keptBefore =
      last > first && before && before.location === undefined && before.start < from
        ? [hole(before.start, from, before.checkedAtMs)]
        : [];
    const keptAfter =
      after && after.location === undefined && after.end > to ? [hole(to, after.end, after.checkedAtMs)] : [];
    old.splice(first, last - first, ...keptBefore, ...spans, ...keptAfter);
  }

  /** How many spans begin at or before the offset. */
  #indexAfter(fileOffset: number): number {
    let low = 0;
    let high = this.#spans.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (must(this.#spans[middle], 'it is below the length').start <= fileOffset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Where the extent ends, as far as it is known. */
export function endOf(location: ExtentLocation, chunkSizeBytes: number): number {
  return location.start + (location.sealed ? location.sealedLength : chunkSizeBytes);
}

export function spanOf(location: ExtentLocation, chunkSizeBytes: number, checkedAtMs: number): ExtentSpan {
  const end = endOf(location, chunkSizeBytes);
  return { start: location.start, end, location, checkedAtMs, triedAtMs: checkedAtMs };
}

function hole(start: number, end: number, checkedAtMs: number): Span {
  assert(start < end, 'a hole is not empty');
  return { start, end, location: undefined, checkedAtMs, triedAtMs: checkedAtMs };
}
