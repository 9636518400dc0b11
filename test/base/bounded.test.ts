import test from 'ava';
import { putLast } from '../../src/base/bounded.ts';

test('what was put last the longest ago goes first', (t) => {
  const map = new Map<string, number>();
  for (const [key, value] of Object.entries({ a: 1, b: 2, c: 3 }))
    t.is(putLast(map, key, value, 3), undefined);
  t.is(putLast(map, 'a', 4, 3), undefined, 'it is there already');
  t.deepEqual(putLast(map, 'd', 5, 3), ['b', 2]);
  t.deepEqual([...map.keys()], ['c', 'a', 'd']);
});

test('of many entries some go at a time, and the last of them is answered', (t) => {
  const map = new Map<number, number>();
  for (let key = 1; key <= 640; key += 1) t.is(putLast(map, key, -key, 640), undefined);
  t.deepEqual(putLast(map, 641, -641, 640), [11, -11]);
  t.is(map.size, 630);
  t.deepEqual([...map.keys()].at(0), 12);
  t.is(putLast(map, 642, -642, 640), undefined);
});
