// Whole extents of a range that becomes zeros: they go, with their chunks.
import test from 'ava';
import { KiB } from '../../src/base/units.ts';
import type { GfsClient, GfsFile } from '../../src/client/api.ts';
import { inRealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, readAll, WRITING } from './world.ts';

const CHUNK = 256 * KiB;
const ZEROS = { zeros: true, keepLength: true };
const HOLE = { ...ZEROS, hole: true };
const APPENDING = { ...WRITING, append: true };

async function create(client: GfsClient, name: string, mode = WRITING): Promise<GfsFile> {
  return (await client.create(client.rootInode, Buffer.from(name), mode, ME)).file;
}

/** Offsets of the extents, in chunks. */
async function placesOf(client: GfsClient, { inode }: GfsFile): Promise<number[]> {
  return (await client.statFile(inode, ME)).extents.map(({ start }) => start / CHUNK);
}

async function handlesOf(client: GfsClient, { inode }: GfsFile): Promise<number[]> {
  return (await client.statFile(inode, ME)).extents.map(({ chunk }) => chunk);
}

async function holeBytesOf(client: GfsClient, { inode }: GfsFile): Promise<number> {
  return (await client.attributes(inode, ME)).holeBytes;
}

test('extents that lie in a hole go, and their chunks; what is written there again is new', (t) =>
  inRealCluster(1, async ({ client, connect, disk, sleep }) => {
    const file = await create(client, 'f');
    const other = await connect();
    const { file: theirs } = await other.open(file.inode, { read: true, write: true }, ME);
    const model = pattern(4 * CHUNK + 100);
    await file.write(0, [model]);
    await file.sync();
    const isAsModel = async (what: string) => {
      for (const one of [file, theirs]) t.true((await readAll(one)).equals(model), what);
    };
    const check = async (
      [start, end]: readonly [number, number],
      how: typeof ZEROS,
      places: number[],
      holeBytes: number,
    ) => {
      const what = `${start}-${end}`;
      await isAsModel(`before ${what}`);
      await file.allocate(start, end - start, how);
      model.fill(0, Math.min(start, model.length), Math.min(end, model.length));
      t.deepEqual(await placesOf(client, file), places, what);
      t.is(await holeBytesOf(client, file), holeBytes, what);
      await isAsModel(what);
    };
    await check([CHUNK + 1, 2 * CHUNK], HOLE, [0, 1, 2, 3, 4], CHUNK - 1);
    await check([CHUNK - 1, 2 * CHUNK], HOLE, [0, 2, 3, 4], CHUNK + 1);
    t.is(await file.seek(CHUNK, 'data'), 2 * CHUNK);
    t.is(await theirs.seek(5, 'hole'), CHUNK);
    // To the end of the file and further: what is not full stays.
    await check([3 * CHUNK, 9 * CHUNK], HOLE, [0, 2, 4], 2 * CHUNK + 101);
    t.is(await file.seek(3 * CHUNK, 'data'), undefined);
    // It counts as data, as fallocate(2) has it, and takes no room either.
    await check([2 * CHUNK, 3 * CHUNK], ZEROS, [0, 4], 2 * CHUNK + 101);
    const usedBytes = () => ['s1', 's2', 's3'].map((server) => disk(server).names.usedBytes());
    await sleep(5000);
    for (const used of usedBytes()) t.true(used < 2.5 * CHUNK, `${used} bytes`);
    const handles = await handlesOf(client, file);
    for (const [by, at] of [
      [file, CHUNK + 10],
      [theirs, 3 * CHUNK],
      [theirs, 2 * CHUNK - 500],
    ] as const) {
      await by.write(at, [pattern(1000, at)]);
      pattern(1000, at).copy(model, at);
      await by.sync();
      await isAsModel(`written at ${at}`);
    }
    t.deepEqual(await placesOf(client, file), [0, 1, 2, 3, 4]);
    const now = await handlesOf(client, file);
    t.deepEqual([now[0], now[4]], handles);
    await theirs.close();
    await file.close();
    await other.close();
  }));

test('of a file that is all hole no extent is left, and a record goes to its end', (t) =>
  inRealCluster(2, async ({ client, connect }) => {
    const file = await create(client, 'f', APPENDING);
    const other = await connect();
    const { file: theirs } = await other.open(file.inode, APPENDING, ME);
    await theirs.write(0, [pattern(2 * CHUNK)]);
    await theirs.flush();
    await file.allocate(0, 2 * CHUNK, HOLE);
    t.deepEqual(await placesOf(client, file), []);
    t.is((await other.attributes(file.inode, ME)).length, 2 * CHUNK);
    t.is(await theirs.append([pattern(1000, 1)]), 2 * CHUNK);
    t.is(await file.append([pattern(1000, 2)]), 2 * CHUNK + 1000);
    const expected = Buffer.concat([Buffer.alloc(2 * CHUNK), pattern(1000, 1), pattern(1000, 2)]);
    t.true((await readAll(file)).equals(expected));
    await file.close();
    await theirs.close();
    await other.close();
  }));

