import test from 'ava';
import { must } from '../../src/base/assert.ts';
import { joined } from '../../src/base/bytes.ts';
import { inodeId } from '../../src/base/ids.ts';
import { KiB } from '../../src/base/units.ts';
import type { GfsFile } from '../../src/client/api.ts';
import type { GfsClient } from '../../src/client/gfs-client.ts';
import { FileType } from '../../src/rpc/messages.ts';
import { inRealCluster, type RealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, readAll, WRITING } from './world.ts';

test('files are written, read, cut and appended to on a real cluster', (t) =>
  inRealCluster(1, async ({ client, connect }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const data = pattern(700 * KiB);
    await file.write(0, [data]);
    t.true((await readAll(file)).equals(data));
    await file.sync();
    const other = await connect();
    const { file: theirs } = await other.open(file.inode, { read: true, write: true }, ME);
    t.true((await readAll(theirs)).equals(data));
    await file.truncate(300 * KiB);
    await file.write(500 * KiB, [pattern(1000, 1)]);
    await file.close();
    const expected = Buffer.alloc(500 * KiB + 1000);
    data.copy(expected, 0, 0, 300 * KiB);
    pattern(1000, 1).copy(expected, 500 * KiB);
    const { file: again } = await other.open(file.inode, { read: true, write: true }, ME);
    t.true((await readAll(again)).equals(expected));
    t.is(await again.append([pattern(50 * KiB, 2)]), expected.length);
    await again.close();
    await theirs.close();
    const status = await client.statFile(file.inode, ME);
    t.is(status.attributes.length, expected.length + 50 * KiB);
    t.true(status.extents.every(({ members }) => members.length === 3));
    await other.close();
  }));

test('appends of several clients are all there, once and whole', (t) =>
  inRealCluster(2, async ({ client, connect }) => {
    const mode = { ...WRITING, append: true };
    const { file } = await client.create(client.rootInode, Buffer.from('log'), mode, ME);
    const records = new Map<number, Buffer>();
    const other = await connect();
    const writers = [file, (await other.open(file.inode, { append: true, read: true }, ME)).file];
    await Promise.all(
      writers.map(async (writer, index) => {
        for (let count = 0; count < 25; count += 1) {
          const record = pattern(7000 + count * 500, index * 100 + count);
          records.set(await writer.append([record]), record);
        }
      }),
    );
    t.is(records.size, 50);
    for (const writer of writers) await writer.close();
    const { file: reader } = await (await connect()).open(file.inode, { read: true }, ME);
    const content = await readAll(reader);
    let end = 0;
    for (const [at, record] of [...records].sort(([a], [b]) => a - b)) {
      t.is(at, end);
      t.true(content.subarray(at, at + record.length).equals(record));
      end = at + record.length;
    }
    t.is(content.length, end);
    await other.close();
  }));

test('work goes on while servers are killed and started again', async (t) => {
  for (const seed of [1, 2, 3]) {
    await inRealCluster(seed, async ({ simulation, client, kill, start, sleep }) => {
      const dice = simulation.random.fork('workload');
      const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
      const model = Buffer.alloc(800 * KiB);
      let length = 0;
      for (let round = 0; round < 6; round += 1) {
        const victim = ['s1', 's2', 's3', 'm'][dice.below(4)] ?? 'm';
        for (let count = 0; count < 8; count += 1) {
          const at = dice.below(700 * KiB);
          const bytes = pattern(1 + dice.below(100 * KiB), round * 10 + count);
          await file.write(at, [bytes]);
          bytes.copy(model, at);
          length = Math.max(length, at + bytes.length);
          if (count === 3) kill(victim);
        }
        const flushed = codeFrom(file.flush());
        await sleep(dice.below(3000));
        await start(victim);
        t.is(await flushed, 'none', `seed ${seed} round ${round}: ${victim} was killed`);
        const found = joined(await file.read(0, length));
        t.true(model.subarray(0, length).equals(found), `seed ${seed} round ${round}`);
      }
      await file.sync();
      await file.close();
    });
  }
});

