// Files that want another number of copies than the file system has by default: three.
import test, { type ExecutionContext } from 'ava';
import { KiB, MINUTE_MS } from '../../src/base/units.ts';
import type { GfsClient, GfsFile } from '../../src/client/api.ts';
import { inRealCluster, type RealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, readAll, WRITING } from './world.ts';

async function create(client: GfsClient, name: string, goal?: number): Promise<GfsFile> {
  return (await client.create(client.rootInode, Buffer.from(name), { ...WRITING, goal }, ME)).file;
}

/** How many members each chunk of the file has. */
async function memberCounts(client: GfsClient, { inode }: GfsFile): Promise<number[]> {
  return (await client.statFile(inode, ME)).extents.map(({ members }) => members.length);
}

/** Within ten minutes. */
async function become(
  t: ExecutionContext,
  { client, sleep }: RealCluster,
  file: GfsFile,
  counts: readonly number[],
): Promise<void> {
  for (let waited = 0; waited < 10 * MINUTE_MS; waited += 1000) {
    if ((await memberCounts(client, file)).join() === counts.join()) break;
    await sleep(1000);
  }
  t.deepEqual(await memberCounts(client, file), counts);
}

test('a file has as many copies of each chunk as its maker wants, also of those that come later', (t) =>
  inRealCluster(
    1,
    async ({ client, connect }) => {
      const other = await connect();
      for (const goal of [1, 2, 5]) {
        const file = await create(client, `f${goal}`, goal);
        await file.write(0, [pattern(300 * KiB)]);
        await file.sync();
        t.deepEqual(await memberCounts(client, file), [goal, goal]);
        // Another client, which knows nothing of it, adds to it, and begins it anew.
        const { file: theirs } = await other.open(file.inode, WRITING, ME);
        await theirs.write(600 * KiB, [pattern(10)]);
        await theirs.close();
        t.deepEqual(await memberCounts(client, file), [goal, goal, goal]);
        const again = { ...WRITING, truncate: true };
        const { file: anew } = await other.create(other.rootInode, Buffer.from(`f${goal}`), again, ME);
        await anew.write(0, [pattern(10)]);
        await anew.close();
        t.deepEqual(await memberCounts(client, file), [goal]);
        t.is((await client.attributes(file.inode, ME)).goal, goal);
        await file.close();
      }
      const plain = await create(client, 'plain');
      await plain.write(0, [pattern(10)]);
      await plain.sync();
      t.deepEqual(await memberCounts(client, plain), [3]);
      t.is(await codeFrom(create(client, 'none', 10)), 'INVALID_ARGUMENT');
    },
    { serverCount: 6 },
  ));

test('copies that are lost are made again, and no more than are wanted; those that lacked a server, when it comes', (t) =>
  inRealCluster(
    2,
    async (cluster) => {
      const { client, kill, start, sleep } = cluster;
      const [few, many] = [await create(client, 'few', 2), await create(client, 'many', 5)];
      for (const file of [few, many]) {
        await file.write(0, [pattern(1000)]);
        await file.sync();
      }
      t.deepEqual(await memberCounts(client, many), [4], 'as many as there are');
      const [member] = (await client.statFile(few.inode, ME)).extents[0]?.members ?? [];
      const machine = member?.address.split(':')[0] ?? '';
      kill(machine);
      await become(t, cluster, few, [2]);
      const left = async () =>
        (await client.statFile(few.inode, ME)).extents[0]?.members.map(({ server }) => server) ?? [];
      while ((await left()).includes(member?.server ?? 0)) await sleep(1000);
      await become(t, cluster, few, [2]);
      await start(machine);
      await start('s5');
      await become(t, cluster, many, [5]);
      t.deepEqual(await memberCounts(client, few), [2]);
      t.deepEqual(await readAll(many), pattern(1000));
    },
    { serverCount: 4 },
  ));

test('a chunk that two files share has as many copies as the one wants that wants more, and a clone its own', (t) =>
  inRealCluster(
    3,
    async (cluster) => {
      const { client } = cluster;
      const length = 2048 * KiB;
      const [source, target] = [await create(client, 's', 2), await create(client, 't', 4)];
      await source.write(0, [pattern(length)]);
      await source.sync();
      t.is(await target.copyFrom(source, { sourceOffset: 0, fileOffset: 0, length }), length);
      const chunks = async (file: GfsFile) =>
        (await client.statFile(file.inode, ME)).extents.map(({ chunk }) => chunk);
      t.deepEqual(await chunks(source), await chunks(target), 'they share them');
      await become(t, cluster, target, Array(8).fill(4));
      await source.write(0, [pattern(10, 1)]);
      await source.sync();
      t.notDeepEqual(await chunks(source), await chunks(target));
      await become(t, cluster, target, Array(8).fill(4));
      t.deepEqual(await readAll(target), pattern(length));
    },
    { serverCount: 5 },
  ));
