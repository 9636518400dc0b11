// copy_file_range(2) by the client library: what servers pass to one another, and what becomes of it when they fail.
import test from 'ava';
import { KiB } from '../../src/base/units.ts';
import type { GfsClient, GfsFile } from '../../src/client/api.ts';
import { inRealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, readAll, WRITING } from './world.ts';

const HOLE = { zeros: true, keepLength: true };
const APPENDING = { ...WRITING, append: true };

/** As programs do it: until all is copied, or the source ends. */
async function copyAll(
  from: GfsFile,
  to: GfsFile,
  [sourceOffset, fileOffset, length]: readonly [number, number, number],
): Promise<number> {
  for (let done = 0; ; ) {
    const range = { sourceOffset: sourceOffset + done, fileOffset: fileOffset + done, length: length - done };
    const count = await to.copyFrom(from, range);
    done += count;
    if (count === 0 || done === length) return done;
  }
}

async function create(client: GfsClient, name: string, mode = WRITING): Promise<GfsFile> {
  return (await client.create(client.rootInode, Buffer.from(name), mode, ME)).file;
}

test('ranges are copied, whatever lies where, behind writes to both that are not sent yet', (t) =>
  inRealCluster(1, async ({ client, connect }) => {
    const source = await create(client, 's');
    const target = await create(client, 't');
    const data = pattern(700 * KiB);
    await source.write(0, [data]);
    const model = Buffer.alloc(2000 * KiB);
    let length = 0;
    const other = await connect();
    for (const [sourceOffset, fileOffset, wanted] of [
      [0, 0, 10],
      [5, 3, 300 * KiB],
      [700 * KiB - 7, 256 * KiB - 3, 1000],
      [0, 256 * KiB, 700 * KiB],
      [256 * KiB, 1200 * KiB + 1, 256 * KiB],
      [100, 50, 0],
      [700 * KiB, 0, 100],
    ] as const) {
      const what = `${sourceOffset}+${wanted} to ${fileOffset}`;
      const count = Math.min(wanted, 700 * KiB - sourceOffset);
      await target.write(fileOffset, [Buffer.from('old')]);
      model.write('old', fileOffset);
      t.is(await copyAll(source, target, [sourceOffset, fileOffset, wanted]), count, what);
      data.copy(model, fileOffset, sourceOffset, sourceOffset + count);
      length = Math.max(length, fileOffset + Math.max(count, 3));
      t.true((await readAll(target)).equals(model.subarray(0, length)), what);
      await target.flush();
      const { file: theirs } = await other.open(target.inode, { read: true }, ME);
      t.true((await readAll(theirs)).equals(model.subarray(0, length)), `${what}, elsewhere`);
      await theirs.close();
    }
    t.true((await readAll(source)).equals(data));
    await source.close();
    await target.close();
    await other.close();
  }));

test('bytes that are copied pass from server to server, not the client', (t) =>
  inRealCluster(2, async ({ client, network }) => {
    const source = await create(client, 's');
    const target = await create(client, 't');
    await source.write(0, [pattern(2000 * KiB)]);
    await source.sync();
    let passed = 0;
    network.onSent.push(({ from, to, frame }) => {
      const data = frame.kind === 'open' || frame.kind === 'message' ? frame.data : undefined;
      if (from === 'c1' || to === 'c1') passed += data?.sizeBytes ?? 0;
    });
    t.is(await copyAll(source, target, [0, 100, 2000 * KiB]), 2000 * KiB);
    await target.sync();
    t.true(passed < 100 * KiB, `${passed} bytes`);
    t.true((await readAll(target)).subarray(100).equals(pattern(2000 * KiB)));
    await source.close();
    await target.close();
  }));

test('holes are copied as holes, over what the target has there, and at its end', (t) =>
  inRealCluster(3, async ({ client, connect }) => {
    const source = await create(client, 's');
    const target = await create(client, 't');
    const other = await connect();
    await source.write(600 * KiB, [pattern(100 * KiB)]);
    await source.allocate(612 * KiB, 68 * KiB, HOLE);
    await source.truncate(3000 * KiB);
    await target.write(0, [pattern(800 * KiB, 1)]);
    t.is(await copyAll(source, target, [0, 0, 3000 * KiB]), 3000 * KiB);
    const wanted = await readAll(source);
    t.true((await readAll(target)).equals(wanted));
    t.is((await target.attributes()).length, 3000 * KiB);
    t.is((await other.attributes(target.inode, ME)).length, 3000 * KiB);
    t.is(await target.seek(0, 'data'), 600 * KiB);
    t.is(await target.seek(600 * KiB, 'hole'), 612 * KiB);
    t.is(await target.seek(700 * KiB, 'data'), undefined);
    const fresh = await create(client, 'u');
    t.is(await copyAll(source, fresh, [0, 0, 3000 * KiB]), 3000 * KiB);
    t.true((await readAll(fresh)).equals(wanted));
    await fresh.close();
    t.is(
      (await client.statFile(fresh.inode, ME)).extents.length,
      2,
      'the first one, and where there is data',
    );
    // Filled by somebody else, at an offset where there was a hole when this client looked last.
    const { file: theirs } = await other.open(source.inode, WRITING, ME);
    await theirs.write(2000 * KiB, [pattern(10)]);
    await theirs.close();
    t.is(await copyAll(source, target, [2000 * KiB, 2000 * KiB, 10]), 10);
    t.true((await readAll(target)).subarray(2000 * KiB, 2000 * KiB + 10).equals(pattern(10)));
    await source.close();
    await target.close();
    await other.close();
  }));