test('a user without rights goes by his own path, and keeps what he has open through a restart of the master', (t) =>
  inRealCluster(3, async ({ client, connect, kill, start }) => {
    const name = Buffer.from('shared');
    const node = { type: FileType.FILE_TYPE_DIRECTORY, mode: 0o755 };
    const shared = inodeId((await client.makeNode(client.rootInode, name, node, ME)).inode);
    const { file } = await client.create(shared, Buffer.from('f'), { ...WRITING, mode: 0o666 }, ME);
    await file.write(0, [pattern(1000)]);
    await file.close();
    const bob = await connect();
    const asBob = { caller: { uid: 1002, gid: 1002, groups: [] } };
    const found = await bob.resolve(Buffer.from('/shared/f'), {}, asBob);
    const opened = await bob.open(inodeId(found.inode), { read: true, write: true }, asBob);
    const idle = await connect();
    const mount = await connect({ kernelWalksPaths: true });
    await client.setAttributes(shared, { mode: 0o700 }, ME);
    const check = async (when: string) => {
      t.is((await opened.file.attributes()).length, 1000, when);
      t.is(await codeFrom(bob.attributes(file.inode, asBob)), 'none', `he has it open ${when}`);
      t.is(await codeFrom(bob.lookup(shared, Buffer.from('f'), asBob)), 'PERMISSION_DENIED', when);
      t.is(await codeFrom(mount.attributes(file.inode, asBob)), 'none', `a kernel walks ${when}`);
    };
    await check('now');
    kill('m');
    await start('m');
    await check('after a restart');
    kill('m');
    await start('m');
    t.is(await codeFrom(idle.attributes(file.inode, asBob)), 'PERMISSION_DENIED', 'it had nothing to tell');
    t.is(await codeFrom(bob.lookup(shared, Buffer.from('f'), asBob)), 'PERMISSION_DENIED', 'asked first');
    await opened.file.write(0, [pattern(10, 1)]);
    await opened.file.close();
    t.is(await codeFrom(bob.attributes(file.inode, asBob)), 'PERMISSION_DENIED', 'closed');
    for (const each of [bob, mount, idle]) await each.close();
  }));

test('what is appended after another client truncated the file is there, and what was before is not', (t) =>
  inRealCluster(31, async ({ client, connect, sleep }) => {
    const other = await connect();
    const mode = { ...WRITING, append: true };
    const { file } = await client.create(client.rootInode, Buffer.from('log'), mode, ME);
    for (const length of [0, 3, 0, 150 * KiB, 0, 300 * KiB, 7]) {
      // Over a chunk's border, so that extents are dropped, cut and begun.
      for (let count = 0; count < 7; count += 1) await file.append([pattern(50 * KiB, count)]);
      const before = await readAll(file);
      await other.setAttributes(file.inode, { length }, ME);
      t.is(await file.append([Buffer.from('after')]), length);
      await file.flush();
      const { file: reader } = await other.open(file.inode, { read: true }, ME);
      const expected = Buffer.concat([before.subarray(0, length), Buffer.from('after')]);
      t.true((await readAll(reader)).equals(expected), `cut to ${length}`);
      await reader.close();
      await other.setAttributes(file.inode, { length: 0 }, ME);
    }
    // What was not committed before the truncation does not come back with the close.
    await file.append([pattern(50 * KiB)]);
    await other.setAttributes(file.inode, { length: 10 }, ME);
    await sleep(1000);
    await file.close();
    t.is((await other.attributes(file.inode, ME)).length, 10);
    await other.close();
  }));

/** The machine of a file's primary or of another member: servers got their ids in the order of their names. */
async function machineOf(client: GfsClient, inode: number, which: 'primary' | 'secondary'): Promise<string> {
  const [extent] = (await client.statFile(inodeId(inode), ME)).extents;
  const found = extent?.members.find(({ server }) => (server === extent.primary) === (which === 'primary'));
  return `s${found?.server}`;
}

