import { BOUNDS_MS, type DurationCounts } from '../base/metrics.ts';
import type { OperationCount } from './operation-counters.ts';

const US_PER_MS = 1000;
const US_PER_SECOND = 1_000_000;
const FIRST_DECADE_US = 10;
const DECADE_COUNT = 6;
/** No step is more than half, most are a third, and each of Prometheus' bounds is one of these. */
const STEPS: readonly number[] = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8];

/** From 10 us to 10 s. */
const BOUNDS_US: readonly number[] = [
  ...Array.from({ length: DECADE_COUNT }, (_, decade) =>
    STEPS.map((step) => step * FIRST_DECADE_US * 10 ** decade),
  ).flat(),
  FIRST_DECADE_US * 10 ** DECADE_COUNT,
];

/** Counts by bucket: those up to each bound and above the one before. What is behind the end is 0. */
export type LatencyCounts = number[];

export function countLatency(counts: LatencyCounts, latencyUs: number): void {
  addTo(counts, bucketOf(latencyUs), 1);
}

/** What has more buckets than there are here counts as being above all bounds. */
export function addLatencyCounts(counts: LatencyCounts, more: Readonly<LatencyCounts>): void {
  for (const [bucket, count] of more.entries()) addTo(counts, Math.min(bucket, BOUNDS_US.length), count);
}

/**
 * How long many operations took: counts by bucket, which add up over times and servers without a loss, so that the percentiles
 * of all are as good as those of one. They are read between a bucket's bounds as if its latencies were spread evenly.
 */
export class Latencies implements DurationCounts {
  readonly #counts: LatencyCounts = [];
  #count = 0;
  #sumUs = 0;
  #maxUs = 0;

  constructor(parts: Iterable<Readonly<OperationCount>> = []) {
    for (const { count, latencyUsSum, latencyUsMax, latencyCounts } of parts) {
      this.#count += count;
      this.#sumUs += latencyUsSum;
      this.#maxUs = Math.max(this.#maxUs, latencyUsMax);
      addLatencyCounts(this.#counts, latencyCounts);
    }
  }

  static merged(parts: Iterable<Latencies>): Latencies {
    const all = new Latencies();
    for (const part of parts) {
      all.#count += part.#count;
      all.#sumUs += part.#sumUs;
      all.#maxUs = Math.max(all.#maxUs, part.#maxUs);
      addLatencyCounts(all.#counts, part.#counts);
    }
    return all;
  }

  get count(): number {
    return this.#count;
  }

  get sumSeconds(): number {
    return this.#sumUs / US_PER_SECOND;
  }

  /** 0: there was none. */
  get meanMs(): number {
    return this.#count === 0 ? 0 : this.#sumUs / this.#count / US_PER_MS;
  }

  /** What this share of the operations, such as 0.99, did not exceed. 0: there was none. */
  quantileMs(share: number): number {
    const rank = share * this.#counts.reduce((sum, count) => sum + count, 0);
    let below = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      if (count > 0 && below + count >= rank) {
        const from = BOUNDS_US[bucket - 1] ?? 0;
        // Nothing took longer than the longest.
        const to = Math.max(from, Math.min(BOUNDS_US[bucket] ?? this.#maxUs, this.#maxUs));
        return (from + ((to - from) * (rank - below)) / count) / US_PER_MS;
      }
      below += count;
    }
    return 0;
  }

  get buckets(): DurationCounts['buckets'] {
    let index = 0;
    let count = 0;
    return BOUNDS_MS.map((boundMs) => {
      for (; (BOUNDS_US[index] ?? Infinity) <= boundMs * US_PER_MS; index += 1)
        count += this.#counts[index] ?? 0;
      return { upToSeconds: boundMs / 1000, count };
    });
  }
}

function addTo(counts: LatencyCounts, bucket: number, count: number): void {
  while (counts.length <= bucket) counts.push(0);
  counts[bucket] = (counts[bucket] ?? 0) + count;
}

/** The last is for those above all bounds. */
function bucketOf(latencyUs: number): number {
  let low = 0;
  let high = BOUNDS_US.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (latencyUs <= (BOUNDS_US[middle] ?? 0)) high = middle;
    else low = middle + 1;
  }
  return low;
}
