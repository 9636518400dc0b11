// Appends of many writers at one primary: together where they queue up, once each whatever happens on the way.
import test from 'ava';
import { codeOf, type ErrorCode } from '../../src/base/errors.ts';
import { MiB, SECOND_MS } from '../../src/base/units.ts';
import { ChunkserverDefinition, MutationKind } from '../../src/rpc/messages.ts';
import { Random } from '../sim/random.ts';
import { CHUNK_SIZE_BYTES, Cluster, sameBytes, sample, type WriteOptions } from './harness.ts';
import { type SimWorld, simulate } from './sim-world.ts';

const CHUNK = 3;
/** More than the writers fill. */
const CHUNKS = 10;

async function codeOfFailure(work: Promise<unknown>): Promise<ErrorCode | 'ok'> {
  return await work.then(
    () => 'ok',
    (error: unknown) => codeOf(error),
  );
}

test('appends that queue up at a primary go to the members together', async (t) => {
  await simulate(1, async (cluster, world) => {
    await cluster.append(CHUNK, sample(10), { writer: 1, number: 1 });
    await world.simulation.sleep(1 * SECOND_MS);
    const callsBefore = applyCalls(cluster);
    const writers = Array.from({ length: 300 }, (_, index) => index + 2);
    const answers = await Promise.all(
      writers.map((writer) => cluster.append(CHUNK, sample(100, writer), { writer, number: 1 })),
    );
    await world.simulation.sleep(1 * SECOND_MS);
    const calls = applyCalls(cluster) - callsBefore;
    t.true(calls > 0 && calls < 100, `${calls} calls`);
    for (const index of [0, 1, 2]) {
      const found = await cluster.read(index, CHUNK, 0, 1 * MiB);
      t.is(found.length, 10 + 300 * 100);
      for (const [which, { chunkOffset }] of answers.entries()) {
        const expected = sample(100, which + 2);
        t.true(found.subarray(chunkOffset, chunkOffset + 100).equals(expected));
      }
    }
  });
});