test('records of others are copied, and a record goes behind what was copied', (t) =>
  inRealCluster(4, async ({ client, connect }) => {
    const source = await create(client, 's', APPENDING);
    const target = await create(client, 't', APPENDING);
    const other = await connect();
    const { file: theirs } = await other.open(source.inode, APPENDING, ME);
    const records: Buffer[] = [];
    for (let number = 0; number < 12; number += 1) {
      const record = pattern(50 * KiB + number, number);
      records.push(record);
      await (number % 2 === 0 ? source : theirs).append([record]);
    }
    const all = Buffer.concat(records);
    t.is(await copyAll(source, target, [0, 0, 2000 * KiB]), all.length);
    t.is(await target.append([Buffer.from('end')]), all.length);
    t.true((await readAll(target)).equals(Buffer.concat([all, Buffer.from('end')])));
    await theirs.close();
    await source.close();
    await target.close();
    await other.close();
  }));

test('a range of a file is copied within it', (t) =>
  inRealCluster(5, async ({ client }) => {
    const file = await create(client, 'f');
    await file.write(0, [pattern(300 * KiB)]);
    t.is(await copyAll(file, file, [0, 300 * KiB, 300 * KiB]), 300 * KiB);
    t.true((await readAll(file)).equals(Buffer.concat([pattern(300 * KiB), pattern(300 * KiB)])));
    t.is(
      await codeFrom(file.copyFrom(file, { sourceOffset: 0, fileOffset: 299 * KiB, length: 300 * KiB })),
      'INVALID_ARGUMENT',
    );
    await file.close();
  }));

test('a copy that fails on its way tells how far it came, and the next one why', (t) =>
  inRealCluster(
    8,
    async ({ connect, kill }) => {
      const client = await connect({ ioTimeoutMs: 3000 });
      const source = await create(client, 's');
      const target = await create(client, 't');
      const [before, copied] = [pattern(512 * KiB, 1), pattern(256 * KiB, 2)];
      await source.write(0, [copied]);
      await target.write(0, [before]);
      await Promise.all([source.sync(), target.sync()]);
      const serversOf = async ({ inode }: GfsFile) =>
        (await client.statFile(inode, ME)).extents.map(({ members }) => members[0]?.address.split(':')[0]);
      const [first, second = ''] = await serversOf(target);
      t.false([first, ...(await serversOf(source))].includes(second), 'only the end of the copy is there');
      kill(second);
      const range = { sourceOffset: 0, fileOffset: 100 * KiB, length: 256 * KiB };
      t.is(await target.copyFrom(source, range), 156 * KiB);
      const rest = { sourceOffset: 156 * KiB, fileOffset: 256 * KiB, length: 100 * KiB };
      t.is(await codeFrom(target.copyFrom(source, rest)), 'DEADLINE_EXCEEDED');
      const expected = [before.subarray(0, 100 * KiB), copied.subarray(0, 156 * KiB)];
      t.true(Buffer.concat(await target.read(0, 256 * KiB)).equals(Buffer.concat(expected)));
      await source.close();
      await target.close();
      await client.close();
    },
    { serverCount: 6, replication: 1 },
  ));

test('what is no copy is refused, and changes nothing', (t) =>
  inRealCluster(6, async ({ client, connect }) => {
    const file = await create(client, 'f');
    await file.write(0, [pattern(100)]);
    const other = await connect();
    const { file: reading } = await client.open(file.inode, { read: true }, ME);
    const { file: writing } = await client.open(file.inode, { write: true }, ME);
    const { file: theirs } = await other.open(file.inode, { read: true }, ME);
    const source = await create(client, 's');
    await source.write(0, [pattern(100, 1)]);
    const check = async (code: string, to: GfsFile, from: GfsFile, how: Partial<{ length: number }> = {}) => {
      const range = { sourceOffset: 0, fileOffset: 0, length: 10, ...how };
      t.is(await codeFrom(to.copyFrom(from, range)), code as never);
    };
    await check('BAD_FILE', reading, source);
    await check('BAD_FILE', source, writing);
    await check('CROSS_DEVICE', source, theirs);
    await check('INVALID_ARGUMENT', file, source, { length: -1 });
    await check('INVALID_ARGUMENT', file, source, { length: 0.5 });
    await check('INVALID_ARGUMENT', file, source, { sourceOffset: -1 } as never);
    await check('INVALID_ARGUMENT', file, source, { fileOffset: Number.MAX_SAFE_INTEGER } as never);
    await source.close();
    await check('BAD_FILE', file, source);
    t.true((await readAll(file)).equals(pattern(100)));
    await file.close();
    await check('BAD_FILE', file, reading);
    for (const open of [reading, writing, theirs]) await open.close();
    await other.close();
  }));

