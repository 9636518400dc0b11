// Raising versions: who takes orders when, and how members become equal again.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { KiB, MiB } from '../../src/base/units.ts';
import { ChunkserverDefinition, MutationKind } from '../../src/rpc/messages.ts';
import { Cluster, orderTo, sameBytes, sample, until } from './harness.ts';

const CHUNK = 9;
const { methods } = ChunkserverDefinition;

/** The primary of the version takes writes. */
async function active(cluster: Cluster, version: number, primary = 0): Promise<void> {
  await until('the primary has reconciled its members', async () => {
    const answer = await cluster.at(primary).connection.call(methods.checkVersion, { chunks: [CHUNK] });
    const [state] = answer.message.chunks;
    return state?.version === version && state.reconciled;
  });
}

async function sameOnAll(t: ExecutionContext, cluster: Cluster, version: number, expected: Buffer) {
  for (const [index] of cluster.servers.entries()) {
    sameBytes(t, await cluster.read(index, CHUNK, 0, 1 * MiB, version), expected, `server ${index}`);
    const asked = { chunk: CHUNK, version };
    const { message } = await cluster.at(index).connection.call(methods.blockChecksums, asked);
    t.like(message, { length: expected.length, streamVersion: version, nextSerial: 0, whole: true });
  }
}

/** An order to one member alone, as a primary gives it that dies before it reaches the others. */
async function applyAlone(
  cluster: Cluster,
  index: number,
  serial: number,
  chunkOffset: number,
  data: Buffer,
) {
  const { checksumsOf } = await import('../../src/base/crc.ts');
  const kind = MutationKind.MUTATION_KIND_WRITE;
  const checksums = checksumsOf([data], chunkOffset);
  const order = { serial, kind, writer: 77, number: serial, chunkOffset, length: data.length, checksums };
  await cluster.at(index).connection.call(methods.apply, orderTo(CHUNK, 1, order), { payload: [data] });
}

test.serial('P5: a raised version confers the role on its primary, and ends the old one', async (t) => {
  await using cluster = await Cluster.start(3);
  await cluster.write(CHUNK, 0, sample(1000));
  const results = await cluster.raise(CHUNK, 2, 1);
  t.deepEqual(
    results.map((result) => result?.recorded),
    [true, true, true],
  );
  // A mutation that comes before the members are reconciled waits for it.
  await cluster.write(CHUNK, 0, sample(500, 2), { version: 2, primary: 1 });
  await t.throwsAsync(cluster.write(CHUNK, 0, sample(1), { version: 1 }), { code: 'VERSION_MISMATCH' });
  await t.throwsAsync(cluster.write(CHUNK, 0, sample(1), { version: 2 }), { code: 'NOT_PRIMARY' });
  const expected = Buffer.concat([sample(500, 2), sample(1000).subarray(500)]);
  for (const member of [0, 1, 2]) sameBytes(t, await cluster.read(member, CHUNK, 0, 5000, 2), expected);
});

test.serial('P8: members that differ from their new primary are made equal to it', async (t) => {
  await using cluster = await Cluster.start(3);
  const data = sample(500 * KiB);
  await cluster.write(CHUNK, 0, data.subarray(0, 64 * KiB));
  for (let offset = 64 * KiB; offset < data.length; offset += 64 * KiB) {
    await cluster.write(CHUNK, offset, data.subarray(offset, offset + 64 * KiB));
  }
  const next = Math.ceil(data.length / (64 * KiB));
  // One member has an overwrite and more at the end, the other an overwrite elsewhere.
  await applyAlone(cluster, 1, next, 100_000, sample(70_000, 5));
  await applyAlone(cluster, 1, next + 1, 600 * KiB, sample(10, 6));
  await applyAlone(cluster, 2, next, 0, sample(1, 7));
  await cluster.raise(CHUNK, 2, 0);
  await active(cluster, 2);
  await sameOnAll(t, cluster, 2, data);
});

test.serial('a member that lost its replica altogether gets it from the primary', async (t) => {
  await using cluster = await Cluster.start(2);
  const data = sample(200_000);
  const pushId = await cluster.push(CHUNK, 0, data);
  await cluster.write(CHUNK, 0, data, { pushId });
  await cluster.at(1).connection.call(methods.delete, { chunks: [CHUNK] });
  await cluster.raise(CHUNK, 2, 0, [0]);
  await active(cluster, 2);
  await sameOnAll(t, cluster, 2, data);
});

test.serial(
  'P5, P6: a restarted server serves reads, and nothing else until a higher version makes it equal',
  async (t) => {
    await using cluster = await Cluster.start(3);
    await cluster.write(CHUNK, 0, sample(100_000 / 2));
    await cluster.write(CHUNK, 50_000, sample(50_000, 2));
    const data = Buffer.concat([sample(50_000), sample(50_000, 2)]);
    await cluster.restart(0);
    sameBytes(t, await cluster.read(0, CHUNK, 0, 1 * MiB), data);
    await t.throwsAsync(cluster.write(CHUNK, 0, sample(1)), { code: 'NOT_PRIMARY' });
    await t.throwsAsync(applyAlone(cluster, 0, 2, 0, sample(1)), { code: 'NOT_READY' });
    const asked = { chunk: CHUNK, version: 1, replicaOnly: false, acknowledgedVersion: 0 };
    await t.throwsAsync(cluster.at(0).connection.call(methods.sync, asked), { code: 'NOT_PRIMARY' });
    await cluster.raise(CHUNK, 2, 0);
    await active(cluster, 2);
    await sameOnAll(t, cluster, 2, data);
    await cluster.write(CHUNK, 10, sample(10, 9), { version: 2 });
    sample(10, 9).copy(data, 10);
    for (const member of [0, 1, 2]) sameBytes(t, await cluster.read(member, CHUNK, 0, 1 * MiB, 2), data);
  },
);

