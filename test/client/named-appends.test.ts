// Appends whose identity the caller gives, on a real cluster: whoever sends a record again, through whichever client, finds it there once.
import test, { type ExecutionContext } from 'ava';
import { must } from '../../src/base/assert.ts';
import { codeOf, GfsError } from '../../src/base/errors.ts';
import type { InodeId } from '../../src/base/ids.ts';
import { KiB, SECOND_MS } from '../../src/base/units.ts';
import type { GfsFile, NamedAppender } from '../../src/client/api.ts';
import type { GfsClient } from '../../src/client/gfs-client.ts';
import { inRealCluster, type RealCluster } from './real-cluster.ts';
import { codeFrom, ME, readAll, WRITING } from './world.ts';

const NAME = Buffer.from('a');
const APPENDING = { read: true, append: true };

/** Of its own at each number: so many bytes, the first of which say which it is. */
function record(number: number, length = 100 + ((number * 37) % 900)): Buffer {
  const bytes = Buffer.alloc(length, number % 251);
  bytes.write(`<${number}>`, 'latin1');
  return bytes;
}

async function newLog(client: GfsClient): Promise<InodeId> {
  const { file } = await client.create(client.rootInode, Buffer.from('log'), WRITING, ME);
  await file.close();
  return file.inode;
}

async function opened(
  client: GfsClient,
  inode: InodeId,
  name: Uint8Array = NAME,
): Promise<{ file: GfsFile; appender: NamedAppender }> {
  const { file } = await client.open(inode, APPENDING, ME);
  return { file, appender: await file.appender(name) };
}

/** Where each record lies, in the order of the file: as often as it is there. */
function found(content: Buffer): { number: number; offset: number }[] {
  const text = content.toString('latin1');
  return [...text.matchAll(/<(\d+)>/g)].map((match) => ({ number: Number(match[1]), offset: match.index }));
}

/** Each of these is in the file once, where it was told to be, in the order of the numbers. */
async function checkOnce(
  t: ExecutionContext,
  cluster: RealCluster,
  inode: InodeId,
  told: ReadonlyMap<number, number>,
  message?: string,
): Promise<void> {
  const reader = await cluster.connect();
  const { file } = await reader.open(inode, { read: true }, ME);
  const there = found(await readAll(file));
  const expected = [...told].sort(([a], [b]) => a - b).map(([number, offset]) => ({ number, offset }));
  t.deepEqual(there, expected, message);
  await file.close();
  await reader.close();
}

function where(told: ReadonlyMap<number, number>, number: number): number {
  return must(told.get(number), 'it was appended');
}

async function errorOf(promise: Promise<unknown>): Promise<GfsError | undefined> {
  return await promise.then(
    () => undefined,
    (error: unknown) => (error instanceof GfsError ? error : new GfsError(codeOf(error), String(error))),
  );
}

test('records are appended in the order of their numbers, many at a time, and told again where they are', (t) =>
  inRealCluster(1, async (cluster) => {
    const { client } = cluster;
    const inode = await newLog(client);
    const { file, appender } = await opened(client, inode);
    const told = new Map<number, number>();
    const numbers = Array.from({ length: 200 }, (_, index) => index + 1);
    const shuffled = cluster.simulation.random.fork('order');
    const calls = [...numbers].sort(() => shuffled.below(3) - 1);
    await Promise.all(calls.map(async (one) => told.set(one, await appender.append(one, [record(one)]))));
    for (const one of [200, 137, 190]) t.is(await appender.append(one, [record(one)]), where(told, one));
    const old = must(await errorOf(appender.append(136, [record(136)])), 'it is refused');
    t.is(old.code, 'EXISTS');
    t.is(old.fields.highest, '200');
    const gap = must(await errorOf(appender.append(202, [record(202)])), 'it is refused');
    t.like(gap, { code: 'INVALID_ARGUMENT', fields: { highest: '200', applied: 'no' } });
    t.is(await codeFrom(appender.append(200, [Buffer.alloc(7)])), 'INVALID_ARGUMENT', 'another record');
    t.is(await codeFrom(appender.append(0, [record(1)])), 'INVALID_ARGUMENT');
    t.is(await codeFrom(appender.append(201, [])), 'INVALID_ARGUMENT');
    t.is(await codeFrom(appender.append(201, [Buffer.alloc(65 * KiB)])), 'INVALID_ARGUMENT');
    await checkOnce(t, cluster, inode, told);
    const again = await opened(await cluster.connect(), inode);
    for (const one of [200, 137, 190])
      t.is(await again.appender.append(one, [record(one)]), where(told, one));
    t.is(await codeFrom(again.appender.append(136, [record(136)])), 'EXISTS');
    t.is(await codeFrom(again.appender.append(202, [record(202)])), 'INVALID_ARGUMENT');
    told.set(201, await again.appender.append(201, [record(201)]));
    t.is(
      await appender.append(201, [record(201)]),
      where(told, 201),
      'what another client appended is known',
    );
    told.set(202, await appender.append(202, [record(202)]));
    await checkOnce(t, cluster, inode, told);
    await file.close();
  }));

