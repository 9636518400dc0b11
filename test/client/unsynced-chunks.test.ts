import test from 'ava';
import { UnsyncedChunks } from '../../src/client/unsynced-chunks.ts';

test('a chunk waits for a sync in each extent that has it, from its lowest version on', (t) => {
  const unsynced = new UnsyncedChunks();
  unsynced.add({ chunk: 7, start: 0, version: 3 });
  unsynced.add({ chunk: 7, start: 100, version: 4 });
  unsynced.add({ chunk: 7, start: 0, version: 5 });
  t.deepEqual(
    [...unsynced.take()],
    [
      { chunk: 7, start: 0, version: 3 },
      { chunk: 7, start: 100, version: 4 },
    ],
  );
  t.deepEqual([...unsynced.take()], []);
});

test('what was replaced waits for nothing', (t) => {
  const unsynced = new UnsyncedChunks();
  for (const start of [0, 100, 200]) unsynced.add({ chunk: 7, start, version: 1 });
  unsynced.replaced(100, 200);
  t.deepEqual(
    [...unsynced.take()].map(({ start }) => start),
    [0, 200],
  );
});
