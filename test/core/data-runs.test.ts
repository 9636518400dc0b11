import test from 'ava';
import { firstDataRun, unitStart } from '../../src/core/data-runs.ts';
import type { Segment, SegmentSource } from '../../src/core/replica-map.ts';

const UNIT = 4096;

test('a run of data has whole units, and goes up to the next unit that is all zeros', (t) => {
  const check = (
    lengths: readonly (readonly [SegmentSource, number])[],
    expected: [number, number] | undefined,
  ) => {
    let end = 10 * UNIT;
    const segments = lengths.map(([source, length]): Segment => {
      const start = end;
      end += length;
      return { start, end, source, at: 0 };
    });
    const run = firstDataRun(segments);
    t.deepEqual(run && [run.start - 10 * UNIT, run.end - 10 * UNIT], expected);
  };
  check([], undefined);
  check([['zero', UNIT]], undefined);
  check([['zero', 5]], undefined);
  check([['data', 5]], [0, UNIT]);
  check([['log', UNIT]], [0, UNIT]);
  check([['data', UNIT + 1]], [0, 2 * UNIT]);
  check(
    [
      ['zero', UNIT],
      ['log', 5],
      ['data', 5],
    ],
    [UNIT, 2 * UNIT],
  );
  check(
    [
      ['zero', UNIT - 1],
      ['log', 1],
    ],
    [0, UNIT],
  );
  // As many zeros as a unit has, and no unit is free of data.
  check(
    [
      ['data', 5],
      ['zero', UNIT],
      ['log', 5],
      ['zero', 2 * UNIT],
      ['data', 9],
    ],
    [0, 2 * UNIT],
  );
  check(
    [
      ['data', 5],
      ['zero', UNIT],
      ['zero', UNIT - 5],
      ['log', 5],
    ],
    [0, UNIT],
  );
});

test('a unit begins at a multiple of its size', (t) => {
  t.deepEqual([0, 1, UNIT - 1, UNIT, UNIT + 1, 3 * UNIT - 1].map(unitStart), [0, 0, 0, UNIT, UNIT, 2 * UNIT]);
});
