import test from 'ava';
import { MiB } from '../../../src/base/units.ts';
import {
  inUnit,
  latencyOf,
  levelsUpTo,
  median,
  neededBytes,
  operationRate,
  quantile,
} from '../../../src/cli/bench/arithmetic.ts';
import { figureOf } from '../../../src/cli/bench/figures.ts';

test('numbers of clients are doubled, and end with all of them', (t) => {
  t.deepEqual(levelsUpTo(1), [1]);
  t.deepEqual(levelsUpTo(2), [1, 2]);
  t.deepEqual(levelsUpTo(6), [1, 2, 4, 6]);
  t.deepEqual(levelsUpTo(16), [1, 2, 4, 8, 16]);
});

test('the median of an even number of rounds lies between the middle two', (t) => {
  t.is(median([3, 1, 2]), 2);
  t.is(median([4, 1, 2, 10]), 3);
  t.is(median([7]), 7);
  t.is(median([]), Number.NaN);
});

test('a quantile is a value that was measured', (t) => {
  const hundred = Float64Array.from({ length: 100 }, (_, index) => index + 1);
  t.is(quantile(hundred, 0.5), 50);
  t.is(quantile(hundred, 0.99), 99);
  t.is(quantile(hundred, 1), 100);
  t.is(quantile(Float64Array.of(7), 0.99), 7);
});

test('latencies of all clients and rounds count as one', (t) => {
  const latency = latencyOf([Float64Array.of(9, 1, 3), Float64Array.of(2, 5), new Float64Array(0)]);
  t.deepEqual(latency, { p50: 3, p99: 9, max: 9 });
});

test('the rate of clients is what all did until the last one ended', (t) => {
  const latenciesMs = new Float64Array(0);
  const done = [
    { operations: 100, ms: 500, latenciesMs },
    { operations: 300, ms: 2000, latenciesMs },
  ];
  t.is(operationRate(done), 200);
  t.is(inUnit(figureOf('create'), 200), 200);
  t.is(inUnit(figureOf('write'), 1000), 1048.576);
});

test('room is wanted for three large files of each client, and its small ones', (t) => {
  t.is(neededBytes(2, { sizeBytes: MiB, fileCount: 256 }), 2 * (3 * MiB + MiB));
});