test('appenders have names: each has its own numbers, and the first may be any', (t) =>
  inRealCluster(2, async (cluster) => {
    const { client } = cluster;
    const inode = await newLog(client);
    const { file, appender } = await opened(client, inode);
    const other = await file.appender(Buffer.from('b\0'));
    t.is(await appender.append(7, [record(7, 50)]), 0);
    t.is(await other.append(1, [record(1, 60)]), 50);
    t.is(await other.append(2, [record(2, 60)]), 110);
    t.is(await appender.append(8, [record(8, 50)]), 170);
    t.is(await codeFrom(appender.append(10, [record(10)])), 'INVALID_ARGUMENT');
    t.is(await codeFrom(file.appender(Buffer.alloc(0))), 'INVALID_ARGUMENT');
    t.is(await codeFrom(file.appender(Buffer.alloc(65))), 'INVALID_ARGUMENT');
    await appender.close();
    t.is(await codeFrom(appender.append(9, [record(9)])), 'BAD_FILE');
    const { file: reader } = await client.open(inode, { read: true }, ME);
    t.is(await codeFrom(reader.appender(NAME)), 'BAD_FILE');
    await file.close();
    t.is(await codeFrom(other.append(3, [record(3)])), 'BAD_FILE');
    await reader.close();
  }));

test('a record whose client was killed between send and answer is there once, at the offset that the next one tells', async (t) => {
  for (let seed = 1; seed <= 40; seed += 1) {
    await inRealCluster(seed, async (cluster) => {
      const { client, connect, kill, sleep, simulation } = cluster;
      const dice = simulation.random.fork('killing');
      const inode = await newLog(client);
      const told = new Map<number, number>();
      // Some fill chunks of 256 KiB.
      const lengthMax = dice.chance(0.5) ? 60 * KiB : 2 * KiB;
      let next = 1;
      for (let life = 2; life <= 6; life += 1) {
        const { appender } = await opened(await connect(), inode);
        const first = next;
        for (; next < first + 20; next += 1) {
          const number = next;
          const bytes = [record(number, 20 + ((number * 7919) % lengthMax))];
          const answered = appender.append(number, bytes);
          answered.then(
            (offset) => {
              const before = told.get(number);
              if (before !== undefined && before !== offset) t.fail(`seed ${seed}: ${number} moved`);
              told.set(number, offset);
            },
            () => undefined,
          );
          if (dice.chance(0.3)) await sleep(dice.below(4));
        }
        await sleep(dice.below(20));
        kill(`c${life}`);
        // The caller does not know of any of those that have no answer, and sends some others again too.
        const unknown = Array.from({ length: 20 }, (_, index) => first + index).find((one) => !told.has(one));
        next = Math.max(1, (unknown ?? next) - dice.below(3));
        const { file, appender: heir } = await opened(client, inode);
        for (let number = next; number < first + 20; number += 1) {
          const offset = await heir.append(number, [record(number, 20 + ((number * 7919) % lengthMax))]);
          t.is(told.get(number) ?? offset, offset, `seed ${seed}: ${number} is where it was told to be`);
          told.set(number, offset);
        }
        next = first + 20;
        await file.close();
      }
      await checkOnce(t, cluster, inode, told, `seed ${seed}`);
    });
  }
});

