// Where files have data and holes, and how much data the master believes them to have.
import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { KiB } from '../../src/base/units.ts';
import type { GfsClient, GfsFile } from '../../src/client/api.ts';
import { inRealCluster } from './real-cluster.ts';
import { codeFrom, inWorld, ME, pattern, WRITING } from './world.ts';

const ZEROS = { zeros: true, keepLength: true };
const HOLE = { ...ZEROS, hole: true };

/** Each run of data as [start, end). */
async function runsOf(file: GfsFile): Promise<number[][]> {
  const runs: number[][] = [];
  for (let position = 0; ; ) {
    const start = await file.seek(position, 'data');
    if (start === undefined) return runs;
    const end = (await file.seek(start, 'hole')) ?? 0;
    runs.push([start, end]);
    position = end;
    if ((await file.seek(position, 'hole')) === undefined) return runs;
  }
}

test('data is what was written and not zeroed since, here or elsewhere, sent or not', (t) =>
  inRealCluster(1, async ({ client, connect }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const other = await connect();
    const { file: theirs } = await other.open(file.inode, { read: true, write: true }, ME);
    t.is(await file.seek(0, 'data'), undefined);
    t.is(await file.seek(0, 'hole'), undefined);
    await file.truncate(5000 * KiB);
    t.deepEqual(await runsOf(file), []);
    t.is(await file.seek(7, 'hole'), 7);
    await file.write(1000 * KiB, [pattern(100 * KiB)]);
    const first = [1000 * KiB, 1100 * KiB];
    t.deepEqual(await runsOf(file), [first]);
    await theirs.write(3000 * KiB, [pattern(10)]);
    await theirs.flush();
    const second = [3000 * KiB, 3004 * KiB];
    t.deepEqual(await runsOf(file), [first, second]);
    t.deepEqual(await runsOf(theirs), [first, second]);
    await theirs.allocate(1000 * KiB + 5, 90 * KiB, HOLE);
    const left = [
      [1000 * KiB, 1004 * KiB],
      [1088 * KiB, 1100 * KiB],
    ];
    t.deepEqual(await runsOf(file), [...left, second]);
    // Wherever one asks within a run, the answer speaks of the same runs.
    t.is(await file.seek(1000 * KiB + 3, 'data'), 1000 * KiB + 3);
    t.is(await file.seek(1000 * KiB + 3, 'hole'), 1004 * KiB);
    t.is(await file.seek(1000 * KiB - 1, 'data'), 1000 * KiB);
    t.is(await file.seek(1000 * KiB - 1, 'hole'), 1000 * KiB - 1);
    t.is(await file.seek(1088 * KiB - 1, 'data'), 1088 * KiB);
    t.is(await file.seek(5000 * KiB - 1, 'hole'), 5000 * KiB - 1);
    t.is(await file.seek(5000 * KiB, 'hole'), undefined);
    t.is(await codeFrom(file.seek(-1, 'hole')), 'INVALID_ARGUMENT');
    // A hole that is filled by the other while it is known as one here.
    await theirs.write(0, [pattern(10)]);
    await theirs.flush();
    t.is(await file.seek(0, 'data'), 0);
    await theirs.close();
    await file.close();
    await other.close();
  }));

test('behind a sealed chunk the next one is looked at, whoever knew of it', (t) =>
  inRealCluster(2, async ({ client, connect }) => {
    const appending = { ...WRITING, append: true };
    const { file } = await client.create(client.rootInode, Buffer.from('f'), appending, ME);
    const other = await connect();
    const { file: theirs } = await other.open(file.inode, { read: true }, ME);
    await file.append([pattern(60 * KiB)]);
    t.is(await theirs.seek(0, 'hole'), 60 * KiB);
    for (let count = 1; count < 10; count += 1) await file.append([pattern(60 * KiB, count)]);
    t.is(await theirs.seek(0, 'hole'), 600 * KiB);
    await theirs.close();
    await file.close();
    await other.close();
  }));

test('a server that cannot tell is passed over, and where none can it is data', (t) =>
  inRealCluster(3, async ({ client, kill, start, sleep }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    await file.truncate(800 * KiB);
    await file.write(5, [pattern(10)]);
    await file.write(300 * KiB, [pattern(10)]);
    await file.sync();
    kill('s1');
    const runs = [
      [0, 4 * KiB],
      [300 * KiB, 304 * KiB],
    ];
    t.deepEqual(await runsOf(file), runs);
    kill('s2');
    kill('s3');
    t.is(await file.seek(300 * KiB + 10, 'data'), 300 * KiB + 10);
    for (const server of ['s1', 's2', 's3']) await start(server);
    await sleep(5000);
    await file.close();
  }));

