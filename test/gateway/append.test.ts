// Records of programs: each is in the file once, where its ack said, whatever dies in between.
import { setImmediate as settled } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { must } from '../../src/base/assert.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import { KiB, MiB, SECOND_MS } from '../../src/base/units.ts';
import { AppendRun } from '../../src/gateway/append-run.ts';
import { OpenAppenders } from '../../src/gateway/open-appenders.ts';
import { type Attributes, FilesDefinition, FileType } from '../../src/rpc/messages.ts';
import { pattern } from '../client/world.ts';
import { ALICE, Appending, codeFrom, errorFrom, inFilesWorld, type Program, ROOT } from './world.ts';

/** Of its own at each number, the first bytes of which say which it is. */
function record(number: number, length = 20 + ((number * 37) % 900)): Buffer {
  const bytes = Buffer.alloc(length, number % 251);
  bytes.write(`<${number}>`, 'latin1');
  return bytes;
}

/** Each of these is in the file once, where it was told to be, and nothing else is. */
async function checkOnce(t: ExecutionContext, program: Program, told: ReadonlyMap<number, number>) {
  const text = (await program.read('/log')).toString('latin1');
  const found = [...text.matchAll(/<(\d+)>/g)].map((match) => [Number(match[1]), match.index]);
  t.deepEqual(
    found,
    [...told].sort(([a], [b]) => a - b),
  );
}

/** Each right behind the one before. */
function placesOf(lengths: readonly number[], first = 1): [number, number][] {
  let end = 0;
  return lengths.map((length, index) => {
    end += length;
    return [first + index, end - length];
  });
}

test('one by one, records follow one another; sent again, they are found', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const program = await as(ROOT);
    t.is(await program.append('/log', 7, record(7, 50), { mode: 0o600 }), 0);
    t.is((await program.stat('/log')).attributes?.mode, 0o600);
    t.is(await program.append('/log', 8, record(8, 60)), 50);
    const other = { clientId: Buffer.from('b\0') };
    t.is(await program.append('/log', 1, record(1, 70), other), 110);
    t.is(await program.append('/log', 7, record(7, 50)), 0);
    t.is(await program.append('/log', 9, record(9, 80), { create: false }), 180);
    t.is((await program.stat('/log')).attributes?.length, 260);
    // What was opened for them is closed by now: another gateway, and this one anew, know as much.
    await cluster.sleep(10 * SECOND_MS);
    for (const again of [program, await as(ROOT)]) {
      t.is(await again.append('/log', 8, record(8, 60)), 50);
      t.is(await again.append('/log', 1, record(1, 70), other), 110);
    }
    t.is((await program.stat('/log')).attributes?.length, 260);
  }));

test('single appends open the file once in some seconds, and close it', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const program = await as(ROOT);
    const logPosition = async () => (await cluster.client.status()).logPosition;
    const open = async () => {
      const { sessions } = await cluster.client.status();
      return sessions.reduce((sum, { openFileCount }) => sum + openFileCount, 0);
    };
    await program.append('/log', 1, record(1));
    const before = await logPosition();
    for (let number = 2; number <= 100; number += 1) await program.append('/log', number, record(number));
    t.true((await logPosition()) - before < 10, 'the master has nothing to do with them');
    t.is(await open(), 1);
    await cluster.sleep(10 * SECOND_MS);
    t.is(await open(), 0);
  }));

test('a thousand files are kept open at most, but for those that are in use', async (t) => {
  let open = 0;
  const client = {
    open: async () => {
      open += 1;
      const appender = { append: async () => 0, close: async () => undefined };
      const close = async () => {
        open -= 1;
      };
      return { file: { appender: async () => appender, close } };
    },
  };
  const env = { monotonicMs: () => 0, setTimer: () => ({ cancel: () => undefined }) };
  const appenders = new OpenAppenders(env as never, client as never);
  const file = { inode: 7, uid: 0, gid: 0, mode: 0o644 } as Attributes;
  const take = (id: number) => appenders.take(file, Buffer.from(String(id)), { caller: ROOT });
  const used = await take(0);
  for (let id = 1; id <= 2000; id += 1) (await take(id)).giveBack(false);
  await settled();
  t.is(open, 1025);
  used.giveBack(false);
  await settled();
  t.is(open, 1024);
  const doubtful = await take(2000);
  t.is(open, 1024, 'it is the same');
  doubtful.giveBack(true);
  await settled();
  t.is(open, 1023);
  appenders.close();
  await settled();
  t.is(open, 0);
});

