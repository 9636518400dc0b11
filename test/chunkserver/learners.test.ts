// The repair of a copy (P9), by real servers on virtual time; the master's part is the test's.
import test, { type ExecutionContext } from 'ava';
import { codeOf } from '../../src/base/errors.ts';
import { KiB, SECOND_MS } from '../../src/base/units.ts';
import { ChunkserverDefinition, type LearnRequest } from '../../src/rpc/messages.ts';
import { type Cluster, orderTo, sameBytes, sample } from './harness.ts';
import { simulate } from './sim-world.ts';

const CHUNK = 5;
const BLOCK = 64 * KiB;
const { methods } = ChunkserverDefinition;
const EMPTY = Buffer.alloc(0);

async function codeOfFailure(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'ok',
    (error: unknown) => codeOf(error),
  );
}

/** Version 2 on the servers 0 and 1; server 2 has the copy of version 1, server 3 none. */
async function withTwoMembers(cluster: Cluster, blockCount = 8): Promise<void> {
  for (let index = 0; index < blockCount; index += 1) {
    await cluster.write(CHUNK, index * BLOCK, sample(BLOCK, index));
  }
  await cluster.raiseWithout(CHUNK, 2, [2]);
  await cluster.write(CHUNK, 0, sample(100, 77), { version: 2 });
  await cluster.add();
}

/** A client that writes and appends until it is told to stop; what it was told of is remembered. */
class Writer {
  readonly #cluster: Cluster;
  readonly #writer: number;
  stopped = false;
  /** Acknowledged: the latest seed at each place of its own, and the appends. */
  readonly written = new Map<number, number>();
  readonly appended = new Map<number, number>();
  count = 0;

  constructor(cluster: Cluster, writer: number) {
    this.#cluster = cluster;
    this.#writer = writer;
  }

  async run(version: number): Promise<void> {
    const writer = this.#writer;
    for (let number = 1; !this.stopped; number += 1) {
      const options = { version, writer, number };
      try {
        if (number % 7 === 0) {
          const offset = (number % 8) * BLOCK + writer * 1000;
          this.written.delete(offset);
          await this.#cluster.zero(CHUNK, offset, 500, options);
        } else if (number % 3 === 0) {
          const record = sample(1000 + writer, number);
          const { chunkOffset } = await this.#cluster.append(CHUNK, record, options);
          this.appended.set(chunkOffset, number);
        } else {
          // In the middle of blocks, some bytes of its own in each.
          const offset = ((number * 7) % 8) * BLOCK + writer * 1000;
          this.written.delete(offset);
          await this.#cluster.write(CHUNK, offset, sample(500, number), options);
          this.written.set(offset, number);
        }
        this.count += 1;
      } catch {
        return;
      }
    }
  }

  check(t: ExecutionContext, content: Buffer): void {
    const at = (offset: number, length: number) => content.subarray(offset, offset + length);
    for (const [offset, seed] of this.written) sameBytes(t, at(offset, 500), sample(500, seed));
    for (const [offset, seed] of this.appended) {
      const length = 1000 + this.#writer;
      sameBytes(t, at(offset, length), sample(length, seed));
    }
  }
}

for (const seed of [1, 2, 3, 4]) {
  const learner = seed % 2 === 0 ? 2 : 3;
  const kind = learner === 2 ? 'with an old copy' : 'with nothing';
  test(`P9: a learner ${kind} has all that writers were told when its admission is asked for, seed ${seed}`, async (t) => {
    await simulate(seed, async (cluster) => {
      await withTwoMembers(cluster);
      const writers = [1, 2, 3].map((writer) => new Writer(cluster, 10 + writer));
      const work = writers.map((writer) => writer.run(2));
      // The learner is everybody's source: what it lacks is lost.
      await taught(cluster, { version: 2, learner, members: [0, 1, learner], primary: learner });
      await Promise.all(work);
      t.true(writers.every(({ count }) => count > 3));
      t.is(cluster.master.admissions.length, 1);
      await cluster.write(CHUNK, 999, sample(1), { version: 3, primary: learner });
      const content = await cluster.read(learner, CHUNK, 0, 1024 * KiB, 3);
      for (const writer of writers) writer.check(t, content);
      const sums = await Promise.all([0, 1, learner].map((index) => cluster.sumsOf(index, CHUNK, 3)));
      t.deepEqual(sums[1], sums[0]);
      t.deepEqual(sums[2], sums[0]);
      t.true((sums[0]?.table.length ?? 0) === 3);
    });
  });
}

