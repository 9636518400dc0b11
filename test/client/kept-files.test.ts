// Files that are open at the master, and at nobody's here.
import test from 'ava';
import { must } from '../../src/base/assert.ts';
import type { Figure } from '../../src/base/metrics.ts';
import { MINUTE_MS } from '../../src/base/units.ts';
import type { Call, GfsClient } from '../../src/client/api.ts';
import { inRealCluster, type RealCluster } from './real-cluster.ts';
import { codeFrom, inodeOf, ME, readAll, WRITING } from './world.ts';

const READING = { read: true };
const NEWS_MS = 100;
/** The master removes files that nobody has open a second after that was told. */
const REAPED_MS = 2000;
const SOMEBODY: Call = { caller: { uid: 1234, gid: 1234, groups: [7] } };
const ANOTHER: Call = { caller: { uid: 1234, gid: 1234, groups: [8] } };
const nameOf = (index: number) => Buffer.from(`f${String(index).padStart(3, '0')}`);

/** A reader whose kernel walks the paths, what it has open, and files of one client that have their names in them. */
async function library({ client, connect, sleep, network }: RealCluster, count: number) {
  const figures: Figure[] = [];
  const metrics = { add: (more: readonly Figure[]) => void figures.push(...more) };
  const reader = await connect({ kernelWalksPaths: true, metrics });
  const files = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const { file } = await client.create(client.rootInode, nameOf(index), WRITING, ME);
      await file.write(0, [nameOf(index)]);
      await file.close();
      return inodeOf(file);
    }),
  );
  // It listens by then.
  await sleep(NEWS_MS);
  const inodeAt = (index: number) => files[index] ?? client.rootInode;
  return {
    reader,
    inodeAt,
    /** As its kernel does: a look-up, an open, a read, a close. */
    read: async (index: number, call = ME) => {
      await reader.lookup(client.rootInode, nameOf(index), call);
      const { file } = await reader.open(inodeAt(index), READING, call);
      const bytes = await readAll(file);
      await file.close();
      return bytes.toString();
    },
    /** What it does meanwhile costs the master nothing. */
    withoutMaster: async <T>(work: () => Promise<T>): Promise<T> => {
      network.partition('c2', 'm');
      try {
        return await work();
      } finally {
        network.heal('c2', 'm');
      }
    },
    openCount: () =>
      must(
        figures.find(({ name }) => name === 'gfs_client_open_files'),
        'it counts',
      ).read(),
  };
}

const inodeCount = async (client: GfsClient) => {
  const { inodeCount, inodeCountFree } = await client.statFilesystem();
  return inodeCount - inodeCountFree;
};

test('who opens again what he has read asks the master nothing', (t) =>
  inRealCluster(1, async (cluster) => {
    const { reader, read, withoutMaster, openCount } = await library(cluster, 2);
    t.is(await read(0), 'f000');
    await withoutMaster(async () => {
      t.is(await read(0), 'f000');
      t.is(await read(0), 'f000');
    });
    t.is(openCount(), 1);
    await cluster.sleep(MINUTE_MS);
    t.is(openCount(), 0, 'nobody asked for it again');
    await reader.close();
  }));

test('what is kept is for its caller, and for who only reads', (t) =>
  inRealCluster(2, async (cluster) => {
    const { client } = cluster;
    const { reader, read, inodeAt, openCount } = await library(cluster, 1);
    t.is(await read(0, SOMEBODY), 'f000');
    t.is(await read(0, ANOTHER), 'f000');
    t.is(openCount(), 1, 'one of each file');
    await client.setAttributes(inodeAt(0), { mode: 0o600 }, ME);
    t.is(await codeFrom(read(0, ANOTHER)), 'PERMISSION_DENIED');
    await read(0);
    t.is(await codeFrom(read(0, ANOTHER)), 'PERMISSION_DENIED');
    await reader.setAttributes(inodeAt(0), { uid: 1234, mode: 0o600 }, ME);
    t.is(await read(0, ANOTHER), 'f000');
    await reader.setAttributes(inodeAt(0), { mode: 0o200 }, ME);
    t.is(await codeFrom(read(0, ANOTHER)), 'PERMISSION_DENIED');
    await read(0);
    const { file } = await reader.open(inodeAt(0), { read: true, write: true }, ME);
    await file.write(0, [Buffer.from('F')]);
    await file.close();
    t.is(await read(0), 'F000');
    await reader.close();
  }));