test('a stream has an ack for each record, in order, many on their way at a time', (t) =>
  inFilesWorld(async ({ as }) => {
    const program = await as(ROOT);
    const appending = program.openAppend('/log');
    const numbers = Array.from({ length: 2000 }, (_, index) => index + 1);
    const began = program.env.monotonicMs();
    for (const number of numbers) await appending.send(number, [record(number)]);
    await appending.finish();
    const each = (program.env.monotonicMs() - began) / numbers.length;
    const places = placesOf(numbers.map((number) => record(number).length));
    t.deepEqual(appending.acks, places);
    await checkOnce(t, program, new Map(places));
    const single = program.env.monotonicMs();
    await program.append('/log', 2001, record(2001));
    t.true(each < (program.env.monotonicMs() - single) / 4, 'they go together');
  }));

test('records that an ack was lost of are found through another gateway, and are there once', (t) =>
  inFilesWorld(async ({ as, killGateway, cluster }) => {
    const dice = cluster.simulation.random.fork('killing');
    const reader = await as(ROOT);
    const told = new Map<number, number>();
    let next = 1;
    let lostAcks = 0;
    for (let life = 1; life <= 12; life += 1) {
      const program = await as(ROOT);
      const appending = program.openAppend('/log');
      const first = next;
      for (; next < first + 30; next += 1) {
        void appending.send(next, [record(next)]);
        if (dice.chance(0.3)) await cluster.sleep(dice.below(4));
      }
      await cluster.sleep(dice.below(3));
      killGateway(program);
      t.is(await codeFrom(appending.finish()), 'UNAVAILABLE');
      for (const [number, offset] of appending.acks) told.set(number, offset);
      const heir = await as(ROOT);
      const length = (await reader.stat('/log')).attributes?.length ?? 0;
      const again = heir.openAppend('/log');
      // All without an ack, and some that had one.
      next = Math.max(1, first + appending.acks.length - dice.below(3));
      for (; next < first + 30; next += 1) await again.send(next, [record(next)]);
      await again.finish();
      for (const [number, offset] of again.acks) {
        t.is(told.get(number) ?? offset, offset, `${number} is where it was told to be`);
        if (!told.has(number) && offset < length) lostAcks += 1;
        told.set(number, offset);
      }
      killGateway(heir);
    }
    t.true(lostAcks > 10, `${lostAcks} were appended, and had no ack`);
    await checkOnce(t, reader, told);
  }));

test('of what a stream brings no more is taken than 64 records or 4 MiB without an ack that the caller has', async (t) => {
  for (const [length, window] of [
    [100, 64],
    [1 * MiB, 4],
  ] as const) {
    let taken = 0;
    const appender = {
      append: () => {
        taken += 1;
        return Promise.resolve(taken);
      },
      close: () => Promise.resolve(),
    };
    const acks: (() => void)[] = [];
    const send = () => new Promise<void>((resolve) => acks.push(resolve));
    const payload = [Buffer.alloc(length)];
    const records = async function* () {
      for (let sequence = 1; sequence <= 100; sequence += 1) yield { sequence, payload };
    };
    const all = new AppendRun(appender, { send }, { caller: ROOT }).all(records());
    await settled();
    t.is(taken, window);
    t.is(acks.length, window);
    must(acks.shift(), 'an ack is on its way')();
    await settled();
    t.is(taken, window + 1);
    while (acks.length > 0) {
      must(acks.shift(), 'an ack is on its way')();
      await settled();
    }
    await all;
    t.is(taken, 100);
  }
});