test('what is known survives a full chunk, a killed primary and a restarted cluster', (t) =>
  inRealCluster(
    3,
    async (cluster) => {
      const { client, connect, kill, start, sleep } = cluster;
      const inode = await newLog(client);
      const { file, appender } = await opened(client, inode);
      const told = new Map<number, number>();
      const append = async (number: number, by = appender) =>
        told.set(number, await by.append(number, [record(number, 30 * KiB)]));
      for (let number = 1; number <= 20; number += 1) await append(number);
      const { extents } = await client.statFile(inode, ME);
      t.true(extents.length > 2);
      const again = await opened(await connect(), inode);
      for (const number of [1, 8, 9, 17, 20]) {
        t.is(await again.appender.append(number, [record(number, 30 * KiB)]), where(told, number));
      }
      const last = must(extents.at(-1), 'there are extents');
      const primary = `s${last.primary}`;
      kill(primary);
      await append(21, again.appender);
      await append(22);
      t.is(await appender.append(21, [record(21, 30 * KiB)]), where(told, 21));
      await start(primary);
      for (const machine of ['s1', 's2', 's3', 's4', 'm']) kill(machine);
      for (const machine of ['m', 's1', 's2', 's3', 's4']) await start(machine);
      await sleep(5 * SECOND_MS);
      const third = await opened(await connect(), inode);
      for (const number of [1, 9, 21, 22])
        t.is(await third.appender.append(number, [record(number, 30 * KiB)]), where(told, number));
      await append(23, third.appender);
      await checkOnce(t, cluster, inode, told);
      await file.close();
    },
    { serverCount: 4, replication: 3 },
  ));

test('a record that was cut off is not appended again; where a chunk went, what it had is forgotten', (t) =>
  inRealCluster(4, async (cluster) => {
    const { client, connect } = cluster;
    const inode = await newLog(client);
    const { file, appender } = await opened(client, inode);
    let sixth = 0;
    for (let number = 1; number <= 6; number += 1)
      sixth = await appender.append(number, [record(number, 10 * KiB)]);
    await file.truncate(25 * KiB);
    t.is(await appender.append(6, [record(6, 10 * KiB)]), sixth);
    const again = await opened(await connect(), inode);
    t.is(await again.appender.append(6, [record(6, 10 * KiB)]), sixth);
    t.is(await again.appender.append(7, [record(7, 10 * KiB)]), 25 * KiB);
    for (let number = 8; number <= 40; number += 1)
      await again.appender.append(number, [record(number, 10 * KiB)]);
    await again.file.truncate(25 * KiB);
    // Of the chunks that went nobody knows what numbers they had: one that is higher may follow.
    const third = await opened(await connect(), inode);
    t.is(await third.appender.append(6, [record(6, 10 * KiB)]), sixth);
    t.is(await third.appender.append(41, [record(41, 10 * KiB)]), 25 * KiB);
    t.is(await codeFrom(third.appender.append(43, [record(43)])), 'INVALID_ARGUMENT');
    t.is(await appender.append(42, [record(42, 10 * KiB)]), 35 * KiB);
    await file.truncate(0);
    const fourth = await opened(await connect(), inode);
    t.is(await codeFrom(fourth.appender.append(1, [record(1, 10 * KiB)])), 'EXISTS', 'that was told before');
    t.is(await fourth.appender.append(50, [record(50)]), 0);
    await file.close();
  }));

