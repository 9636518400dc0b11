import test from 'ava';
import fc from 'fast-check';
import { ExtentMap } from '../../src/client/extent-map.ts';
import type { ExtentLocation } from '../../src/rpc/messages.ts';

const CHUNK = 10;

function extent(start: number, chunk: number, sealedLength?: number): ExtentLocation {
  const sealed = sealedLength !== undefined;
  const place = { version: 1, members: [], primary: 0, frozen: false, firstVersion: 1 };
  return { start, chunk, ...place, sealed, sealedLength: sealedLength ?? 0 };
}

/** "c7" for chunk 7, "hole", or "?" where nothing is known. */
function at(map: ExtentMap, offset: number): string {
  const span = map.at(offset);
  if (span === undefined) return '?';
  return span.location === undefined ? 'hole' : `c${span.location.chunk}`;
}

test('between extents that were answered there are holes, behind them nothing is known', (t) => {
  const map = new ExtentMap(CHUNK);
  map.learn(5, 40, [extent(0, 1), extent(30, 2)], 0);
  const cases: [number, string][] = [
    [0, 'c1'],
    [9, 'c1'],
    [10, 'hole'],
    [29, 'hole'],
    [30, 'c2'],
    [39, 'c2'],
    [40, '?'],
  ];
  for (const [offset, expected] of cases) t.is(at(map, offset), expected, `at ${offset}`);
});

test('a sealed extent ends at its length, and the next begins there', (t) => {
  const map = new ExtentMap(CHUNK);
  map.learn(0, 10, [extent(0, 1)], 0);
  map.learn(0, 14, [extent(0, 1, 4), extent(4, 2)], 0);
  t.is(at(map, 3), 'c1');
  t.is(at(map, 4), 'c2');
  t.is(at(map, 13), 'c2');
  t.is(at(map, 14), '?');
  map.learn(4, 12, [extent(4, 2, 3)], 0);
  t.is(at(map, 6), 'c2');
  t.is(at(map, 7), 'hole');
  t.is(at(map, 12), '?');
});

test('a chunk added in a hole leaves the rest of the hole', (t) => {
  const map = new ExtentMap(CHUNK);
  map.learn(0, Number.POSITIVE_INFINITY, [], 0);
  map.learn(20, 30, [extent(20, 1)], 0);
  t.is(at(map, 19), 'hole');
  t.is(at(map, 25), 'c1');
  t.is(at(map, 30), 'hole');
});

test('whatever is learnt last is what is known', (t) => {
  const answer = fc.record({ from: fc.nat(60), cells: fc.uniqueArray(fc.nat(9), { maxLength: 5 }) });
  fc.assert(
    fc.property(fc.array(answer, { maxLength: 12 }), (answers) => {
      const map = new ExtentMap(CHUNK);
      const model = new Array<string>(100).fill('?');
      let chunk = 0;
      for (const { from, cells } of answers) {
        const extents = cells
          .map((cell) => cell * CHUNK)
          .filter((start) => start + CHUNK > from)
          .sort((a, b) => a - b)
          .map((start) => extent(start, ++chunk));
        const last = extents.at(-1);
        const to = last === undefined ? 100 : last.start + CHUNK;
        const first = Math.min(from, extents[0]?.start ?? from);
        // An extent that held the first offset, and is not in the answer, is gone with all it held.
        const gone = model[first];
        for (let offset = 0; offset < 100; offset += 1) {
          if (gone?.startsWith('c') && model[offset] === gone) model[offset] = '?';
        }
        model.fill('hole', first, to);
        for (const { start, chunk: name } of extents) model.fill(`c${name}`, start, start + CHUNK);
        map.learn(from, to, extents, 0);
      }
      for (let offset = 0; offset < 100; offset += 1)
        t.is(at(map, offset), model[offset] ?? '?', `at ${offset}`);
    }),
    { numRuns: 500 },
  );
});
