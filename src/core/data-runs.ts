import { KiB } from '../base/units.ts';
import type { Segment } from './replica-map.ts';

/**
 * Holes consist of whole units of a chunk, as those of a disk's file system of its blocks: a unit with any data is data. So
 * each offset in a hole is answered the same as the hole's first one.
 */
const UNIT_BYTES = 4 * KiB;

/** Where the unit begins that has this byte. */
export function unitStart(chunkOffset: number): number {
  return chunkOffset - (chunkOffset % UNIT_BYTES);
}

/**
 * The first run of units with data in these neighbouring segments, [start, end) of the chunk: what is between runs was never
 * written, or was zeroed. The last unit may reach beyond the segments. Undefined: there is none.
 */
export function firstDataRun(segments: readonly Segment[]): { start: number; end: number } | undefined {
  let run: { start: number; end: number } | undefined;
  for (const { start, end, source } of segments) {
    if (source === 'zero') continue;
    const from = unitStart(start);
    if (run !== undefined && from > run.end) return run;
    run = { start: run?.start ?? from, end: unitStart(end - 1) + UNIT_BYTES };
  }
  return run;
}
