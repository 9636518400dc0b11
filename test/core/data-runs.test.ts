import test from 'ava';
import { firstDataRun, HOLE_BYTES_MIN } from '../../src/core/data-runs.ts';
import type { Segment, SegmentSource } from '../../src/core/replica-map.ts';

const BIG = HOLE_BYTES_MIN;
const SMALL = HOLE_BYTES_MIN - 1;

test('a run of data goes up to the next long run of zeros', (t) => {
  const check = (
    lengths: readonly (readonly [SegmentSource, number])[],
    expected: [number, number] | undefined,
  ) => {
    let end = 1000;
    const segments = lengths.map(([source, length]): Segment => {
      const start = end;
      end += length;
      return { start, end, source, at: 0 };
    });
    const run = firstDataRun(segments);
    t.deepEqual(run && [run.start - 1000, run.end - 1000], expected);
  };
  check([], undefined);
  check([['zero', BIG]], undefined);
  check([['zero', SMALL]], undefined);
  check([['data', 5]], [0, 5]);
  check(
    [
      ['zero', BIG],
      ['log', 5],
      ['data', 5],
    ],
    [BIG, BIG + 10],
  );
  check(
    [
      ['zero', SMALL],
      ['log', 5],
    ],
    [0, SMALL + 5],
  );
  check(
    [
      ['data', 5],
      ['zero', SMALL],
      ['log', 5],
      ['zero', BIG],
      ['data', 9],
    ],
    [0, SMALL + 10],
  );
  check(
    [
      ['data', 5],
      ['zero', SMALL],
      ['zero', 1],
      ['log', 5],
    ],
    [0, 5],
  );
  check(
    [
      ['zero', 1],
      ['zero', SMALL],
      ['data', 5],
      ['zero', SMALL],
    ],
    [BIG, BIG + 5],
  );
});