for (const code of ['NOT_READY', 'VERSION_MISMATCH'] as const) {
  test(`while all members say ${code} they are asked again, and a hole stays one`, (t) =>
    inWorld({}, async ({ cluster, create }) => {
      const { file } = await create('f');
      await file.write(300 * KiB, [pattern(10, 1)]);
      await file.flush();
      let refused = 0;
      cluster.onCall = ({ method }) => {
        if (method !== 'FindData' || refused === 7) return;
        refused += 1;
        throw new GfsError(code, 'soon');
      };
      t.is(await file.seek(256 * KiB + 1, 'hole'), 256 * KiB + 1);
      t.is(refused, 7);
      t.is(await file.seek(256 * KiB + 1, 'data'), 300 * KiB);
      refused = 0;
      const controller = new AbortController();
      const sought = codeFrom(file.seek(256 * KiB, 'data', { signal: controller.signal }));
      controller.abort();
      t.is(await sought, 'CANCELLED', 'whoever waits can be stopped');
      await file.close();
    }));
}

async function holesOf(client: GfsClient, file: GfsFile): Promise<[number, number]> {
  await file.flush();
  const { length, holeBytes } = await client.attributes(file.inode, ME);
  return [length, holeBytes];
}

test('the master knows how much of a file was never written, and never takes data for a hole', (t) =>
  inRealCluster(4, async ({ client, connect, kill, sleep }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    await file.write(0, [pattern(1000)]);
    t.deepEqual(await holesOf(client, file), [1000, 0]);
    await file.write(0, [pattern(1000)]);
    t.deepEqual(await holesOf(client, file), [1000, 0]);
    await file.truncate(10_000);
    t.deepEqual(await holesOf(client, file), [10_000, 9000]);
    await file.write(900_000, [pattern(100_000)]);
    t.deepEqual(await holesOf(client, file), [1_000_000, 899_000]);
    await file.allocate(0, 2_000_000);
    t.deepEqual(await holesOf(client, file), [2_000_000, 0]);
    await file.allocate(1_000_000, 300_000, HOLE);
    t.deepEqual(await holesOf(client, file), [2_000_000, 300_000]);
    await file.allocate(1_000_000, 100_000, ZEROS);
    t.deepEqual(await holesOf(client, file), [2_000_000, 200_000]);
    await file.truncate(50_000);
    t.deepEqual(await holesOf(client, file), [50_000, 0], 'what is left may be what was written');
    await file.truncate(0);
    await file.truncate(50_000);
    t.deepEqual(await holesOf(client, file), [50_000, 50_000]);
    // Written and not told yet: it may lie in the hole.
    await file.write(100, [pattern(10)]);
    t.is((await file.attributes()).holeBytes, 49_990);
    const other = await connect();
    t.is((await other.attributes(file.inode, ME)).holeBytes, 49_999);
    await file.close();
    t.is((await other.attributes(file.inode, ME)).holeBytes, 49_990);
    // Whoever dies takes with him what he wrote: nobody knows.
    const dying = await connect();
    const { file: lost } = await dying.open(file.inode, { write: true }, ME);
    await lost.write(20_000, [pattern(10)]);
    await sleep(1000);
    kill('c3');
    for (let waited = 0; waited < 120; waited += 1) {
      await sleep(1000);
      if ((await other.attributes(file.inode, ME)).holeBytes === 0) break;
    }
    t.is((await other.attributes(file.inode, ME)).holeBytes, 0);
    await other.close();
  }));

test('what becomes a hole is data no more', (t) =>
  inRealCluster(6, async ({ client }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const HOLES_AFTER = [
      [100 * KiB, 300 * KiB, 300 * KiB],
      // A part of it was zeros before.
      [0, 200 * KiB, 400 * KiB],
      [500 * KiB, 900 * KiB, 900 * KiB],
    ] as const;
    await file.write(0, [pattern(1000 * KiB)]);
    t.deepEqual(await holesOf(client, file), [1000 * KiB, 0]);
    for (const [offset, length, holes] of HOLES_AFTER) {
      await file.allocate(offset, length, HOLE);
      t.deepEqual(await holesOf(client, file), [1000 * KiB, holes], `${offset}+${length}`);
    }
    await file.allocate(0, 1000 * KiB, HOLE);
    t.deepEqual(await holesOf(client, file), [1000 * KiB, 1000 * KiB]);
    await file.write(0, [pattern(10)]);
    t.deepEqual(await holesOf(client, file), [1000 * KiB, 1000 * KiB - 10]);
    // A copy of a hole over data, and in its middle.
    const { file: source } = await client.create(client.rootInode, Buffer.from('s'), WRITING, ME);
    await source.write(92 * KiB, [pattern(10)]);
    await file.write(0, [pattern(100 * KiB)]);
    const before = (await holesOf(client, file))[1];
    await file.copyFrom(source, { sourceOffset: 0, fileOffset: 0, length: 92 * KiB + 10 });
    t.deepEqual(await holesOf(client, file), [1000 * KiB, before + 92 * KiB - 10]);
    await source.close();
    await file.close();
  }));

test('what one open file is just telling the master, another that is closed meanwhile does not tell again', (t) =>
  inRealCluster(5, async ({ client }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const { file: second } = await client.open(file.inode, { write: true }, ME);
    await file.truncate(10_000);
    await file.write(5000, [pattern(100)]);
    await Promise.all([file.flush(), second.close()]);
    t.deepEqual(await holesOf(client, file), [10_000, 9900]);
    await file.write(7000, [pattern(1)]);
    t.deepEqual(await holesOf(client, file), [10_000, 9899]);
    await file.close();
  }));