test('copies are whole after servers are killed and started again', async (t) => {
  for (const seed of [1, 2, 3]) {
    await inRealCluster(seed, async ({ simulation, client, kill, start, sleep }) => {
      const dice = simulation.random.fork('workload');
      const length = 600 * KiB;
      const source = await create(client, 's');
      const target = await create(client, 't');
      const data = pattern(length, seed);
      const model = pattern(length, seed + 1);
      await source.write(0, [data]);
      await target.write(0, [model]);
      for (let round = 0; round < 5; round += 1) {
        const victim = dice.pick(['s1', 's2', 's3', 'm']);
        let restarted: Promise<void> | undefined;
        for (let count = 0; count < 8; count += 1) {
          const from = dice.below(length);
          const to = dice.below(length);
          const size = Math.min(length - Math.max(from, to), 1 + dice.below(400 * KiB));
          if (count === 3) {
            kill(victim);
            restarted = sleep(dice.below(3000)).then(() => start(victim));
          }
          t.is(await copyAll(source, target, [from, to, size]), size);
          data.copy(model, to, from, from + size);
        }
        await restarted;
        t.true((await readAll(target)).equals(model), `seed ${seed} round ${round}: ${victim} was killed`);
      }
      await target.sync();
      await source.close();
      await target.close();
    });
  }
});

test('what others write to the source after a copy, or to the copy, does not show in the other file', async (t) => {
  let sharedCount = 0;
  for (const seed of [1, 2, 3, 4]) {
    await inRealCluster(seed, async ({ client, connect, sleep }) => {
      const length = 512 * KiB;
      const source = await create(client, 's');
      const target = await create(client, 't');
      await source.write(0, [Buffer.alloc(length)]);
      await source.flush();
      const other = await connect();
      const writers = await Promise.all(
        [source, target].map(
          async ({ inode }) => (await other.open(inode, { read: true, write: true }, ME)).file,
        ),
      );
      // Numbers that rise, at the begin of each chunk, with the places in its cache of whoever writes them.
      let last = 0;
      let isOver = false;
      const work = (async () => {
        while (!isOver) {
          last += 1;
          for (const at of [0, 256 * KiB]) await writers[0]?.write(at, [numbers(last)]);
          await writers[1]?.write(1000, [numbers(last)]);
          for (const file of writers) await file.sync();
          await sleep(5);
        }
      })();
      for (let round = 0; round < 8; round += 1) {
        const before = last - 1;
        t.is(await copyAll(source, target, [0, 0, length]), length);
        const found = await readNumbers(target);
        for (const number of found) t.true(number >= before && number <= last, `${before} ${found} ${last}`);
        const handles = new Set((await client.statFile(source.inode, ME)).extents.map(({ chunk }) => chunk));
        const { extents } = await client.statFile(target.inode, ME);
        sharedCount += extents.filter(({ chunk }) => handles.has(chunk)).length;
        await sleep(100);
        t.deepEqual(await readNumbers(target), found, 'the source was written to since');
        const { file: theirs } = await other.open(target.inode, { read: true }, ME);
        t.deepEqual(await readNumbers(theirs), found);
        await theirs.close();
      }
      isOver = true;
      await work;
      t.deepEqual(await readNumbers(source), [last, last]);
      for (const file of [source, target, ...writers]) await file.close();
      await other.close();
    });
  }
  t.true(sharedCount > 0);
});

test('what is appended to the target behind a copy, while it is made, stays', async (t) => {
  for (const seed of [1, 2, 3, 4, 5]) {
    await inRealCluster(seed, async ({ client, sleep }) => {
      const length = 456 * KiB;
      const source = await create(client, 's');
      const target = await create(client, 't', APPENDING);
      const writing = (await client.open(target.inode, { write: true, read: true }, ME)).file;
      await source.write(0, [pattern(length)]);
      const appended = new Map<number, number>();
      let isOver = false;
      const work = (async () => {
        for (let number = 1; !isOver; number += 1) {
          appended.set(await target.append([numbers(number)]), number);
          await sleep(number % 3);
        }
      })();
      for (let round = 0; round < 4; round += 1) {
        t.is(await copyAll(source, writing, [0, 0, length]), length);
        await sleep(20);
      }
      isOver = true;
      await work;
      const found = await readAll(target);
      t.true(found.subarray(0, length).equals(pattern(length)));
      for (const [at, number] of appended) {
        if (at >= length) t.is(found.readUInt32LE(at), number, `at ${at}`);
      }
      for (const file of [source, target, writing]) await file.close();
    });
  }
});

function numbers(value: number): Buffer {
  return Buffer.from(new Uint32Array(4).fill(value).buffer);
}

/** What was written to the begin of each chunk. */
async function readNumbers(file: GfsFile): Promise<number[]> {
  const found: number[] = [];
  for (const at of [0, 256 * KiB]) found.push(Buffer.concat(await file.read(at, 16)).readUInt32LE(0));
  return found;
}