test('a record that fails ends its stream behind the acks before it, and nothing behind it is appended', (t) =>
  inFilesWorld(async ({ as }) => {
    const program = await as(ROOT);
    const max = 64 * KiB;
    const cases: [ErrorCode, RegExp, [number, Buffer][]][] = [
      ['INVALID_ARGUMENT', /empty/, [[3, Buffer.alloc(0)]]],
      ['INVALID_ARGUMENT', /65537 bytes/, [[3, Buffer.alloc(max + 1)]]],
      ['INVALID_ARGUMENT', /behind/, [[2, record(2)]]],
      ['INVALID_ARGUMENT', /`sequence`/, [[0, record(3)]]],
      ['INVALID_ARGUMENT', /does not follow 2/, [[4, record(4)]]],
    ];
    for (const [index, [code, message, bad]] of cases.entries()) {
      const start = { clientId: Buffer.from(`bad ${index}`) };
      const appending = program.openAppend('/log', start);
      for (const [number, bytes] of [
        [1, record(1)],
        [2, record(2)],
        ...bad,
        [3, record(3)],
        [4, record(4)],
      ] as [number, Buffer][]) {
        void appending.send(number, [bytes]);
      }
      const error = await errorFrom(appending.finish());
      t.is(error.code, code);
      t.regex(error.message, message);
      t.deepEqual(
        appending.acks.map(([number]) => number),
        [1, 2],
      );
      t.is((await errorFrom(program.append('/log', 4, record(4), start))).fields.highest, '2', `${message}`);
    }
    // One that is there with other bytes, right before one that would be the next.
    const appending = program.openAppend('/log', { clientId: Buffer.from('bad 0') });
    for (const [number, length] of [
      [1, undefined],
      [2, 7],
      [3, undefined],
    ] as const) {
      void appending.send(number, [record(number, length)]);
    }
    t.regex((await errorFrom(appending.finish())).message, /record 2 was another one/);
    const highest = await errorFrom(program.append('/log', 4, record(4), { clientId: Buffer.from('bad 0') }));
    t.is(highest.fields.highest, '2');
  }));

test('a missing record, one that is too old, another one, and what else is no record', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const program = await as(ROOT);
    await program.mkdir('/d');
    const { client } = cluster;
    const fifo = { type: FileType.FILE_TYPE_FIFO, mode: 0o666 };
    await client.makeNode(client.rootInode, Buffer.from('fifo'), fifo, { caller: ROOT });
    const appending = program.openAppend('/log');
    for (let number = 1; number <= 100; number += 1) await appending.send(number, [record(number)]);
    await appending.finish();
    const { length } = must((await program.stat('/log')).attributes, 'it is there');
    const cases: [ErrorCode, string | undefined, Promise<unknown>][] = [
      ['INVALID_ARGUMENT', '100', program.append('/log', 102, record(102))],
      ['EXISTS', '100', program.append('/log', 36, record(36))],
      ['INVALID_ARGUMENT', undefined, program.append('/log', 100, record(100, 7))],
      ['INVALID_ARGUMENT', undefined, program.append('/log', 0, record(1))],
      ['INVALID_ARGUMENT', undefined, program.append('/log', 2 ** 60, record(1))],
      ['INVALID_ARGUMENT', undefined, program.append('/log', 101, Buffer.alloc(0))],
      ['INVALID_ARGUMENT', undefined, program.append('/log', 101, pattern(64 * KiB + 1))],
      ['INVALID_ARGUMENT', undefined, program.append('/log', 101, record(1), { clientId: Buffer.alloc(0) })],
      ['INVALID_ARGUMENT', undefined, program.append('/log', 101, record(1), { clientId: Buffer.alloc(65) })],
      ['INVALID_ARGUMENT', undefined, program.append('log', 101, record(1))],
      ['INVALID_ARGUMENT', undefined, program.append('/new', 1, record(1), { mode: 0o10000 })],
      ['INVALID_ARGUMENT', undefined, program.append('/fifo', 1, record(1))],
      ['IS_DIRECTORY', undefined, program.append('/d', 1, record(1))],
      ['IS_DIRECTORY', undefined, program.append('/new/', 1, record(1))],
      ['NOT_DIRECTORY', undefined, program.append('/log/x', 1, record(1))],
      ['NOT_FOUND', undefined, program.append('/d/none/x', 1, record(1))],
      ['NOT_FOUND', undefined, program.append('/new', 1, record(1), { create: false })],
      ['NOT_FOUND', undefined, program.openAppend('/new', { create: false }).finish()],
      ['IS_DIRECTORY', undefined, program.openAppend('/d').finish()],
      ['INVALID_ARGUMENT', undefined, program.openAppend('/log', { clientId: Buffer.alloc(0) }).finish()],
    ];
    for (const [index, [code, highest, call]] of cases.entries()) {
      const error = await errorFrom(call);
      t.is(error.code, code, `case ${index}`);
      t.is(error.fields.highest, highest, `case ${index}`);
    }
    const { appendStream, append } = FilesDefinition.methods;
    const headless = { start: undefined, sequence: 101, payload: record(101) };
    t.is(await codeFrom(program.connection.call(append, headless)), 'INVALID_ARGUMENT');
    t.is(await codeFrom(new Appending(program.connection.stream(appendStream)).finish()), 'INVALID_ARGUMENT');
    const twice = program.openAppend('/log');
    const start = { path: Buffer.from('/log'), noFollow: false, clientId: Buffer.from('a'), create: false };
    void twice.send(101, [record(101)], { ...start, mode: undefined });
    t.is(await codeFrom(twice.finish()), 'INVALID_ARGUMENT');
    t.deepEqual((await program.list('/')).names, ['d', 'fifo', 'log']);
    t.is((await program.stat('/log')).attributes?.length, length, 'nothing was appended');
    t.is(await program.append('/log', 101, record(101)), length);
  }));

