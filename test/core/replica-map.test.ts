import test from 'ava';
import { type Segment, SegmentMap, type SegmentSource } from '../../src/core/replica-map.ts';
import { Random } from '../sim/random.ts';

/** Where each byte is, one by one. */
function bytesOf(segments: readonly Segment[]): string[] {
  return segments.flatMap(({ start, end, source, at }) =>
    Array.from({ length: end - start }, (_, index) => (source === 'log' ? `log ${at + index}` : source)),
  );
}

test('a map says of each byte what a list of bytes says', (t) => {
  const dice = new Random('map');
  for (let round = 0; round < 300; round += 1) {
    const map = new SegmentMap();
    let model: string[] = [];
    for (let step = 0; step < 20; step += 1) {
      const start = dice.below(60);
      const end = start + 1 + dice.below(30);
      const extended = (length: number) =>
        Array.from({ length: Math.max(length, model.length) }, (_, index) => model[index] ?? 'zero');
      if (dice.chance(0.8)) {
        const source = dice.pick<SegmentSource>(['zero', 'data', 'log']);
        const segment = { start, end, source, at: source === 'log' ? dice.below(1000) : 0 };
        map.put(segment);
        model = extended(start);
        model.splice(start, end - start, ...bytesOf([segment]));
      } else {
        map.setLength(start);
        model = extended(start).slice(0, start);
      }
      t.deepEqual(bytesOf(map.segments), model);
      t.is(map.length, model.length);
      t.deepEqual(bytesOf(map.within(start, end)), model.slice(start, end));
    }
  }
});

test('what follows itself is one segment', (t) => {
  const map = new SegmentMap();
  map.put({ start: 0, end: 10, source: 'log', at: 100 });
  map.put({ start: 10, end: 30, source: 'log', at: 110 });
  map.put({ start: 30, end: 31, source: 'data', at: 0 });
  map.put({ start: 31, end: 64, source: 'data', at: 0 });
  t.deepEqual(map.segments, [
    { start: 0, end: 30, source: 'log', at: 100 },
    { start: 30, end: 64, source: 'data', at: 0 },
  ]);
});