for (const which of ['primary', 'secondary'] as const) {
  test(`P12: a writer goes on within two seconds when the ${which} is killed`, (t) =>
    inRealCluster(`kill ${which}`, async ({ simulation, client, kill, start }) => {
      const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
      const data = pattern(200 * KiB);
      await file.write(0, [data]);
      await file.flush();
      const machine = await machineOf(client, file.inode, which);
      kill(machine);
      const startMs = simulation.nowMs;
      await file.write(100 * KiB, [pattern(100 * KiB, 1)]);
      await file.flush();
      await file.append([pattern(1000, 2)]);
      t.true(simulation.nowMs - startMs < 2000, `${simulation.nowMs - startMs} ms`);
      const expected = Buffer.concat([data.subarray(0, 100 * KiB), pattern(100 * KiB, 1), pattern(1000, 2)]);
      t.true((await readAll(file)).equals(expected));
      await file.close();
      await start(machine);
    }));

  test(`P12: a writer goes on within five seconds when the ${which} goes silent`, (t) =>
    inRealCluster(`silence ${which}`, async ({ simulation, network, client }) => {
      const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
      const data = pattern(200 * KiB);
      await file.write(0, [data]);
      await file.flush();
      const machine = await machineOf(client, file.inode, which);
      for (const other of ['m', 's1', 's2', 's3', 'c1'])
        if (other !== machine) network.partition(other, machine);
      const startMs = simulation.nowMs;
      await file.write(100 * KiB, [pattern(100 * KiB, 1)]);
      await file.flush();
      t.true(simulation.nowMs - startMs < 5000, `${simulation.nowMs - startMs} ms`);
      const expected = Buffer.concat([data.subarray(0, 100 * KiB), pattern(100 * KiB, 1)]);
      t.true((await readAll(file)).equals(expected));
      await file.close();
      network.healAll();
    }));
}

test('P23: the first write of a chunk whose primary died before it goes to another chunk', (t) =>
  inRealCluster('never written', async ({ simulation, client, kill, start }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    await client.create(client.rootInode, Buffer.from('g'), WRITING, ME);
    const machine = await machineOf(client, file.inode, 'primary');
    kill(machine);
    const startMs = simulation.nowMs;
    await file.write(0, [pattern(10 * KiB)]);
    await file.flush();
    t.true(simulation.nowMs - startMs < 2000, `${simulation.nowMs - startMs} ms`);
    t.true((await readAll(file)).equals(pattern(10 * KiB)));
    await file.close();
    await start(machine);
  }));

/** Of all chunkservers, which come back. */
async function cutPowerOfAll({ network, disk, kill, start }: RealCluster): Promise<void> {
  const machines = ['s1', 's2', 's3'];
  for (const machine of machines) {
    kill(machine);
    network.powerOff(machine);
    disk(machine).powerCut();
    network.powerOn(machine);
  }
  for (const machine of machines) await start(machine);
}

test('P14: a sync of what was lost with the power of all members fails once, and is about that file alone', (t) =>
  inRealCluster('power of all', async (cluster) => {
    const { client, sleep } = cluster;
    const { file: lost } = await client.create(client.rootInode, Buffer.from('lost'), WRITING, ME);
    const { file: synced } = await client.create(client.rootInode, Buffer.from('synced'), WRITING, ME);
    for (const file of [lost, synced]) {
      await file.write(0, [pattern(1000)]);
      await file.sync();
    }
    await lost.write(0, [pattern(1000, 1)]);
    await lost.flush();
    await cutPowerOfAll(cluster);
    await sleep(100);
    await t.throwsAsync(lost.sync(), { code: 'WRITES_LOST' });
    await t.notThrowsAsync(lost.sync(), 'it was told');
    await t.notThrowsAsync(synced.sync());
    await lost.write(0, [pattern(1000, 2)]);
    await lost.sync();
    t.true((await readAll(lost)).equals(pattern(1000, 2)));
    t.true((await readAll(synced)).equals(pattern(1000)));
    for (const file of [lost, synced]) await file.close();
  }));