test('sealed extents that end before their place does stay, and what lies between them is found again', (t) =>
  inRealCluster(3, async ({ client }) => {
    const file = await create(client, 'f', APPENDING);
    const records: Buffer[] = [];
    for (let number = 0; number < 12; number += 1) records.push(pattern(60 * KiB, number));
    for (const record of records) await file.append([record]);
    const model = Buffer.concat(records);
    // Four of them in a chunk.
    const sealed = (await client.statFile(file.inode, ME)).extents.map(({ start }) => start / KiB);
    t.deepEqual(sealed, [0, 240, 480]);
    const write = async (at: number, bytes: Buffer) => {
      await file.write(at, [bytes]);
      await file.flush();
      bytes.copy(model, at);
    };
    await file.allocate(0, 480 * KiB, HOLE);
    model.fill(0, 0, 480 * KiB);
    t.true((await readAll(file)).equals(model));
    for (const border of sealed.slice(1)) {
      await write((border - 1) * KiB, pattern(2 * KiB, border));
      await write(border * KiB + 5, pattern(100, border + 1));
    }
    t.true((await readAll(file)).equals(model));
    // One that is full is as one that was never sealed.
    const full = await create(client, 'full', APPENDING);
    for (let number = 0; number < 9; number += 1) await full.append([pattern(64 * KiB, number)]);
    t.is((await client.statFile(full.inode, ME)).extents[0]?.sealedLength, CHUNK);
    await full.allocate(0, 2 * CHUNK, HOLE);
    t.deepEqual(await placesOf(client, full), [2]);
    await full.write(CHUNK - 10, [pattern(20)]);
    const expected = Buffer.alloc(2 * CHUNK + 64 * KiB);
    pattern(20).copy(expected, CHUNK - 10);
    pattern(64 * KiB, 8).copy(expected, 2 * CHUNK);
    t.true((await readAll(full)).equals(expected));
    await file.close();
    await full.close();
  }));

test('of a shared extent one of the files lets go, without a clone; also on disks that have no room', (t) =>
  inRealCluster(4, async ({ client, connect, disk, sleep }) => {
    const [source, target] = [await create(client, 's'), await create(client, 't')];
    const other = await connect();
    const { file: theirs } = await other.open(target.inode, { read: true, write: true }, ME);
    const data = pattern(3 * CHUNK);
    await source.write(0, [data]);
    await source.sync();
    t.is(await target.copyFrom(source, { sourceOffset: 0, fileOffset: 0, length: 3 * CHUNK }), 3 * CHUNK);
    const handles = await handlesOf(client, source);
    t.deepEqual(await handlesOf(client, target), handles);
    t.true((await readAll(theirs)).equals(data));
    for (const server of ['s1', 's2', 's3']) disk(server).fill();
    await sleep(2000);
    await source.allocate(0, CHUNK, HOLE);
    await theirs.allocate(CHUNK, 2 * CHUNK, HOLE);
    for (const server of ['s1', 's2', 's3']) disk(server).empty();
    await sleep(2000);
    t.deepEqual(await handlesOf(client, source), handles.slice(1));
    t.deepEqual(await handlesOf(client, target), handles.slice(0, 1));
    for (const file of [source, target]) t.is((await file.attributes()).length, 3 * CHUNK);
    t.is(await holeBytesOf(client, source), CHUNK);
    t.is(await holeBytesOf(client, target), 2 * CHUNK);
    const [first, rest] = [data.subarray(0, CHUNK), data.subarray(CHUNK)];
    t.true((await readAll(source)).equals(Buffer.concat([Buffer.alloc(CHUNK), rest])));
    for (const file of [target, theirs]) {
      t.true((await readAll(file)).equals(Buffer.concat([first, Buffer.alloc(2 * CHUNK)])));
    }
    // Of each chunk one file is left, and goes on with it.
    await source.write(CHUNK, [pattern(10, 1)]);
    await target.write(0, [pattern(10, 2)]);
    for (const file of [source, target]) await file.sync();
    t.deepEqual(await handlesOf(client, source), handles.slice(1));
    t.deepEqual(await handlesOf(client, target), handles.slice(0, 1));
    for (const file of [source, target, theirs]) await file.close();
    await other.close();
  }));

