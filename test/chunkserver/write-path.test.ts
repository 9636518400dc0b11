// Three servers, one chunk: data goes in at the primary, and comes out of every member the same.
import test from 'ava';
import { KiB, MiB } from '../../src/base/units.ts';
import { ChunkserverDefinition } from '../../src/rpc/messages.ts';
import { CHUNK_SIZE_BYTES, Cluster, orderTo, sameBytes, sample, until } from './harness.ts';

const CHUNK = 7;

test.serial('writes of all sizes and offsets read the same from every member', async (t) => {
  await using cluster = await Cluster.start(3);
  const model = Buffer.alloc(CHUNK_SIZE_BYTES);
  let length = 0;
  const cases = [
    [0, 1],
    [1, 10],
    [64 * KiB - 1, 2],
    [64 * KiB, 64 * KiB],
    [100_000, 50_000],
    [300 * KiB, 64 * KiB],
    [5, 40_000],
    [CHUNK_SIZE_BYTES - 100, 100],
  ] as const;
  for (const [index, [offset, size]] of cases.entries()) {
    const data = sample(size, index);
    data.copy(model, offset);
    length = Math.max(length, offset + size);
    const answer = await cluster.write(CHUNK, offset, data);
    t.is(answer.chunkLength, length);
    t.is(answer.chunkOffset, offset);
    for (const member of [0, 1, 2]) {
      const from = Math.max(0, offset - 10);
      const wanted = Math.min(size + 20, length - from);
      sameBytes(t, await cluster.read(member, CHUNK, from, size + 20), model.subarray(from, from + wanted));
    }
  }
  for (const member of [0, 1, 2]) {
    sameBytes(t, await cluster.read(member, CHUNK, 0, 2 * MiB), model.subarray(0, length));
  }
});

test.serial('many writes in flight on a new chunk all arrive, and only their last state stays', async (t) => {
  await using cluster = await Cluster.start(3);
  const model = Buffer.alloc(200 * 1000);
  const writes = [];
  for (let index = 0; index < 200; index += 1) {
    const data = sample(1000, index);
    data.copy(model, index * 1000);
    writes.push(cluster.write(CHUNK, index * 1000, data));
  }
  await Promise.all(writes);
  for (const member of [0, 1, 2]) sameBytes(t, await cluster.read(member, CHUNK, 0, 1 * MiB), model);
});

test.serial('pushed data goes along the chain and is written by a mutation without data', async (t) => {
  await using cluster = await Cluster.start(3);
  for (const [chunkOffset, size, pieceBytes] of [
    [0, 700 * KiB, 256 * KiB],
    [12_345, 500 * KiB, 100_000],
    [64 * KiB, 3, 64 * KiB],
  ] as const) {
    const data = sample(size, size);
    const pushId = await cluster.push(CHUNK, chunkOffset, data, { pieceBytes, chain: [2, 0, 1] });
    await cluster.write(CHUNK, chunkOffset, data, { pushId });
    for (const member of [0, 1, 2]) {
      sameBytes(t, await cluster.read(member, CHUNK, chunkOffset, size), data);
    }
  }
});

test.serial('P11: a member that lost pushed data is sent it with the order', async (t) => {
  await using cluster = await Cluster.start(3);
  const data = sample(300 * KiB);
  const pushId = await cluster.push(CHUNK, 0, data, { chain: [0, 1] });
  await cluster.write(CHUNK, 0, data, { pushId });
  sameBytes(t, await cluster.read(2, CHUNK, 0, 300 * KiB), data);
  await cluster.write(CHUNK, 0, sample(10));
});

test.serial('pushed data that the primary does not have is asked for again', async (t) => {
  await using cluster = await Cluster.start(2);
  const pushId = { writer: 9, number: 9 };
  await t.throwsAsync(cluster.write(CHUNK, 0, sample(10), { pushId }), { code: 'NO_SUCH_PUSH' });
  // A push is used once.
  const data = sample(100 * KiB);
  const used = await cluster.push(CHUNK, 0, data);
  await cluster.write(CHUNK, 0, data, { pushId: used });
  await t.throwsAsync(cluster.write(CHUNK, 0, data, { pushId: used }), { code: 'NO_SUCH_PUSH' });
});

test.serial('damaged data is refused before anything changes', async (t) => {
  await using cluster = await Cluster.start(3);
  await cluster.write(CHUNK, 0, sample(100));
  await t.throwsAsync(cluster.write(CHUNK, 0, sample(50, 2), { checksums: [1] }), {
    code: 'CHECKSUM_MISMATCH',
  });
  await t.throwsAsync(cluster.push(CHUNK, 0, sample(600 * KiB), { damage: true }), {
    code: 'CHECKSUM_MISMATCH',
  });
  for (const member of [0, 1, 2]) sameBytes(t, await cluster.read(member, CHUNK, 0, 1000), sample(100));
  await cluster.write(CHUNK, 0, sample(50, 3));
});