test('P14, P20: a sync tells what a chunk lost with the power of all members before a clone took its place', (t) =>
  inRealCluster('power, then a clone', async (cluster) => {
    const { client, sleep } = cluster;
    const { file: source } = await client.create(client.rootInode, Buffer.from('s'), WRITING, ME);
    const { file: target } = await client.create(client.rootInode, Buffer.from('t'), WRITING, ME);
    await source.write(0, [pattern(256 * KiB)]);
    await source.sync();
    await source.write(0, [pattern(1000, 1)]);
    const range = { sourceOffset: 0, fileOffset: 0, length: 256 * KiB };
    t.is(await target.copyFrom(source, range), 256 * KiB);
    const { chunk } = must((await client.statFile(source.inode, ME)).extents[0], 'the source has a chunk');
    t.is((await client.statFile(target.inode, ME)).extents[0]?.chunk, chunk, 'it is shared');
    await cutPowerOfAll(cluster);
    await sleep(100);
    await source.write(5000, [pattern(1000, 2)]);
    await source.flush();
    t.not((await client.statFile(source.inode, ME)).extents[0]?.chunk, chunk, 'a clone is written to');
    await t.throwsAsync(source.sync(), { code: 'WRITES_LOST' });
    await t.notThrowsAsync(source.sync(), 'it was told');
    for (const file of [source, target]) await file.close();
  }));

test('P14, P20: a sync owes nothing for what a copy has replaced, whatever became of the copied chunks before', (t) =>
  inRealCluster('replaced by shared', async (cluster) => {
    const { client, sleep } = cluster;
    const { file: source } = await client.create(client.rootInode, Buffer.from('s'), WRITING, ME);
    // Its first chunk, which nobody wrote yet, is raised without a source, and that counts as a loss.
    await cutPowerOfAll(cluster);
    await sleep(1000);
    await source.write(0, [pattern(512 * KiB)]);
    await source.sync();
    const { file: target } = await client.create(client.rootInode, Buffer.from('t'), WRITING, ME);
    await target.write(0, [pattern(512 * KiB, 1)]);
    const length = 512 * KiB;
    t.is(await target.copyFrom(source, { sourceOffset: 0, fileOffset: 0, length }), length);
    const chunksOf = async ({ inode }: GfsFile) =>
      (await client.statFile(inode, ME)).extents.map(({ chunk }) => chunk);
    const shared = await chunksOf(source);
    t.deepEqual(await chunksOf(target), shared);
    await target.write(0, [pattern(100, 2)]);
    await target.flush();
    t.not((await chunksOf(target))[0], shared[0], 'a clone is written to');
    await t.notThrowsAsync(target.sync());
    for (const file of [source, target]) await file.close();
  }));

test('P14: a sync after the file was emptied owes nothing for the chunk that went', (t) =>
  inRealCluster(7, async ({ client }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    await file.write(0, [pattern(10 * KiB)]);
    await file.flush();
    const { file: again } = await client.open(file.inode, { ...WRITING, truncate: true }, ME);
    await again.sync();
    await file.close();
    t.is(await codeFrom(again.close()), 'none');
  }));

test('a truncation by an open sets the time, whatever was written before it and is told of after it', (t) =>
  inRealCluster(7, async ({ client, sleep }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    await file.write(0, [pattern(100)]);
    const { mtime: writtenAt } = await file.attributes(ME);
    await sleep(50);
    const { file: again } = await client.open(file.inode, { read: true, truncate: true }, ME);
    const { mtime } = await again.attributes(ME);
    t.notDeepEqual(mtime, writtenAt);
    await file.close();
    t.deepEqual((await again.attributes(ME)).mtime, mtime);
    await again.close();
    t.deepEqual((await client.attributes(file.inode, ME)).mtime, mtime);
  }));

test('P13: after a restart of all servers appended bytes are read again, by whoever asks first', (t) =>
  inRealCluster('restart of all', async ({ client, sleep, kill, start }) => {
    const { file } = await client.create(
      client.rootInode,
      Buffer.from('f'),
      { ...WRITING, append: true },
      ME,
    );
    await file.append([pattern(1000)]);
    await file.append([pattern(1000, 1)]);
    await file.sync();
    for (const machine of ['s1', 's2', 's3']) kill(machine);
    for (const machine of ['s1', 's2', 's3']) await start(machine);
    await sleep(100);
    t.true((await readAll(file)).equals(Buffer.concat([pattern(1000), pattern(1000, 1)])));
    await file.close();
  }));
