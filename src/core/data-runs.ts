import { KiB } from '../base/units.ts';
import type { Segment } from './replica-map.ts';

/** Zeros of which there are fewer in a row are data: nobody gains by leaving them out. */
export const HOLE_BYTES_MIN = 4 * KiB;

/**
 * The first run of data in these neighbouring segments, [start, end) of the chunk: between runs lies what was never written,
 * or was zeroed. Undefined: there is none.
 */
export function firstDataRun(segments: readonly Segment[]): { start: number; end: number } | undefined {
  let run: { start: number; end: number } | undefined;
  let zerosFrom: number | undefined;
  for (const { start, end, source } of segments) {
    if (source === 'zero') {
      zerosFrom ??= start;
      if (run !== undefined && end - zerosFrom >= HOLE_BYTES_MIN) return run;
      continue;
    }
    // Short zeros before it belong to it.
    const isHole = zerosFrom !== undefined && start - zerosFrom >= HOLE_BYTES_MIN;
    run = { start: run?.start ?? (isHole ? start : (zerosFrom ?? start)), end };
    zerosFrom = undefined;
  }
  return run;
}