test('a shared extent that the file ends in is cloned and zeroed, as it cannot go', (t) =>
  inRealCluster(7, async ({ client, connect }) => {
    const [source, target] = [await create(client, 's'), await create(client, 't')];
    const other = await connect();
    const { file: theirs } = await other.open(target.inode, { read: true }, ME);
    const length = 2 * CHUNK - 100;
    await source.write(0, [pattern(length)]);
    await source.sync();
    t.is(await target.copyFrom(source, { sourceOffset: 0, fileOffset: 0, length }), length);
    const handles = await handlesOf(client, source);
    t.deepEqual(await handlesOf(client, target), handles);
    t.true((await readAll(theirs)).equals(pattern(length)));
    await target.allocate(0, 4 * CHUNK, HOLE);
    t.deepEqual(await placesOf(client, target), [1]);
    t.false((await handlesOf(client, target)).includes(handles[1] as never));
    for (const file of [target, theirs]) t.true((await readAll(file)).equals(Buffer.alloc(length)));
    t.is(await holeBytesOf(client, target), length);
    t.true((await readAll(source)).equals(pattern(length)));
    for (const file of [source, target, theirs]) await file.close();
    await other.close();
  }));

test('on disks that are full a whole extent goes, and its room is there for others; a part of one is refused', (t) =>
  inRealCluster(6, async ({ client, disk, sleep }) => {
    const file = await create(client, 'f');
    const data = pattern(4 * CHUNK);
    await file.write(0, [data]);
    await file.sync();
    const servers = ['s1', 's2', 's3'].map(disk);
    for (const full of servers) full.fill();
    await sleep(2000);
    t.is(await codeFrom(file.allocate(CHUNK, 100 * KiB, HOLE)), 'NO_SPACE');
    await file.allocate(0, CHUNK, HOLE);
    await file.allocate(2 * CHUNK, 2 * CHUNK, HOLE);
    t.deepEqual(await placesOf(client, file), [1]);
    t.is(await holeBytesOf(client, file), 3 * CHUNK);
    data.fill(0, 0, CHUNK).fill(0, 2 * CHUNK);
    t.true((await readAll(file)).equals(data));
    for (const full of servers) full.capacityBytes += 1024 * KiB;
    await sleep(5000);
    await file.write(0, [pattern(100)]);
    await file.sync();
    pattern(100).copy(data);
    t.true((await readAll(file)).equals(data));
    for (const full of servers) full.empty();
    await file.close();
  }));

test('a range with more extents than go at once is all hole', (t) =>
  inRealCluster(5, async ({ client }) => {
    const file = await create(client, 'f');
    const count = 1100;
    for (let index = 0; index < count; index += 1) await file.write(index * CHUNK, [pattern(10, index)]);
    await file.truncate(count * CHUNK);
    await file.allocate(CHUNK, (count - 1) * CHUNK, HOLE);
    t.deepEqual(await placesOf(client, file), [0]);
    t.is(await file.seek(10, 'data'), 10);
    t.is(await file.seek(4 * KiB, 'data'), undefined);
    await file.close();
  }));

test('what others write while extents go is zeros or there, and what they write then is there', async (t) => {
  for (const seed of [1, 2, 3]) {
    await inRealCluster(seed, async ({ simulation, client, connect, sleep }) => {
      const dice = simulation.random.fork('workload');
      const file = await create(client, 'f');
      await file.truncate(2 * CHUNK);
      const other = await connect();
      const { file: theirs } = await other.open(file.inode, { read: true, write: true }, ME);
      for (let round = 0; round < 30; round += 1) {
        const [early, late] = [pattern(100, 2 * round), pattern(100, 2 * round + 1)];
        await file.write(CHUNK + 5, [early]);
        await file.flush();
        const punched = file.allocate(0, 2 * CHUNK, HOLE);
        await sleep(dice.below(8));
        await theirs.write(300, [early]);
        await theirs.flush();
        await punched;
        await theirs.write(200, [late]);
        if (dice.chance(0.5)) await file.write(CHUNK, [late]);
        await theirs.sync();
        const found = await readAll(theirs);
        t.true(found.subarray(200, 300).equals(late), `seed ${seed}, round ${round}`);
        const between = found.subarray(300, 400);
        t.true(between.equals(early) || between.equals(Buffer.alloc(100)), `seed ${seed}, round ${round}`);
        t.true((await readAll(file)).subarray(0, 400).equals(found.subarray(0, 400)));
      }
      await theirs.close();
      await file.close();
      await other.close();
    });
  }
});