/** Orders and notices that the first secondary was called with. */
function applyCalls(cluster: Cluster): number {
  const { serverId } = cluster.at(1).server;
  const heartbeats = cluster.master.heartbeats.filter(({ server }) => server === serverId);
  const counts = heartbeats.flatMap(({ operations }) =>
    operations.filter(({ operation }) => operation === 'Apply').map(({ count }) => count),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

test.serial('bad appends are refused one by one, and change nothing', async (t) => {
  await using cluster = await Cluster.start(3);
  await cluster.append(CHUNK, sample(100), { writer: 1, number: 5 });
  const append = (data: Buffer, options: WriteOptions) =>
    codeOfFailure(cluster.append(CHUNK, data, { writer: 1, number: 6, ...options }));
  const tooLong = sample(CHUNK_SIZE_BYTES / 4 + 1);
  const longId = await cluster.push(CHUNK, 0, tooLong);
  t.is(await append(sample(10), { version: 2 }), 'VERSION_MISMATCH');
  t.is(await codeOfFailure(cluster.append(99, sample(10), { version: 2 })), 'NO_SUCH_CHUNK');
  t.is(await append(sample(10), { number: 4 }), 'INVALID_ARGUMENT', 'a number from the past');
  t.is(await append(sample(100, 2), { number: 5 }), 'INVALID_ARGUMENT', 'other bytes by the same number');
  t.is(await append(sample(99), { number: 5 }), 'INVALID_ARGUMENT', 'fewer bytes by the same number');
  t.is(await append(sample(10), { pushId: { writer: 9, number: 9 } }), 'NO_SUCH_PUSH');
  t.is(await append(sample(10), { checksums: [1] }), 'CHECKSUM_MISMATCH');
  t.is(await append(sample(10), { checksums: [] }), 'INVALID_ARGUMENT');
  t.is(await append(sample(10), { checksums: [1, 2] }), 'INVALID_ARGUMENT');
  t.is(await append(Buffer.alloc(0), {}), 'INVALID_ARGUMENT');
  t.is(await append(tooLong, { pushId: longId }), 'INVALID_ARGUMENT');
  const kind = MutationKind.MUTATION_KIND_APPEND;
  const behindChunk = { writer: 1, number: 6, kind, chunkOffset: CHUNK_SIZE_BYTES + 1 };
  t.is(await codeOfFailure(cluster.mutate(CHUNK, sample(1), behindChunk)), 'INVALID_ARGUMENT');
  // The next one takes its place as if nothing had been.
  t.is((await cluster.append(CHUNK, sample(10), { writer: 1, number: 6 })).chunkOffset, 100);
  for (const index of [0, 1, 2]) t.is((await cluster.read(index, CHUNK, 0, 1000)).length, 110);
});

test.serial('a chunk that was deleted before its first mutation does not begin any more', async (t) => {
  await using cluster = await Cluster.start(3);
  const { delete: deleteChunks } = ChunkserverDefinition.methods;
  await cluster.at(1).connection.call(deleteChunks, { chunks: [CHUNK] });
  t.is(await codeOfFailure(cluster.append(CHUNK, sample(10), { writer: 1, number: 1 })), 'NOT_PRIMARY');
  await cluster.at(0).connection.call(deleteChunks, { chunks: [CHUNK + 1] });
  const refused = cluster.append(CHUNK + 1, sample(10), { writer: 1, number: 1 });
  t.is(await codeOfFailure(refused), 'NO_SUCH_CHUNK');
});

test.serial('P14: a chunk that the master was told is not here begins by its order alone', async (t) => {
  await using cluster = await Cluster.start(3);
  const first = { writer: 1, number: 1 };
  t.is(await cluster.stateOf(0, CHUNK), undefined);
  t.is(await codeOfFailure(cluster.append(CHUNK, sample(10), first)), 'NO_SUCH_CHUNK');
  const { create } = ChunkserverDefinition.methods;
  const record = { ...cluster.record(CHUNK, 2), loss: 2 };
  for (const index of [0, 1, 2]) await cluster.at(index).connection.call(create, { record, copy: false });
  t.is((await cluster.append(CHUNK, sample(10), { ...first, version: 2 })).chunkOffset, 0);
});

test.serial('what is in the table is answered without its data, whoever lost that', async (t) => {
  await using cluster = await Cluster.start(3);
  const record = sample(200_000);
  const first = { writer: 1, number: 1 };
  const pushId = await cluster.push(CHUNK, 0, record);
  t.is((await cluster.append(CHUNK, record, { ...first, pushId })).chunkOffset, 0);
  t.is((await cluster.append(CHUNK, record, { ...first, pushId })).chunkOffset, 0);
  await cluster.raise(CHUNK, 2, 1);
  const again = { ...first, pushId, version: 2, primary: 1 };
  t.is((await cluster.append(CHUNK, record, again)).chunkOffset, 0);
  for (const index of [0, 1, 2]) sameBytes(t, await cluster.read(index, CHUNK, 0, 1 * MiB, 2), record);
});

test.serial('P18, P20: a clone has the table too: there a record is known by its number', async (t) => {
  await using cluster = await Cluster.start(1);
  await cluster.append(CHUNK, sample(100), { writer: 1, number: 1 });
  await cluster.append(CHUNK, sample(200, 2), { writer: 2, number: 7 });
  await cluster.add();
  const { clone } = ChunkserverDefinition.methods;
  const request = { record: { ...cluster.record(CHUNK), primary: 0 }, source: cluster.replica(0) };
  await cluster.at(1).connection.call(clone, request);
  t.deepEqual((await cluster.sumsOf(1, CHUNK, 1)).table, (await cluster.sumsOf(0, CHUNK, 1)).table);
  await cluster.raiseTo(CHUNK, 2, [1], 1);
  const atClone = { version: 2, primary: 1 };
  const again = await cluster.append(CHUNK, sample(200, 2), { writer: 2, number: 7, ...atClone });
  t.like(again, { chunkOffset: 100, chunkLength: 300 });
  t.is((await cluster.append(CHUNK, sample(10), { writer: 1, number: 2, ...atClone })).chunkOffset, 300);
});

test.serial('a record of a quarter chunk that two members lost is pushed to them again', async (t) => {
  await using cluster = await Cluster.start(3, {}, undefined, 32 * MiB);
  const record = sample(8 * MiB);
  const pushId = await cluster.push(CHUNK, 0, record, { chain: [0] });
  const head = await cluster.append(CHUNK, sample(7), { writer: 1, number: 1 });
  t.is(head.chunkOffset, 0);
  t.is((await cluster.append(CHUNK, record, { writer: 2, number: 1, pushId })).chunkOffset, 7);
  for (const index of [0, 1, 2]) {
    for (let at = 0; at < record.length; at += 4 * MiB) {
      sameBytes(t, await cluster.read(index, CHUNK, 7 + at, 4 * MiB), record.subarray(at, at + 4 * MiB));
    }
  }
});

/** The master, as far as appends know it: a version and a primary for each chunk. */
class Placement {
  readonly #cluster: Cluster;
  readonly #random: Random;
  readonly #rows = new Map<number, { version: number; primary: number }>();

  constructor(cluster: Cluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
  }

  row(chunk: number): { version: number; primary: number } {
    const row = this.#rows.get(chunk) ?? { version: 1, primary: 0 };
    this.#rows.set(chunk, row);
    return row;
  }

  /** What lost its primary, or is said to have, gets another one. */
  async raise(chunk: number, suspect: number): Promise<void> {
    const row = this.row(chunk);
    if (row.version !== suspect) return;
    row.version += 1;
    row.primary = this.#random.below(3);
    await this.#cluster.raise(chunk, row.version, row.primary).catch(() => undefined);
  }
}

interface Placed {
  readonly chunk: number;
  readonly chunkOffset: number;
  readonly data: Buffer;
}

/** Appends records one after another, each pursued until it has its answer, and notes where they lie. */
async function appendAll(
  cluster: Cluster,
  world: SimWorld,
  placement: Placement,
  { writer, count, random }: { writer: number; count: number; random: Random },
): Promise<Placed[]> {
  const placed: Placed[] = [];
  let chunk = CHUNK;
  for (let number = 1; number <= count; number += 1) {
    const data = sample(1 + random.below(60_000), writer * 1000 + number);
    for (let done = false; !done; ) {
      const { version, primary } = placement.row(chunk);
      try {
        const answer = await cluster.append(chunk, data, { writer, number, version, primary });
        // An answer that gets lost: it is asked again, under another version too.
        if (random.chance(0.2)) {
          if (random.chance(0.5)) await placement.raise(chunk, version);
          continue;
        }
        done = !answer.sealed;
        if (answer.sealed) chunk += 1;
        else placed.push({ chunk, chunkOffset: answer.chunkOffset, data });
      } catch (error) {
        if (codeOf(error) !== 'NOT_READY') await placement.raise(chunk, version);
        await world.simulation.sleep(random.below(200));
      }
    }
  }
  return placed;
}

for (const seed of [1, 2, 3, 4, 5]) {
  test(`through partitions, lost answers and new versions each record is there once, seed ${seed}`, async (t) => {
    await simulate(seed, async (cluster, world) => {
      const random = new Random(`appends ${seed}`);
      const placement = new Placement(cluster, random);
      // A version above the first is for chunks that are there.
      for (let chunk = CHUNK; chunk < CHUNK + CHUNKS; chunk += 1) await begin(cluster, chunk);
      let writing = true;
      const disturb = async () => {
        while (writing) {
          await world.simulation.sleep(random.below(400));
          const [one, other] = [random.below(3), random.below(3)];
          if (random.chance(0.3)) {
            const chunk = CHUNK + random.below(CHUNKS);
            await placement.raise(chunk, placement.row(chunk).version);
          } else if (one !== other) {
            world.network.partition(`server-${one}`, `server-${other}`);
            await world.simulation.sleep(random.below(300));
            world.network.healAll();
          }
        }
      };
      const disturbed = disturb();
      const writers = [11, 12, 13, 14];
      const results = await Promise.all(
        writers.map((writer) =>
          appendAll(cluster, world, placement, {
            writer,
            count: 25,
            random: new Random(`${seed}.${writer}`),
          }),
        ),
      );
      writing = false;
      await disturbed;
      world.network.healAll();
      for (const placed of results) {
        const places = placed.map(({ chunk, chunkOffset }) => chunk * CHUNK_SIZE_BYTES + chunkOffset);
        t.deepEqual(
          places,
          [...places].sort((a, b) => a - b),
          "a writer's records are in order",
        );
      }
      const all = results.flat();
      for (const chunk of new Set(all.map((record) => record.chunk))) {
        const records = all.filter((record) => record.chunk === chunk);
        records.sort((a, b) => a.chunkOffset - b.chunkOffset);
        const expected = Buffer.concat(records.map(({ data }) => data));
        t.deepEqual(
          records.map(({ chunkOffset }) => chunkOffset),
          offsetsOf(records),
          'no record is there twice, none is torn',
        );
        await placement.raise(chunk, placement.row(chunk).version);
        const { version, primary } = placement.row(chunk);
        await cluster.write(chunk, 0, expected.subarray(0, 1), { version, primary, writer: 99 });
        for (const index of [0, 1, 2]) {
          sameBytes(t, await cluster.read(index, chunk, 0, 1 * MiB, version), expected);
        }
      }
    });
  });
}

async function begin(cluster: Cluster, chunk: number): Promise<void> {
  const request = { record: cluster.record(chunk), copy: false };
  const { create } = ChunkserverDefinition.methods;
  await Promise.all([0, 1, 2].map((index) => cluster.at(index).connection.call(create, request)));
}

function offsetsOf(records: readonly Placed[]): number[] {
  let end = 0;
  return records.map(({ data }) => {
    end += data.length;
    return end - data.length;
  });
}

test.serial(
  'P15, P18: places of numbered records go with the chunk, whatever becomes of its servers',
  async (t) => {
    await using cluster = await Cluster.start(3);
    const numbers = (last: number, recordLengths: number[], seed: number, more: WriteOptions = {}) =>
      cluster.append(CHUNK, sample(sumOf(recordLengths), seed), {
        writer: 7,
        number: last,
        recordLengths,
        ...more,
      });
    t.like(await numbers(2, [100, 50], 1), { chunkOffset: 0, taken: undefined });
    t.like(await numbers(3, [25], 2), { chunkOffset: 150 });
    const records = [
      { chunkOffset: 0, length: 100 },
      { chunkOffset: 100, length: 50 },
      { chunkOffset: 150, length: 25 },
    ];
    t.like(await numbers(1, [100], 1), { taken: { number: 3, records } });
    await cluster.raise(CHUNK, 2, 1);
    const atSecond = { version: 2, primary: 1 };
    t.like(await numbers(2, [50], 1, atSecond), { taken: { number: 3, records } });
    await cluster.restart(2);
    await cluster.raise(CHUNK, 3, 2);
    const atThird = { version: 3, primary: 2 };
    t.like(
      await numbers(4, [25, 10], 3, atThird),
      { taken: { number: 3, records } },
      'nothing of it is taken',
    );
    t.like(await numbers(4, [10], 3, atThird), { chunkOffset: 175 });
    const tables = await Promise.all(
      [0, 1, 2].map(async (index) => (await cluster.sumsOf(index, CHUNK, 3)).table),
    );
    for (const table of tables) t.deepEqual(table, tables[0]);
    t.deepEqual(tables[0]?.[0]?.records, [...records, { chunkOffset: 175, length: 10 }]);
  },
);

test.serial('a batch whose lengths are not its own is refused', async (t) => {
  await using cluster = await Cluster.start(1);
  const refused = (recordLengths: number[], number: number) =>
    codeOfFailure(cluster.append(CHUNK, sample(100), { writer: 7, number, recordLengths }));
  t.is(await refused([99], 5), 'INVALID_ARGUMENT');
  t.is(await refused([50, 50, 0], 5), 'INVALID_ARGUMENT');
  t.is(await refused([50, 50], 1), 'INVALID_ARGUMENT');
  t.is(await refused(Array<number>(100).fill(1), 200), 'INVALID_ARGUMENT');
});

test.serial(
  'a sealed chunk tells of a writer at any member that knows all of it; an open one at its primary',
  async (t) => {
    await using cluster = await Cluster.start(3);
    await cluster.append(CHUNK, sample(30), { writer: 7, number: 6, recordLengths: [10, 20] });
    const { recall } = ChunkserverDefinition.methods;
    const ask = async (index: number, writer: number, version = 1) =>
      (await cluster.at(index).connection.call(recall, { chunk: CHUNK, version, writer })).message;
    const records = [
      { chunkOffset: 0, length: 10 },
      { chunkOffset: 10, length: 20 },
    ];
    t.like(await ask(0, 7), { entry: { number: 6, records }, sealed: false });
    t.like(await ask(0, 8), { entry: undefined, sealed: false });
    t.is(await codeOfFailure(ask(1, 7)), 'NOT_PRIMARY');
    t.is(await codeOfFailure(ask(0, 7, 2)), 'VERSION_MISMATCH');
    await cluster.mutate(CHUNK, sample(0), { kind: MutationKind.MUTATION_KIND_SEAL, chunkOffset: 0 });
    t.is(await codeOfFailure(ask(1, 7)), 'NOT_PRIMARY', 'it was not told that all members are sealed');
    await cluster.raise(CHUNK, 2, 0);
    t.like(await ask(0, 7, 2), { entry: { number: 6, records }, sealed: true, length: 30 });
    for (const index of [0, 1, 2]) {
      t.like(await ask(index, 7, 2), { entry: { number: 6, records }, sealed: true, length: 30 });
      t.like(await ask(index, 8, 2), { entry: undefined, sealed: true, length: 30 });
    }
  },
);

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0);
}