test('P9: what a learner still holds is not copied again', async (t) => {
  await simulate(11, async (cluster, world) => {
    await withTwoMembers(cluster, 15);
    await taught(cluster, { version: 2, learner: 2, members: [0, 1, 2] });
    await world.simulation.sleep(1 * SECOND_MS);
    const counted = cluster.master.heartbeats.flatMap(({ operations }) => operations);
    const copied = counted
      .filter(({ operation }) => operation === 'Learn')
      .reduce((sum, { bytes }) => sum + bytes, 0);
    t.is(copied, BLOCK, 'one of 15 blocks differs');
  });
});

test('P9: a learner that restarts is no member, and no source; it begins again', async (t) => {
  await simulate(12, async (cluster) => {
    await withTwoMembers(cluster);
    const lesson = codeOfFailure(cluster.teach(CHUNK, 2, { learner: 3 }));
    await untilIt(cluster, 3, (state) => (state?.learner ?? false) && state?.length === 8 * BLOCK);
    await cluster.restart(3);
    t.not(await lesson, 'ok');
    t.deepEqual(cluster.master.admissions, []);
    t.like(await cluster.stateOf(3, CHUNK), { version: 2, learner: true, restarted: true, whole: false });
    t.is(await codeOfFailure(cluster.read(3, CHUNK, 0, 10, 2)), 'NOT_READY');
    const apply = cluster.at(3).connection.call(methods.apply, orderTo(CHUNK, 2, { serial: 1 }));
    t.is(await codeOfFailure(apply), 'NOT_READY');
    await cluster.write(CHUNK, 5, sample(20, 9), { version: 2 });
    await taught(cluster, { version: 2, learner: 3, members: [0, 1, 3] });
    await cluster.write(CHUNK, 6, sample(20, 10), { version: 3 });
    await sameOn(t, cluster, [0, 1, 3], 3);
  });
});

test('P9: with the primary a lesson ends; the next one teaches what is left of it', async (t) => {
  await simulate(13, async (cluster, world) => {
    await withTwoMembers(cluster);
    const writer = new Writer(cluster, 4);
    const work = writer.run(2);
    const lesson = codeOfFailure(cluster.teach(CHUNK, 2, { learner: 3 }));
    await untilIt(cluster, 3, (state) => state?.learner ?? false);
    world.network.partition('server-0', 'server-1');
    world.network.partition('server-0', 'server-3');
    await cluster.raiseTo(CHUNK, 3, [1], 1);
    writer.stopped = true;
    await cluster.at(0).server.close();
    t.not(await lesson, 'ok');
    await work;
    t.deepEqual(cluster.master.admissions, []);
    await taught(cluster, { version: 3, learner: 3, members: [1, 3], teacher: 1, primary: 3 });
    await cluster.write(CHUNK, 9, sample(1), { version: 4, primary: 3 });
    writer.check(t, await cluster.read(3, CHUNK, 0, 1024 * KiB, 4));
    await sameOn(t, cluster, [1, 3], 4);
  });
});

test('P9: once its admission was asked for, nothing is told without a learner; a higher version leaves it out', async (t) => {
  await simulate(14, async (cluster, world) => {
    await withTwoMembers(cluster);
    const lesson = codeOfFailure(cluster.teach(CHUNK, 2, { learner: 3 }));
    while (cluster.master.admissions.length === 0) await world.simulation.sleep(10);
    world.network.partition('server-0', 'server-3');
    let told = false;
    const write = cluster.write(CHUNK, 0, sample(10, 5), { version: 2 }).then(() => {
      told = true;
    });
    while (cluster.master.evictions.length === 0) await world.simulation.sleep(10);
    t.false(told);
    t.is(cluster.master.evictions[0]?.accused, cluster.replica(3).server);
    t.not(await lesson, 'ok');
    t.is(await codeOfFailure(cluster.teach(CHUNK, 2, { learner: 2 })), 'NOT_READY', 'not under this version');
    cluster.master.onEvict = () => cluster.raiseTo(CHUNK, 3, [0, 1], 0);
    await write;
    t.is((await cluster.stateOf(0, CHUNK))?.version, 3);
  });
});

