// Design, section 10: a full disk is refused in the push, other servers are chosen, ENOSPC only when none has room.
import test from 'ava';
import { must } from '../../src/base/assert.ts';
import { inodeId } from '../../src/base/ids.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import type { GfsFile } from '../../src/client/api.ts';
import type { GfsClient } from '../../src/client/gfs-client.ts';
import { inRealCluster, type RealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, readAll, WRITING } from './world.ts';

const APPENDING = { ...WRITING, append: true };
/** Of the file's extents. */
const membersOf = async (client: GfsClient, file: GfsFile) =>
  (await client.statFile(inodeId(file.inode), ME)).extents.map(({ members }) =>
    members.map(({ server }) => server),
  );

/** Not a byte is left, or only what is kept for records. */
const FULLNESS = { 'to the last byte': 0, 'up to its reserve': 1 * MiB };
type Fullness = keyof typeof FULLNESS;

/** Resolves when the servers know: free space is looked at now and then. */
async function fill(
  { disk, sleep }: RealCluster,
  servers: Iterable<number>,
  fullness: Fullness = 'up to its reserve',
): Promise<void> {
  for (const server of servers) {
    const full = disk(`s${server}`);
    full.fill();
    full.capacityBytes += FULLNESS[fullness];
  }
  await sleep(1500);
}

async function create({ client }: RealCluster, name: string, mode = WRITING): Promise<GfsFile> {
  return (await client.create(client.rootInode, Buffer.from(name), mode, ME)).file;
}

for (const fullness of Object.keys(FULLNESS) as Fullness[]) {
  for (const who of ['primary', 'secondary'] as const) {
    test(`a ${who} that is full ${fullness} is left out; writes and appends go on`, (t) =>
      inRealCluster(
        `${who} ${fullness}`,
        async (cluster) => {
          const { client, simulation } = cluster;
          const file = await create(cluster, 'f');
          const log = await create(cluster, 'log', APPENDING);
          await file.write(0, [pattern(150 * KiB)]);
          await file.sync();
          await log.append([pattern(1000)]);
          const [extent] = (await client.statFile(inodeId(file.inode), ME)).extents;
          const found = must(extent, 'it was written').members.find(
            ({ server }) => (server === extent?.primary) === (who === 'primary'),
          );
          const { server: full } = must(found, 'there are such members');
          await fill(cluster, [full], fullness);
          const startMs = simulation.nowMs;
          const model = Buffer.alloc(600 * KiB);
          pattern(150 * KiB).copy(model);
          // Overwritten and extended, large and small, into the next chunks.
          for (const [at, length] of [
            [10 * KiB, 100 * KiB],
            [3, 100],
            [150 * KiB, 450 * KiB],
          ] as const) {
            const bytes = pattern(length, at);
            await file.write(at, [bytes]);
            bytes.copy(model, at);
            await file.flush();
          }
          for (let count = 1; count <= 8; count += 1) {
            await log.append([pattern(count % 2 === 0 ? 1000 : 64 * KiB, count)]);
          }
          await file.sync();
          await log.sync();
          t.true(simulation.nowMs - startMs < 10_000, `${simulation.nowMs - startMs} ms`);
          t.true((await readAll(file)).equals(model));
          const sizes = Array.from({ length: 9 }, (_, count) => (count % 2 === 0 ? 1000 : 64 * KiB));
          const records = sizes.map((size, count) => pattern(size, count));
          t.true((await readAll(log)).equals(Buffer.concat(records)));
          for (const members of await membersOf(client, file)) t.false(members.includes(full));
          cluster.disk(`s${full}`).empty();
          await file.close();
          await log.close();
        },
        { serverCount: 4 },
      ));
  }

  test(`P23: a chunk that nobody wrote before a server got full ${fullness} goes to servers with room`, (t) =>
    inRealCluster(
      `unwritten ${fullness}`,
      async (cluster) => {
        const { client } = cluster;
        const large = await create(cluster, 'large');
        const small = await create(cluster, 'small');
        const log = await create(cluster, 'log', APPENDING);
        await fill(cluster, [1], fullness);
        await large.write(0, [pattern(200 * KiB)]);
        await large.flush();
        await small.write(0, [pattern(100)]);
        await small.flush();
        t.is(await log.append([pattern(1000, 1)]), 0);
        for (const file of [large, small, log]) {
          const [members = []] = await membersOf(client, file);
          // Small data is with the order: who then refuses it is left out, rather than the chunk given up.
          t.true(members.length === 3 || (members.length === 2 && file !== large));
          t.false(members.includes(1));
        }
        t.true((await readAll(large)).equals(pattern(200 * KiB)));
        t.true((await readAll(small)).equals(pattern(100)));
        t.true((await readAll(log)).equals(pattern(1000, 1)));
        for (const file of [large, small, log]) await file.close();
      },
      { serverCount: 4 },
    ));
}

