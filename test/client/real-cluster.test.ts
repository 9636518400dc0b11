import test from 'ava';
import { joined } from '../../src/base/bytes.ts';
import { KiB } from '../../src/base/units.ts';
import { inRealCluster } from './real-cluster.ts';
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