test.serial(
  'a push is refused at another version, for a chain that cannot be reached, beyond the buffer',
  async (t) => {
    await using cluster = await Cluster.start(2, { pushBufferBytes: 500 * KiB });
    await cluster.write(CHUNK, 0, sample(10));
    const data = sample(300 * KiB);
    await t.throwsAsync(cluster.push(CHUNK, 0, data, { version: 2 }), { code: 'VERSION_MISMATCH' });
    await cluster.push(CHUNK, 0, data);
    await t.throwsAsync(cluster.push(CHUNK, 0, data), { code: 'NOT_READY' });
    const gone = cluster.replica(1).server;
    await cluster.at(1).server.close();
    const error = await t.throwsAsync(cluster.push(CHUNK, 0, sample(10)), { code: 'UNAVAILABLE' });
    t.is((error as unknown as { fields: Record<string, string> }).fields.server, String(gone));
  },
);

test.serial('mutations and reads with bad arguments are refused', async (t) => {
  await using cluster = await Cluster.start(2);
  const refused = (promise: Promise<unknown>, code: string) => t.throwsAsync(promise, { code });
  await refused(cluster.read(0, CHUNK, 0, 10), 'NO_SUCH_CHUNK');
  await refused(cluster.mutate(CHUNK, sample(1), { chunkOffset: 0, kind: 0 }), 'INVALID_ARGUMENT');
  await cluster.write(CHUNK, 0, sample(100));
  await refused(cluster.write(CHUNK, CHUNK_SIZE_BYTES - 5, sample(6)), 'INVALID_ARGUMENT');
  await refused(cluster.write(CHUNK, 0, sample(0)), 'INVALID_ARGUMENT');
  await refused(cluster.write(CHUNK, 0, sample(6), { version: 2 }), 'VERSION_MISMATCH');
  await refused(cluster.write(CHUNK, 0, sample(6), { primary: 1 }), 'NOT_PRIMARY');
  await refused(cluster.write(CHUNK + 1, 0, sample(6), { version: 3 }), 'NO_SUCH_CHUNK');
  await refused(cluster.read(0, CHUNK, 0, 0), 'INVALID_ARGUMENT');
  await refused(cluster.read(0, CHUNK, 0, 5 * MiB), 'INVALID_ARGUMENT');
  await refused(cluster.read(1, CHUNK, 0, 10, 2), 'VERSION_MISMATCH');
  t.is((await cluster.read(1, CHUNK, 90, 100)).length, 10);
  t.is((await cluster.read(1, CHUNK, 5000, 100)).length, 0);
  t.deepEqual(
    cluster.servers.flatMap(({ fatal }) => fatal),
    [],
  );
});

test.serial(
  'ranges become zeros at all members without a byte sent, and a raise finds them equal',
  async (t) => {
    await using cluster = await Cluster.start(3);
    const model = sample(500 * KiB);
    await cluster.write(CHUNK, 0, model.subarray(0, 300 * KiB));
    await cluster.write(CHUNK, 300 * KiB, model.subarray(300 * KiB));
    // In one burst with writes, before and behind them.
    const ranges = [
      [0, 1],
      [64 * KiB, 128 * KiB],
      [200_001, 100_000],
      [499 * KiB, CHUNK_SIZE_BYTES - 499 * KiB],
    ] as const;
    const sent = ranges.flatMap(([offset, length]) => [
      cluster.zero(CHUNK, offset, length),
      cluster.write(CHUNK, offset + 5, sample(3, offset)),
    ]);
    const answers = await Promise.all(sent);
    t.is(answers.at(-1)?.chunkLength, 500 * KiB);
    for (const [offset, length] of ranges) {
      model.fill(0, offset, Math.min(model.length, offset + length));
      sample(3, offset).copy(model, offset + 5);
    }
    for (const member of [0, 1, 2]) sameBytes(t, await cluster.read(member, CHUNK, 0, 1 * MiB), model);
    const [first, ...others] = await Promise.all([0, 1, 2].map((index) => cluster.sumsOf(index, CHUNK, 1)));
    for (const other of others) t.deepEqual(other, first);
    await cluster.restart(1);
    await cluster.raise(CHUNK, 2);
    await until('the members are equal', async () => (await cluster.stateOf(1, CHUNK))?.reconciled === true);
    sameBytes(t, await cluster.read(1, CHUNK, 0, 1 * MiB, 2), model);
  },
);