test.serial('P2: a version is recorded upwards only, and by the incarnation that was meant', async (t) => {
  await using cluster = await Cluster.start(2);
  await cluster.write(CHUNK, 0, sample(10));
  await cluster.raise(CHUNK, 5, 0);
  await active(cluster, 5);
  const [lower] = await cluster.raise(CHUNK, 4, 0, [0]);
  t.like(lower, { recorded: false, code: 'VERSION_MISMATCH', state: { version: 5 } });
  // The same order again, after a lost answer.
  const [same] = await cluster.raise(CHUNK, 5, 0, [0]);
  t.true(same?.recorded);
  await cluster.write(CHUNK, 0, sample(10), { version: 5 });
  const [other] = await cluster.raise(CHUNK, 5, 1, [0]);
  t.like(other, { recorded: false, code: 'VERSION_MISMATCH' });
  const record = cluster.record(CHUNK, 6);
  const wrong = { incarnation: 'another', records: [record] };
  await t.throwsAsync(cluster.at(0).connection.call(methods.setVersion, wrong), { code: 'WRONG_SERVICE' });
  const [absent] = await cluster.raise(CHUNK + 1, 2, 0, [1]);
  t.like(absent, { recorded: false, code: 'NO_SUCH_CHUNK' });
});

test.serial('P19: a truncation that comes with a version is done by every member', async (t) => {
  await using cluster = await Cluster.start(2);
  await cluster.write(CHUNK, 0, sample(64 * KiB));
  await cluster.write(CHUNK, 64 * KiB, sample(30_000, 2));
  const record = { ...cluster.record(CHUNK, 2), cutVersion: 2, cutLength: 70_000 };
  for (const index of [0, 1]) {
    const request = { incarnation: cluster.incarnation(index), records: [record] };
    await cluster.at(index).connection.call(methods.setVersion, request);
  }
  await active(cluster, 2);
  const expected = Buffer.concat([sample(64 * KiB), sample(30_000, 2)]).subarray(0, 70_000);
  await sameOnAll(t, cluster, 2, expected);
});

test.serial('P18: an append after a raise is still known by its number', async (t) => {
  await using cluster = await Cluster.start(2);
  await cluster.append(CHUNK, sample(100), { writer: 3, number: 8 });
  await cluster.raise(CHUNK, 2, 1);
  await active(cluster, 2, 1);
  const again = await cluster.append(CHUNK, sample(100), { writer: 3, number: 8, version: 2, primary: 1 });
  t.like(again, { chunkOffset: 0, chunkLength: 100 });
  const next = await cluster.append(CHUNK, sample(50), { writer: 3, number: 9, version: 2, primary: 1 });
  t.is(next.chunkOffset, 100);
});

test.serial('a clone is a whole copy, and a source that is not there is an error', async (t) => {
  await using cluster = await Cluster.start(1);
  const data = sample(1 * MiB);
  const pushId = await cluster.push(CHUNK, 0, data);
  await cluster.write(CHUNK, 0, data, { pushId });
  await cluster.add();
  const record = { ...cluster.record(CHUNK), primary: 0 };
  const { connection } = cluster.at(1);
  const answer = await connection.call(methods.clone, { record, source: cluster.replica(0) });
  t.is(answer.message.length, data.length);
  sameBytes(t, await cluster.read(1, CHUNK, 0, 2 * MiB), data);
  const missing = { record: { ...record, chunk: 1234 }, source: cluster.replica(0) };
  await t.throwsAsync(connection.call(methods.clone, missing), { code: 'NO_SUCH_CHUNK' });
  const [state] = (await connection.call(methods.checkVersion, { chunks: [CHUNK, 1234] })).message.chunks;
  t.like(state, { chunk: CHUNK, whole: true, length: data.length });
});

test.serial('the master creates a chunk that no member has, at any version', async (t) => {
  await using cluster = await Cluster.start(2);
  const record = cluster.record(CHUNK, 3);
  for (const { connection } of cluster.servers)
    await connection.call(methods.create, { record, copy: false });
  for (const { connection } of cluster.servers)
    await connection.call(methods.create, { record, copy: false });
  await cluster.write(CHUNK, 5, sample(10), { version: 3 });
  const expected = Buffer.concat([Buffer.alloc(5), sample(10)]);
  for (const member of [0, 1]) sameBytes(t, await cluster.read(member, CHUNK, 0, 100, 3), expected);
});

test.serial('a replica whose file is gone is lost, not absent, and the master is told', async (t) => {
  await using cluster = await Cluster.start(2);
  await cluster.write(CHUNK, 0, sample(200_000 / 4));
  await cluster.restart(1);
  const before = cluster.master.reports.length;
  await cluster.at(1).server.close();
  for (const name of await readdir(cluster.at(1).directory, { recursive: true })) {
    if (/000000000009\./.test(name)) await rm(join(cluster.at(1).directory, name));
  }
  await cluster.restart(1);
  await until('a full report without it', () =>
    cluster.master.reports
      .slice(before)
      .some(({ full, last, server }) => full && last && server === cluster.replica(1).server),
  );
  await t.throwsAsync(cluster.read(1, CHUNK, 0, 10), { code: 'NO_SUCH_CHUNK' });
});
