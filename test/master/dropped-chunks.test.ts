import test from 'ava';
import type { ChunkHandle, ServerId } from '../../src/base/ids.ts';
import { fenceChunks } from '../../src/master/dropped-chunks.ts';

type Parts = Parameters<typeof fenceChunks>[0];

test('P20: a dropped chunk that another file shares since is not deleted; one that nobody has is', async (t) => {
  const deleted: [number, readonly number[]][] = [];
  const shared = 5 as ChunkHandle;
  const gone = 6 as ChunkHandle;
  const parts = {
    metadata: { state: { chunk: (chunk: ChunkHandle) => (chunk === shared ? {} : undefined) } },
    calls: { delete: async (server: number, chunks: readonly number[]) => deleted.push([server, chunks]) },
  } as unknown as Parts;
  const members = [1 as ServerId];
  await fenceChunks(
    parts,
    [shared, gone].map((chunk) => ({ chunk, members })),
  );
  t.deepEqual(deleted, [[1, [gone]]]);
});