test('where no member can be spared, a file goes on in another chunk behind what it holds', (t) =>
  inRealCluster(
    'none to spare',
    async (cluster) => {
      const { client } = cluster;
      const file = await create(cluster, 'f');
      const log = await create(cluster, 'log', APPENDING);
      await file.write(0, [pattern(50 * KiB)]);
      await file.sync();
      await log.append([pattern(1000)]);
      const [[full = 0] = []] = await membersOf(client, file);
      const [[alsoFull = 0] = []] = await membersOf(client, log);
      const both = new Set([full, alsoFull]);
      await fill(cluster, both);
      // Pushed, and with the request.
      await file.write(50 * KiB, [pattern(100 * KiB, 1)]);
      await file.flush();
      await file.write(300 * KiB, [pattern(10, 2)]);
      t.is(await log.append([pattern(100, 1)]), 1000);
      t.is(await log.append([pattern(64 * KiB, 2)]), 1100);
      await file.sync();
      const expected = Buffer.alloc(300 * KiB + 10);
      pattern(50 * KiB).copy(expected);
      pattern(100 * KiB, 1).copy(expected, 50 * KiB);
      pattern(10, 2).copy(expected, 300 * KiB);
      t.true((await readAll(file)).equals(expected));
      const records = Buffer.concat([pattern(1000), pattern(100, 1), pattern(64 * KiB, 2)]);
      t.true((await readAll(log)).equals(records));
      t.is((await client.attributes(inodeId(log.inode), ME)).length, records.length);
      // What is there stays where it is, and cannot be overwritten now.
      await fill(cluster, both);
      await file.write(10, [pattern(1000, 3)]);
      t.is(await codeFrom(file.flush()), 'NO_SPACE');
      t.true((await readAll(file)).equals(expected), 'nothing was changed');
      for (const server of both) cluster.disk(`s${server}`).empty();
      await file.write(10, [pattern(1000, 3)]);
      await file.sync();
      pattern(1000, 3).copy(expected, 10);
      t.true((await readAll(file)).equals(expected));
      await file.close();
      await log.close();
    },
    { serverCount: 5, replication: 2 },
  ));

test('where no member can be spared, a hole between chunks is filled by another one', (t) =>
  inRealCluster(
    'none to spare in the midst',
    async (cluster) => {
      const { client, connect } = cluster;
      const file = await create(cluster, 'f');
      const expected = Buffer.alloc(600 * KiB);
      const write = async (at: number, length: number) => {
        const bytes = pattern(length, at);
        await file.write(at, [bytes]);
        await file.sync();
        bytes.copy(expected, at);
      };
      await write(0, 50 * KiB);
      await write(590 * KiB, 10 * KiB);
      const [[full = 0] = []] = await membersOf(client, file);
      await fill(cluster, [full]);
      await write(60 * KiB, 100);
      await write(55 * KiB, 300 * KiB);
      const { file: theirs } = await (await connect()).open(file.inode, { read: true }, ME);
      t.true((await readAll(file)).equals(expected));
      t.true((await readAll(theirs)).equals(expected));
      // What is there stays where it is, and cannot be overwritten now.
      await fill(cluster, [full]);
      await file.write(49 * KiB, [pattern(2 * KiB, 3)]);
      t.is(await codeFrom(file.flush()), 'NO_SPACE');
      t.true((await readAll(theirs)).equals(expected), 'nothing was changed');
      await theirs.close();
      await file.close();
    },
    { serverCount: 5, replication: 2 },
  ));

test('where no member can be spared, and one has not a byte left, writers learn it at once', (t) =>
  inRealCluster(
    'none to spare, none to record',
    async (cluster) => {
      const { client, simulation } = cluster;
      const file = await create(cluster, 'f');
      const log = await create(cluster, 'log', APPENDING);
      await file.write(0, [pattern(50 * KiB)]);
      await file.sync();
      await log.append([pattern(1000)]);
      const members = [...(await membersOf(client, file)), ...(await membersOf(client, log))];
      const full = new Set(members.map(([first = 0]) => first));
      const startMs = simulation.nowMs;
      await fill(cluster, full, 'to the last byte');
      for (const length of [100, 100 * KiB]) {
        await file.write(0, [pattern(length, 1)]);
        t.is(await codeFrom(file.flush()), 'NO_SPACE');
      }
      t.is(await codeFrom(log.append([pattern(1000, 1)])), 'NO_SPACE');
      t.true(simulation.nowMs - startMs < 10_000, `${simulation.nowMs - startMs} ms`);
      t.is((await readAll(file)).length, 50 * KiB);
      t.true((await readAll(log)).equals(pattern(1000)));
      for (const server of full) cluster.disk(`s${server}`).empty();
      await cluster.sleep(1500);
      await file.write(0, [pattern(50 * KiB, 2)]);
      await file.sync();
      t.true((await readAll(file)).equals(pattern(50 * KiB, 2)));
      t.is(await log.append([pattern(100, 1)]), 1000);
      await file.close();
      await log.close();
    },
    { serverCount: 5, replication: 2 },
  ));