test('P9: a learner that fails before that is forgotten, and its primary goes on', async (t) => {
  await simulate(15, async (cluster, world) => {
    await withTwoMembers(cluster);
    const lesson = codeOfFailure(cluster.teach(CHUNK, 2, { learner: 3 }));
    await untilIt(cluster, 3, (state) => state?.learner ?? false);
    world.network.partition('server-0', 'server-3');
    for (let number = 0; number < 40; number += 1) {
      await cluster.write(CHUNK, 0, sample(100, number), { version: 2 });
      await world.simulation.sleep(0.1 * SECOND_MS);
    }
    t.not(await lesson, 'ok');
    t.deepEqual(cluster.master.evictions, []);
    t.deepEqual(cluster.master.admissions, []);
  });
});

test('P9: a primary that waits for a dead member teaches another, and answers what was in flight with it', async (t) => {
  await simulate(16, async (cluster, world) => {
    await withTwoMembers(cluster);
    world.network.partition('server-0', 'server-1');
    const write = cluster.write(CHUNK, 100, sample(50, 6), { version: 2 });
    while (cluster.master.evictions.length === 0) await world.simulation.sleep(10);
    await taught(cluster, { version: 2, learner: 2, members: [0, 2] });
    await write;
    await sameOn(t, cluster, [0, 2], 3);
    sameBytes(t, (await cluster.read(2, CHUNK, 100, 50, 3)).subarray(0, 50), sample(50, 6));
  });
});

test('P9: a primary that cannot make its version active teaches from what it holds', async (t) => {
  await simulate(17, async (cluster, world) => {
    await withTwoMembers(cluster);
    await cluster.at(1).server.close();
    await cluster.raiseTo(CHUNK, 3, [0, 1], 0).catch(() => undefined);
    await world.simulation.sleep(1 * SECOND_MS);
    t.is(await codeOfFailure(cluster.read(0, CHUNK, 0, 10, 3)), 'NOT_READY');
    await taught(cluster, { version: 3, learner: 3, members: [0, 3] });
    await cluster.write(CHUNK, 1, sample(1), { version: 4 });
    await sameOn(t, cluster, [0, 3], 4);
  });
});

test('a lesson goes on where the version becomes active under it', async (t) => {
  await simulate(18, async (cluster, world) => {
    await withTwoMembers(cluster);
    world.network.partition('server-0', 'server-1');
    await cluster.raiseTo(CHUNK, 3, [0, 1], 0);
    const lesson = codeOfFailure(cluster.teach(CHUNK, 3, { learner: 3 }));
    while (cluster.master.admissions.length === 0) await world.simulation.sleep(10);
    world.network.healAll();
    const writer = new Writer(cluster, 4);
    const work = writer.run(3);
    while (writer.count < 20) await world.simulation.sleep(10);
    await taught(cluster, { version: 3, learner: 3, members: [0, 1, 3], primary: 3 });
    await lesson;
    await work;
    await cluster.write(CHUNK, 3, sample(1), { version: 4, primary: 3 });
    writer.check(t, await cluster.read(3, CHUNK, 0, 1024 * KiB, 4));
    await sameOn(t, cluster, [0, 1, 3], 4);
  });
});

