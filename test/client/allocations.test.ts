// fallocate(2) by the client library: holes, zeros, and files that get longer without a byte.
import test from 'ava';
import { joined } from '../../src/base/bytes.ts';
import { KiB } from '../../src/base/units.ts';
import type { GfsFile } from '../../src/client/api.ts';
import { inRealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, readAll, WRITING } from './world.ts';

const ZEROS = { zeros: true };
const HOLE = { zeros: true, keepLength: true };

async function contentOf(file: GfsFile): Promise<Buffer> {
  return Buffer.from(joined(await file.read(0, 8 * 1024 * KiB)));
}

test('ranges become zeros over the borders of chunks and behind writes that are not sent yet, for everybody', (t) =>
  inRealCluster(1, async ({ client, connect }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const other = await connect();
    const { file: theirs } = await other.open(file.inode, { read: true, write: true }, ME);
    const model = pattern(700 * KiB);
    await file.write(0, [model]);
    const check = async (offset: number, length: number, how: typeof HOLE | typeof ZEROS) => {
      await file.allocate(offset, length, how);
      model.fill(0, Math.min(model.length, offset), Math.min(model.length, offset + length));
      t.true((await contentOf(file)).equals(model), `${offset}+${length} here`);
      const { file: fresh } = await other.open(file.inode, { read: true }, ME);
      t.true((await readAll(fresh)).equals(model), `${offset}+${length} elsewhere`);
      await fresh.close();
    };
    await check(100, 1, HOLE);
    await check(200 * KiB + 1, 150 * KiB, HOLE);
    await check(699 * KiB, 5000 * KiB, HOLE);
    await file.write(10, [Buffer.from('pending')]);
    await check(0, 512 * KiB, ZEROS);
    await file.write(10, [Buffer.from('later')]);
    model.write('later', 10);
    await check(64 * KiB, 64 * KiB, HOLE);
    // What somebody else wrote, at an offset where there was a hole when this client looked last.
    await file.truncate(3000 * KiB);
    await contentOf(file);
    await theirs.write(2000 * KiB, [pattern(10)]);
    await theirs.flush();
    await file.allocate(0, 3000 * KiB, HOLE);
    t.true((await readAll(theirs)).equals(Buffer.alloc(3000 * KiB)));
    await theirs.close();
    await file.close();
    await other.close();
  }));

test('a file gets longer without bytes, unless its length is to be kept', (t) =>
  inRealCluster(2, async ({ client }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const lengthAfter = async (offset: number, length: number, how = {}) => {
      await file.allocate(offset, length, how);
      return (await file.attributes()).length;
    };
    t.is(await lengthAfter(0, 100), 100);
    t.is(await lengthAfter(10, 20), 100, 'it does not get shorter');
    t.is(await lengthAfter(50, 100_000, { keepLength: true }), 100);
    t.is(await lengthAfter(50, 100_000, HOLE), 100);
    t.is(await lengthAfter(50, 1000 * KiB, ZEROS), 50 + 1000 * KiB);
    await file.write(3000 * KiB, [Buffer.from('x')]);
    t.is(await lengthAfter(0, 2000 * KiB), 3000 * KiB + 1, 'a write that is not sent yet counts');
    t.is(
      (await readAll(file)).findIndex((byte) => byte !== 0),
      3000 * KiB,
    );
    const { extents } = await client.statFile(file.inode, ME);
    t.true(extents.length <= 2, 'a hole stays one');
    t.is(await codeFrom(file.allocate(0, 0)), 'INVALID_ARGUMENT');
    t.is(await codeFrom(file.allocate(-1, 5)), 'INVALID_ARGUMENT');
    t.is(await codeFrom(file.allocate(2 ** 52, 2 ** 52)), 'FILE_TOO_LARGE');
    await file.close();
    const { file: reading } = await client.open(file.inode, { read: true }, ME);
    t.is(await codeFrom(reading.allocate(0, 5)), 'BAD_FILE');
    await reading.close();
  }));

test('a record goes behind the end that a file was given without bytes, whoever knew another one', (t) =>
  inRealCluster(3, async ({ client, connect }) => {
    const appending = { ...WRITING, append: true };
    const { file } = await client.create(client.rootInode, Buffer.from('f'), appending, ME);
    const other = await connect();
    const { file: theirs } = await other.open(file.inode, { ...appending, read: true }, ME);
    let end = 0;
    const append = async (by: GfsFile, why: string) => {
      t.is(await by.append([pattern(10)]), end, why);
      end += 10;
    };
    await append(file, 'it is empty');
    await append(theirs, 'behind the other');
    for (const [by, length] of [
      [theirs, 50],
      [file, 1000],
      [theirs, 300 * KiB],
      [file, 1],
    ] as const) {
      await by.allocate(end, length);
      end += length;
      await append(file, `${length} more, by the first`);
      await append(theirs, `${length} more, by the other`);
    }
    const { length } = await client.attributes(file.inode, ME);
    t.is(length, end);
    await file.close();
    await theirs.close();
    await other.close();
  }));

test('records that are appended while the file is zeroed are there when it is closed', (t) =>
  inRealCluster(4, async ({ client, connect }) => {
    const other = await connect();
    for (let round = 0; round < 20; round += 1) {
      const name = Buffer.from(`f${round}`);
      const { file } = await client.create(client.rootInode, name, { ...WRITING, append: true }, ME);
      await file.write(0, [pattern(1000)]);
      const appended = [1, 2, 3].map(() => file.append([pattern(100)]));
      const zeroed = [1, 2, 3].map(() => file.allocate(0, 500, HOLE));
      await Promise.all([...appended, ...zeroed]);
      await file.close();
      t.is((await other.lookup(other.rootInode, name, ME)).length, 1300, `round ${round}`);
    }
    await other.close();
  }));

test('zeros are where they belong after servers are killed and started again', async (t) => {
  for (const seed of [1, 2, 3]) {
    await inRealCluster(seed, async ({ simulation, client, kill, start, sleep }) => {
      const dice = simulation.random.fork('workload');
      const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
      const model = pattern(600 * KiB, seed);
      await file.write(0, [model]);
      for (let round = 0; round < 5; round += 1) {
        const victim = dice.pick(['s1', 's2', 's3', 'm']);
        let restarted: Promise<void> | undefined;
        for (let count = 0; count < 8; count += 1) {
          const at = dice.below(600 * KiB);
          const data = pattern(Math.min(600 * KiB - at, 1 + dice.below(100 * KiB)), count);
          if (count === 3) {
            kill(victim);
            restarted = sleep(dice.below(3000)).then(() => start(victim));
          }
          if (count % 2 === 0) await file.write(at, [data]);
          else await file.allocate(at, data.length, HOLE);
          if (count % 2 !== 0) data.fill(0);
          data.copy(model, at);
        }
        await restarted;
        t.true((await contentOf(file)).equals(model), `seed ${seed} round ${round}: ${victim} was killed`);
      }
      await file.sync();
      await file.close();
    });
  }
});