for (const fullness of Object.keys(FULLNESS) as Fullness[]) {
  test(`when all servers are full ${fullness} writers learn it, and go on when there is room again`, (t) =>
    inRealCluster(`all full ${fullness}`, async (cluster) => {
      const { client, simulation, sleep } = cluster;
      const file = await create(cluster, 'f');
      const log = await create(cluster, 'log', APPENDING);
      await file.write(0, [pattern(100 * KiB)]);
      await file.sync();
      await log.append([pattern(1000)]);
      await fill(cluster, [1, 2, 3], fullness);
      const startMs = simulation.nowMs;
      for (const at of [0, 100 * KiB, 400 * KiB]) {
        for (const length of [100, 100 * KiB]) {
          await file.write(at, [pattern(length, 7)]);
          t.is(await codeFrom(file.flush()), 'NO_SPACE', `${length} at ${at}`);
        }
      }
      t.is(await codeFrom(log.append([pattern(100, 1)])), 'NO_SPACE');
      t.is(await codeFrom(log.append([pattern(64 * KiB, 1)])), 'NO_SPACE');
      t.true(simulation.nowMs - startMs < 10_000, `${simulation.nowMs - startMs} ms`);
      t.true((await readAll(file)).equals(pattern(100 * KiB)), 'nothing was changed, nor is it longer');
      t.true((await readAll(log)).equals(pattern(1000)));
      for (const server of [1, 2, 3]) cluster.disk(`s${server}`).empty();
      await sleep(5000);
      await file.write(0, [pattern(100, 8)]);
      await file.write(100 * KiB, [pattern(300 * KiB, 9)]);
      await file.sync();
      t.is(await log.append([pattern(100, 1)]), 1000);
      const expected = Buffer.concat([pattern(100 * KiB), pattern(300 * KiB, 9)]);
      pattern(100, 8).copy(expected);
      t.true((await readAll(file)).equals(expected));
      t.is((await client.attributes(inodeId(log.inode), ME)).length, 1100);
      await file.close();
      await log.close();
    }));
}

for (const fullness of Object.keys(FULLNESS) as Fullness[]) {
  test(`P20: a shared chunk of servers that are full ${fullness} is not cloned for a write, and stays whole`, (t) =>
    inRealCluster(`shared ${fullness}`, async (cluster) => {
      const { client, simulation, disk, sleep } = cluster;
      const source = await create(cluster, 's');
      const target = await create(cluster, 't', APPENDING);
      const data = pattern(300 * KiB);
      await source.write(0, [data]);
      await source.sync();
      t.is(
        await target.copyFrom(source, { sourceOffset: 0, fileOffset: 0, length: data.length }),
        data.length,
      );
      const handlesOf = async (file: GfsFile) =>
        (await client.statFile(inodeId(file.inode), ME)).extents.map(({ chunk }) => chunk);
      const handles = await handlesOf(source);
      t.deepEqual(await handlesOf(target), handles);
      const usedBytes = () => [1, 2, 3].map((server) => disk(`s${server}`).names.usedBytes());
      const before = usedBytes();
      const areWhole = async () => {
        for (const file of [source, target]) t.true((await readAll(file)).equals(data));
        t.deepEqual([await handlesOf(source), await handlesOf(target)], [handles, handles]);
      };
      // One has room, and too few would be without the others.
      for (const full of [
        [1, 2, 3],
        [1, 2],
      ]) {
        for (const server of [1, 2, 3]) disk(`s${server}`).empty();
        await fill(cluster, full, fullness);
        const startMs = simulation.nowMs;
        for (const file of [target, source]) {
          for (const length of [10, 100 * KiB]) {
            await file.write(5, [pattern(length, 1)]);
            t.is(await codeFrom(file.flush()), 'NO_SPACE', `${length} bytes, ${full} are full`);
          }
        }
        t.is(await codeFrom(target.append([pattern(10, 2)])), 'NO_SPACE');
        t.is(await codeFrom(target.truncate(100)), 'NO_SPACE');
        t.true(simulation.nowMs - startMs < 10_000, `${simulation.nowMs - startMs} ms`);
        await areWhole();
      }
      for (const server of [1, 2, 3]) disk(`s${server}`).empty();
      await sleep(5000);
      await areWhole();
      for (const [index, bytes] of usedBytes().entries()) {
        const added = bytes - must(before[index], 'there are three');
        t.true(added < 10 * KiB, `s${index + 1}: ${added} bytes are left of what was begun`);
      }
      await target.write(5, [pattern(10, 1)]);
      t.is(await target.append([pattern(10, 2)]), data.length);
      await target.sync();
      t.true((await readAll(source)).equals(data));
      const expected = Buffer.concat([data, pattern(10, 2)]);
      pattern(10, 1).copy(expected, 5);
      t.true((await readAll(target)).equals(expected));
      const [first, second] = await handlesOf(target);
      t.false(handles.includes(first as never) || handles.includes(second as never));
      await source.close();
      await target.close();
    }));
}