test('bad lessons are refused and change nothing', async (t) => {
  await simulate(19, async (cluster) => {
    await withTwoMembers(cluster);
    const record = cluster.record(CHUNK, 2, 0, [0, 1]);
    const send = async (to: number, change: Partial<LearnRequest>, payload: Uint8Array[] = []) => {
      const { server } = cluster.replica(to);
      const request = {
        chunk: CHUNK,
        server,
        lesson: 'x',
        serial: 1,
        step: undefined,
        payload: EMPTY,
        ...change,
      };
      return await codeOfFailure(cluster.at(to).connection.call(methods.learn, request, { payload }));
    };
    const start = { record, length: 10, sealed: false, table: [] };
    const begin = { $case: 'begin', value: start } as const;
    const blocks = (checksums: number[]) =>
      ({ $case: 'blocks', value: { firstBlock: 0, checksums, lostBytes: 0 } }) as const;
    const lost = (lostBytes: number) => ({
      $case: 'blocks' as const,
      value: { firstBlock: 0, checksums: [1], lostBytes },
    });
    const end = { $case: 'end', value: { digest: 1 } } as const;
    const orders = { $case: 'orders', value: { orders: orderTo(CHUNK, 2, { serial: 9 }).orders } } as const;

    // To a member, and to a server that has nothing.
    t.is(await send(1, { step: begin }), 'INVALID_ARGUMENT', 'a member');
    t.is(await send(1, { step: blocks([1]) }, [sample(10)]), 'NOT_READY');
    t.is(await send(3, { step: blocks([1]) }, [sample(10)]), 'NO_SUCH_CHUNK');
    t.is(await send(3, { step: begin, server: 99 }), 'WRONG_SERVICE');
    t.is(await send(3, { step: begin, chunk: 99 }), 'INVALID_ARGUMENT', 'a record of another chunk');
    t.is(await send(3, { step: begin, lesson: '' }), 'INVALID_ARGUMENT');
    t.is(await send(3, {}), 'INVALID_ARGUMENT', 'no step');
    t.is(await cluster.stateOf(3, CHUNK), undefined);
    t.like(await cluster.stateOf(1, CHUNK), { version: 2, whole: true, reconciled: true, learner: false });

    // To a learner.
    t.is(await send(3, { step: begin }), 'ok');
    const before = await cluster.sumsOf(3, CHUNK, 2);
    t.is(await send(3, { step: blocks([1]) }, [sample(10)]), 'CHECKSUM_MISMATCH');
    t.is(await send(3, { step: blocks([1]) }, [sample(11)]), 'INVALID_ARGUMENT', 'longer than the replica');
    t.is(await send(3, { step: lost(11) }), 'INVALID_ARGUMENT', 'longer than the replica');
    t.is(await send(3, { step: lost(10) }, [sample(10)]), 'CHECKSUM_MISMATCH', 'it has bytes');
    t.is(await send(3, { step: blocks([1, 2]) }, [sample(10)]), 'INVALID_ARGUMENT');
    t.is(await send(3, { step: blocks([1]), lesson: 'y' }, [sample(10)]), 'NOT_READY', 'another lesson');
    t.is(await send(3, { step: blocks([1]), serial: 2 }, [sample(10)]), 'SERIAL_GAP');
    t.is(await send(3, { step: end }), 'CHECKSUM_MISMATCH');
    t.is(await send(3, { step: orders }), 'SERIAL_GAP');
    t.deepEqual(await cluster.sumsOf(3, CHUNK, 2), before);
    t.is(
      await send(3, { step: { $case: 'begin', value: { ...start, record: { ...record, version: 1 } } } }),
      'VERSION_MISMATCH',
    );
    t.like(await cluster.stateOf(3, CHUNK), { version: 2, whole: false, learner: true });

    // To those who are to teach.
    t.is(await codeOfFailure(cluster.teach(CHUNK, 2, { learner: 1 })), 'INVALID_ARGUMENT', 'a member');
    t.is(await codeOfFailure(cluster.teach(CHUNK, 1, { learner: 3 })), 'VERSION_MISMATCH');
    t.is(await codeOfFailure(cluster.teach(CHUNK, 2, { primary: 1, learner: 3 })), 'NOT_PRIMARY');
    t.is(await codeOfFailure(cluster.teach(99, 2, { learner: 3 })), 'NO_SUCH_CHUNK');
  });
});

/** Resolves when the learner is a member of the next version, as everybody has recorded it. */
async function taught(
  cluster: Cluster,
  { version, learner, members, teacher = 0, primary = teacher }: Lesson,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    cluster.master.onAdmit = async () => {
      await cluster.raiseTo(CHUNK, version + 1, members, primary).then(resolve, reject);
    };
    // It is answered, or its version ends under it.
    cluster.teach(CHUNK, version, { primary: teacher, learner }).catch(() => undefined);
  });
}

interface Lesson {
  readonly version: number;
  readonly learner: number;
  readonly members: readonly number[];
  readonly teacher?: number;
  readonly primary?: number;
}

async function untilIt(
  cluster: Cluster,
  index: number,
  holds: (state: Awaited<ReturnType<Cluster['stateOf']>>) => boolean,
): Promise<void> {
  while (!holds(await cluster.stateOf(index, CHUNK)));
}

async function sameOn(t: ExecutionContext, cluster: Cluster, members: readonly number[], version: number) {
  const [first, ...others] = await Promise.all(members.map((index) => cluster.sumsOf(index, CHUNK, version)));
  for (const other of others) t.deepEqual(other, first);
}