test('what others write is read by who had the file open before', (t) =>
  inRealCluster(3, async (cluster) => {
    const { client } = cluster;
    const { reader, read, inodeAt, openCount } = await library(cluster, 1);
    t.is(await read(0), 'f000');
    for (const text of ['first', 'second']) {
      const { file } = await client.open(inodeAt(0), WRITING, ME);
      t.is(openCount(), 0, 'the master tells who may be writing, and nothing is kept');
      await file.write(0, [Buffer.from(text)]);
      await file.close();
      t.is(await read(0), text);
      t.is(await read(0), text);
    }
    await reader.close();
  }));

test('an empty file that was kept shows what this client writes, before the master has heard of it', (t) =>
  inRealCluster(8, async (cluster) => {
    const { reader, read, inodeAt } = await library(cluster, 1);
    await reader.setAttributes(inodeAt(0), { length: 0 }, ME);
    t.is(await read(0), '');
    t.is(await read(0), '');
    const { file } = await reader.open(inodeAt(0), { read: true, write: true }, ME);
    const written = Buffer.concat([Buffer.alloc(100_000), Buffer.from('new')]);
    await file.write(100_000, [Buffer.from('new')]);
    // It goes to its chunk by itself.
    await cluster.sleep(500);
    t.is(await read(0), written.toString());
    t.deepEqual(await readAll(file), written);
    await file.close();
    t.is(await read(0), written.toString());
    await reader.close();
  }));

test('a file that is removed goes, though it was kept', (t) =>
  inRealCluster(4, async (cluster) => {
    const { client, sleep } = cluster;
    const { reader, read } = await library(cluster, 4);
    for (const index of [0, 1, 2, 3]) await read(index);
    const before = await inodeCount(client);
    await reader.unlink(client.rootInode, nameOf(0), ME);
    await sleep(REAPED_MS);
    t.is(await inodeCount(client), before - 1);
    await client.unlink(client.rootInode, nameOf(1), ME);
    await sleep(REAPED_MS);
    t.is(await inodeCount(client), before - 2);
    const place = (index: number) => ({ parent: client.rootInode, name: nameOf(index) });
    await reader.rename(place(2), place(3), {}, ME);
    await sleep(REAPED_MS);
    t.is(await inodeCount(client), before - 3);
    await reader.close();
  }));

test('who reads one file after the other has the next ones opened ahead', (t) =>
  inRealCluster(5, async (cluster) => {
    const { client } = cluster;
    const { reader, read, inodeAt, withoutMaster, openCount } = await library(cluster, 100);
    await client.setAttributes(inodeAt(20), { mode: 0o600 }, ME);
    const { file: written } = await client.open(inodeAt(21), WRITING, ME);
    for (let index = 0; index < 8; index += 1) t.is(await read(index, SOMEBODY), nameOf(index).toString());
    await withoutMaster(async () => {
      for (let index = 8; index < 16; index += 1) t.is(await read(index, SOMEBODY), nameOf(index).toString());
    });
    // The first seven, and a page of 32 without the one that he may not read and the one that is being written.
    t.is(openCount(), 7 + 32 - 2);
    t.is(await codeFrom(read(20, SOMEBODY)), 'PERMISSION_DENIED');
    t.is(await read(20), 'f020');
    await written.write(0, [Buffer.from('long text')]);
    await written.flush();
    t.is(await read(21), 'long text');
    await client.unlink(client.rootInode, nameOf(22), ME);
    t.is(await codeFrom(read(22, SOMEBODY)), 'NOT_FOUND');
    for (let index = 23; index < 100; index += 1) t.is(await read(index, SOMEBODY), nameOf(index).toString());
    await written.close();
    await cluster.sleep(MINUTE_MS);
    t.is(openCount(), 0);
    await reader.close();
  }));

test('files that are read in no order are not opened ahead', (t) =>
  inRealCluster(6, async (cluster) => {
    const { reader, read, openCount } = await library(cluster, 64);
    for (let index = 0; index < 40; index += 1) await read((index * 37) % 64);
    t.is(openCount(), 40);
    await reader.close();
  }));

test('a master that was started anew knows nothing of what was kept, and is asked', (t) =>
  inRealCluster(7, async (cluster) => {
    const { client, kill, start, sleep } = cluster;
    const { reader, read, inodeAt } = await library(cluster, 12);
    for (let index = 0; index < 12; index += 1) await read(index);
    kill('m');
    await start('m');
    t.is(await read(3), 'f003');
    const { file } = await reader.open(inodeAt(4), READING, ME);
    await client.unlink(client.rootInode, nameOf(4), ME);
    await sleep(NEWS_MS);
    t.is((await readAll(file)).toString(), 'f004');
    await file.close();
    await reader.close();
  }));