test.serial('P10: a write sent twice is applied once', async (t) => {
  await using cluster = await Cluster.start(3);
  await cluster.write(CHUNK, 0, sample(100, 1), { writer: 5, number: 1 });
  await cluster.write(CHUNK, 0, sample(100, 2), { writer: 5, number: 2 });
  const again = await cluster.write(CHUNK, 0, sample(100, 1), { writer: 5, number: 1 });
  t.is(again.chunkLength, 100);
  for (const member of [0, 1, 2]) sameBytes(t, await cluster.read(member, CHUNK, 0, 1000), sample(100, 2));
});

test.serial('appends from many writers are whole, once, and in the order they were answered', async (t) => {
  await using cluster = await Cluster.start(3);
  const answers = await Promise.all(
    Array.from({ length: 50 }, async (_, writer) => {
      const data = sample(1000 + writer, writer);
      const [one, again] = await Promise.all([
        cluster.append(CHUNK, data, { writer: writer + 1, number: 1 }),
        cluster.append(CHUNK, data, { writer: writer + 1, number: 1 }),
      ]);
      t.deepEqual(one.chunkOffset, again.chunkOffset);
      return { data, chunkOffset: one.chunkOffset };
    }),
  );
  const total = answers.reduce((sum, { data }) => sum + data.length, 0);
  for (const member of [0, 1, 2]) {
    // A secondary that does not know yet that all have the last one asks the primary.
    const found = await cluster.read(member, CHUNK, 0, 1 * MiB);
    t.is(found.length, total);
    for (const { data, chunkOffset } of answers) {
      sameBytes(t, found.subarray(chunkOffset, chunkOffset + data.length), data);
    }
  }
});

test.serial('a chunk that a record does not fit into is sealed, and says so to everybody', async (t) => {
  await using cluster = await Cluster.start(3);
  const record = sample(CHUNK_SIZE_BYTES / 4);
  for (let number = 1; number <= 3; number += 1) {
    const answer = await cluster.append(CHUNK, record, { writer: 1, number });
    t.is(answer.chunkOffset, (number - 1) * record.length);
  }
  await cluster.append(CHUNK, sample(10), { writer: 1, number: 4 });
  const full = await cluster.append(CHUNK, record, { writer: 1, number: 5 });
  t.true(full.sealed);
  t.is(full.chunkLength, 3 * record.length + 10);
  t.true((await cluster.append(CHUNK, sample(1), { writer: 2, number: 1 })).sealed);
  // What is in it keeps its answer.
  const old = await cluster.append(CHUNK, sample(10), { writer: 1, number: 4 });
  t.false(old.sealed);
  t.is(old.chunkOffset, 3 * record.length);
  await t.throwsAsync(cluster.append(CHUNK, record, { writer: 1, number: 3 }), { code: 'INVALID_ARGUMENT' });
  await t.throwsAsync(cluster.write(CHUNK, full.chunkLength, sample(1)), { code: 'SEALED' });
  await cluster.write(CHUNK, full.chunkLength - 1, sample(1));
});

test.serial('orders from the past, from another version and with gaps are refused by a member', async (t) => {
  await using cluster = await Cluster.start(2);
  await cluster.write(CHUNK, 0, sample(10));
  const send = ({ chunk = CHUNK, version = 1, serial = 0 }) =>
    cluster.at(1).connection.call(ChunkserverDefinition.methods.apply, orderTo(chunk, version, { serial }));
  await t.throwsAsync(send({}), { code: 'SERIAL_GAP' });
  await t.throwsAsync(send({ version: 2 }), { code: 'VERSION_MISMATCH' });
  await t.throwsAsync(send({ chunk: 99 }), { code: 'NO_SUCH_CHUNK' });
  // One that comes early waits for its predecessor, which then takes it along.
  const early = send({ serial: 2 });
  await send({ serial: 1 });
  await early;
});

