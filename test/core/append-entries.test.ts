import test from 'ava';
import {
  APPEND_RECORDS_MAX,
  badLengths,
  entryAfter,
  placeIn,
  placesOf,
} from '../../src/core/append-entries.ts';
import type { AppendEntry } from '../../src/core/replica-types.ts';

/** A batch of these records, the last one with that number. */
function batch(number: number, chunkOffset: number, lengths: readonly number[]): AppendEntry {
  const length = lengths.reduce((sum, one) => sum + one, 0);
  const records = placesOf(chunkOffset, lengths);
  return { writer: 1, number, chunkOffset, length, checksum: 0, records };
}

test('an entry keeps the places of the latest 64 records, however they were batched', (t) => {
  let entry = batch(3, 10, [5, 6, 7]);
  t.deepEqual(placeIn(entry, 1), { chunkOffset: 10, length: 5 });
  t.deepEqual(placeIn(entry, 3), { chunkOffset: 21, length: 7 });
  entry = entryAfter(entry, batch(4, 100, [9]));
  t.deepEqual(placeIn(entry, 4), { chunkOffset: 100, length: 9 });
  t.deepEqual(placeIn(entry, 2), { chunkOffset: 15, length: 6 });
  t.is(placeIn(entry, 5), undefined);
  entry = entryAfter(entry, batch(4 + 62, 200, Array<number>(62).fill(1)));
  t.is(entry.records?.length, APPEND_RECORDS_MAX);
  t.is(placeIn(entry, 2), undefined);
  t.deepEqual(placeIn(entry, 3), { chunkOffset: 21, length: 7 });
  t.deepEqual(placeIn(entry, 66), { chunkOffset: 261, length: 1 });
});

test('what does not follow number by number is not told of as if it did', (t) => {
  const entry = entryAfter(batch(3, 10, [5]), batch(7, 20, [5, 5]));
  t.deepEqual(entry, batch(7, 20, [5, 5]));
  t.is(placeIn(entry, 3), undefined);
  const { records: _, ...alone } = batch(8, 30, [5]);
  t.is(entryAfter(entry, alone), alone);
});

test('lengths of records make the batch, and its numbers are positive', (t) => {
  const check = (lengths: readonly number[], number: number, isGood: boolean) =>
    t.is(badLengths(lengths, { number, length: 10 }) === undefined, isGood, `${lengths} up to ${number}`);
  check([10], 1, true);
  check([4, 6], 2, true);
  check([4, 6], 1, false);
  check([4, 5], 2, false);
  check([10, 0], 2, false);
  t.is(badLengths(Array<number>(64).fill(1), { number: 64, length: 64 }), undefined);
  t.not(badLengths(Array<number>(65).fill(1), { number: 65, length: 65 }), undefined);
});