test('two clients that append the same numbers at the same time never do so twice, whatever holds them up', async (t) => {
  for (let seed = 1; seed <= 40; seed += 1) {
    await inRealCluster(seed, async (cluster) => {
      const { client, connect, network, sleep, simulation } = cluster;
      const dice = simulation.random.fork('duel');
      const inode = await newLog(client);
      const told = new Map<number, number>();
      const lengthMax = dice.chance(0.7) ? 60 * KiB : 2 * KiB;
      const duel = async (host: string) => {
        const mine = await connect();
        let appending = await opened(mine, inode);
        for (let number = 1; number <= 30; ) {
          const count = 1 + dice.below(4);
          const numbers = Array.from({ length: count }, (_, index) => number + index);
          const offsets = await Promise.allSettled(
            numbers.map((one) =>
              appending.appender.append(one, [record(one, 20 + ((one * 7919) % lengthMax))]),
            ),
          );
          for (const [index, answer] of offsets.entries()) {
            const one = number + index;
            if (answer.status === 'rejected') continue;
            t.is(told.get(one) ?? answer.value, answer.value, `seed ${seed}: ${one} lies in one place`);
            told.set(one, answer.value);
          }
          if (dice.chance(0.3)) {
            const server = `s${1 + dice.below(3)}`;
            network.block(host, server);
            const held = sleep(dice.below(3000));
            void held.then(() => network.heal(host, server));
          }
          if (dice.chance(0.2)) {
            await appending.file.close();
            appending = await opened(mine, inode);
          }
          if (dice.chance(0.1)) {
            // The file goes on behind a hole, in another extent perhaps.
            const { length } = await appending.file.attributes();
            await appending.file.allocate(length + dice.below(400 * KiB), 1);
          }
          number = Math.max(number + 1, number + count - dice.below(2));
        }
        await appending.file.close();
      };
      await Promise.all([duel('c2'), duel('c3')]);
      network.healAll();
      await sleep(20 * SECOND_MS);
      t.true(told.size >= 30, `seed ${seed}`);
      await checkOnce(t, cluster, inode, told, `seed ${seed}`);
    });
  }
});

test('a batch that is still on its way when another client goes on behind its extent does not land there', (t) =>
  inRealCluster(5, async (cluster) => {
    const { client, connect, envOf, network, sleep } = cluster;
    const inode = await newLog(client);
    const other = await connect();
    const late = await opened(other, inode);
    const told = new Map([[1, await late.appender.append(1, [record(1)])]]);
    for (const server of ['s1', 's2', 's3']) network.block('c2', server);
    const patient = { deadlineMs: envOf(other).monotonicMs() + 300 * SECOND_MS };
    const answered = late.appender.append(2, [record(2)], patient);
    // An attempt is given up, of which nobody knows what became of it: the next one is at the same chunk.
    await sleep(40 * SECOND_MS);
    const { file, appender } = await opened(client, inode);
    // The extent is not the last one any more, and nobody has sealed it.
    await file.allocate(600 * KiB, 1);
    told.set(2, await appender.append(2, [record(2)]));
    t.true(where(told, 2) > 600 * KiB);
    network.healAll();
    t.is(await answered, where(told, 2));
    told.set(3, await late.appender.append(3, [record(3)]));
    await checkOnce(t, cluster, inode, told);
    await file.close();
  }));

test('records that are pushed along the chain are there once, too, whoever sends them again', (t) =>
  inRealCluster(
    3,
    async (cluster) => {
      const { client, connect, kill, start, sleep } = cluster;
      const inode = await newLog(client);
      const lengthOf = (number: number) => (65 + ((number * 53) % 190)) * KiB;
      const told = new Map<number, number>();
      let by = await opened(client, inode);
      for (let number = 1; number <= 16; number += 1) {
        const bytes = record(number, lengthOf(number));
        if (number % 4 === 0) {
          // Its sender goes while it is on its way, and a server with him.
          const sending = await connect();
          const { appender } = await opened(sending, inode);
          const broken = codeFrom(appender.append(number, [bytes]));
          await sleep(number / 4);
          kill(`c${number / 2}`);
          kill('s2');
          void broken;
          by = await opened(await connect(), inode);
        }
        told.set(number, await by.appender.append(number, [bytes]));
        t.is(await by.appender.append(number, [bytes]), where(told, number), 'sent again');
        if (number % 4 === 0) await start('s2');
      }
      await checkOnce(t, cluster, inode, told);
    },
    { chunkSizeBytes: 1024 * KiB },
  ));