test.serial(
  'P12: a dead member is evicted, and what was in flight is answered under the next version',
  async (t) => {
    await using cluster = await Cluster.start(3);
    await cluster.write(CHUNK, 0, sample(10));
    cluster.master.onEvict = () => cluster.raiseWithout(CHUNK, 2, [2]);
    await cluster.at(2).server.close();
    const writes = [1, 2, 3].map((seed) => cluster.write(CHUNK, seed * 10, sample(10, seed)));
    const append = await cluster.append(CHUNK, sample(7), { writer: 5, number: 1 });
    await Promise.all(writes);
    const evictions = cluster.master.evictions.map(({ version, server, accused, code }) => {
      return { version, server, accused, code };
    });
    const { server: by } = cluster.replica(0);
    const { server: accused } = cluster.replica(2);
    t.deepEqual(evictions, [{ version: 1, server: by, accused, code: 'UNAVAILABLE' }]);
    await cluster.write(CHUNK, append.chunkOffset + 7, sample(1, 9), { version: 2 });
    const again = await cluster.append(CHUNK, sample(7), { writer: 5, number: 1, version: 2 });
    t.is(again.chunkOffset, append.chunkOffset, 'the record is there once');
    const expected = Buffer.concat([
      sample(10),
      sample(10, 1),
      sample(10, 2),
      sample(10, 3),
      sample(7),
      sample(1, 9),
    ]);
    for (const index of [0, 1]) sameBytes(t, await cluster.read(index, CHUNK, 0, 100, 2), expected);
  },
);

test.serial(
  'P12: a primary that the next version does not name cannot say what became of a write',
  async (t) => {
    await using cluster = await Cluster.start(3);
    await cluster.write(CHUNK, 0, sample(10));
    cluster.master.onEvict = () => cluster.raiseWithout(CHUNK, 2, [2], 1);
    await cluster.at(2).server.close();
    await t.throwsAsync(cluster.write(CHUNK, 0, sample(10, 2)), { code: 'NOT_PRIMARY' });
    await t.throwsAsync(cluster.write(CHUNK, 0, sample(10, 3)), { code: 'VERSION_MISMATCH' });
  },
);

test.serial('P12: a primary never goes on without a member by itself', async (t) => {
  await using cluster = await Cluster.start(3);
  await cluster.write(CHUNK, 0, sample(10));
  await cluster.at(2).server.close();
  let isAnswered = false;
  const write = cluster.write(CHUNK, 0, sample(10, 2)).finally(() => {
    isAnswered = true;
  });
  await until('the master was asked a few times', () => cluster.master.evictions.length >= 3);
  t.false(isAnswered);
  sameBytes(t, await cluster.read(1, CHUNK, 0, 100), sample(10, 2), 'applied here, and told to nobody');
  await cluster.raiseWithout(CHUNK, 2, [2]);
  await write;
  t.pass();
});

test.serial('sync reaches all members, and the length is confirmed by them', async (t) => {
  await using cluster = await Cluster.start(3);
  await cluster.write(CHUNK, 0, sample(1000));
  const { sync, chunkLength } = ChunkserverDefinition.methods;
  const asked = { chunk: CHUNK, version: 1, replicaOnly: false, acknowledgedVersion: 0 };
  const { connection } = cluster.at(0);
  await Promise.all([connection.call(sync, asked), connection.call(sync, asked)]);
  t.is((await connection.call(chunkLength, asked)).message.length, 1000);
  await t.throwsAsync(cluster.at(1).connection.call(sync, asked), { code: 'NOT_PRIMARY' });
  await t.throwsAsync(connection.call(sync, { ...asked, version: 2 }), { code: 'VERSION_MISMATCH' });
  await cluster.at(2).server.close();
  await t.throwsAsync(connection.call(sync, asked), { code: 'NOT_PRIMARY' });
  const { server } = cluster.replica(2);
  t.is(cluster.master.evictions[0]?.accused, server, 'P12: who cannot sync is accused too');
});

test.serial('heartbeats tell of leases in use and of operations', async (t) => {
  await using cluster = await Cluster.start(2);
  await cluster.write(CHUNK, 0, sample(1000));
  await until('leases in use are told', () =>
    cluster.master.heartbeats.some(({ leases }) =>
      leases.some(({ chunk, active }) => chunk === CHUNK && active),
    ),
  );
  await until('operations are counted', () =>
    cluster.master.heartbeats.some(({ operations }) =>
      operations.some(({ operation, bytes }) => operation === 'Mutate' && bytes === 1000),
    ),
  );
  t.pass();
});

test.serial('deleted chunks are gone, and the master is told of what comes and goes', async (t) => {
  await using cluster = await Cluster.start(2);
  await cluster.write(CHUNK, 0, sample(1000));
  const told = (deleted: boolean) =>
    cluster.master.reports.some(({ chunks }) =>
      chunks.some((state) => state.chunk === CHUNK && state.deleted === deleted),
    );
  await until('the new replica is reported', () => told(false));
  await cluster.at(0).connection.call(ChunkserverDefinition.methods.delete, { chunks: [CHUNK, 999] });
  await t.throwsAsync(cluster.read(0, CHUNK, 0, 10), { code: 'NO_SUCH_CHUNK' });
  await until('the deletion is reported', () => told(true));
});