test('no file is made whose mode would shut its maker out', (t) =>
  inFilesWorld(async ({ as }) => {
    const [admin, alice] = [await as(ROOT), await as(ALICE)];
    await admin.mkdir('/shared', { mode: 0o777 });
    const refused = alice.append('/shared/log', 1, record(1), { mode: 0o444 });
    t.is(await codeFrom(refused), 'INVALID_ARGUMENT');
    t.deepEqual((await admin.list('/shared')).names, []);
    t.is(await alice.append('/shared/log', 1, record(1), { mode: 0o200 }), 0);
    t.is(await admin.append('/shared/roots', 1, record(1), { mode: 0o444 }), 0);
  }));

test('who gives a stream up in the midst, or a deadline, may send the same again', (t) =>
  inFilesWorld(async ({ as, cluster, killProgram }) => {
    const program = await as(ROOT);
    const told = new Map<number, number>();
    let next = 1;
    const breaks: [string, (other: Program) => Promise<string>][] = [
      [
        'cancelled',
        async (other) => {
          const appending = other.openAppend('/log');
          for (let number = next; number < next + 30; number += 1)
            void appending.send(number, [record(number)]);
          await cluster.sleep(2);
          appending.stream.cancel();
          return await codeFrom(appending.finish());
        },
      ],
      [
        'killed',
        async (other) => {
          const appending = other.openAppend('/log');
          for (let number = next; number < next + 30; number += 1)
            void appending.send(number, [record(number)]);
          await cluster.sleep(2);
          killProgram(other);
          return 'CANCELLED';
        },
      ],
    ];
    for (const [name, breakOff] of breaks) {
      t.is(await breakOff(await as(ROOT)), 'CANCELLED', name);
      const appending = program.openAppend('/log');
      for (const end = next + 40; next < end; next += 1) await appending.send(next, [record(next)]);
      await appending.finish();
      for (const [number, offset] of appending.acks) told.set(number, offset);
    }
    await checkOnce(t, program, told);

    for (const server of ['s1', 's2', 's3']) cluster.kill(server);
    const { env } = program;
    const began = env.monotonicMs();
    const soon = { deadlineMs: began + 3000 };
    const late = program.openAppend('/log', {}, soon);
    void late.send(next, [record(next)]);
    t.is(await codeFrom(program.append('/log', next, record(next), {}, soon)), 'DEADLINE_EXCEEDED');
    t.is(await codeFrom(late.finish()), 'DEADLINE_EXCEEDED');
    const abort = new AbortController();
    const cancelled = program.append('/log', next, record(next), {}, { signal: abort.signal });
    await cluster.sleep(500);
    abort.abort();
    t.is(await codeFrom(cancelled), 'CANCELLED');
    t.true(env.monotonicMs() - began < 4000);
    for (const server of ['s1', 's2', 's3']) await cluster.start(server);
    told.set(next, await program.append('/log', next, record(next)));
    await checkOnce(t, program, told);
  }));

test('a right that is taken away is gone for the next append', (t) =>
  inFilesWorld(async ({ as, cluster }) => {
    const admin = await as(ROOT);
    const alice = await as(ALICE);
    const { attributes } = await admin.write('/log', [], { mode: 0o666 });
    t.is(await alice.append('/log', 1, record(1)), 0);
    const inode = must(attributes, 'it is there').inode;
    await cluster.client.setAttributes(inode as never, { mode: 0o644 }, { caller: ROOT });
    t.is(await codeFrom(alice.append('/log', 2, record(2))), 'PERMISSION_DENIED');
    t.is(await codeFrom(alice.openAppend('/log').finish()), 'PERMISSION_DENIED');
  }));
