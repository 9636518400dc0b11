// Chunks that are shared: nobody orders mutations of them, and each member makes a clone of what it has.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { codeOf, type ErrorCode } from '../../src/base/errors.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import { ChunkserverDefinition } from '../../src/rpc/messages.ts';
import { Cluster, sameBytes, sample, until } from './harness.ts';

const CHUNK = 9;
const CLONE = 0x109;
const { methods } = ChunkserverDefinition;

/** Resolves when the primary, server 0, has made all members equal. */
async function freeze(cluster: Cluster, version: number): Promise<void> {
  const record = { ...cluster.record(CHUNK, version), frozen: true };
  for (const [index] of cluster.servers.entries()) {
    const request = { incarnation: cluster.incarnation(index), records: [record] };
    await cluster.at(index).connection.call(methods.setVersion, request);
  }
  await until('the primary has reconciled its members', async () => {
    const state = await cluster.stateOf(0, CHUNK);
    return state?.version === version && state.reconciled;
  });
}

async function clone(
  cluster: Cluster,
  index: number,
  { version = 2, incarnation = cluster.incarnation(index), chunk = CLONE } = {},
): Promise<ErrorCode | 'OK'> {
  const record = { ...cluster.record(chunk, version), primary: 0 };
  const request = { incarnation, record, source: CHUNK };
  return await cluster
    .at(index)
    .connection.call(methods.cloneHere, request)
    .then(() => 'OK' as const, codeOf);
}

async function written(count: number) {
  const cluster = await Cluster.start(count);
  // In the data file and in the log, with an overwrite and a range of zeros; and records of two writers.
  const data = sample(700 * KiB);
  for (let offset = 0; offset < data.length; offset += 100 * KiB)
    await cluster.write(CHUNK, offset, data.subarray(offset, offset + 100 * KiB));
  await cluster.write(CHUNK, 5000, sample(70_000, 2));
  await cluster.zero(CHUNK, 128 * KiB, 128 * KiB);
  await cluster.append(CHUNK, sample(100, 3), { writer: 7, number: 1 });
  await cluster.append(CHUNK, sample(200, 4), { writer: 8, number: 5 });
  const expected = Buffer.concat([data, sample(100, 3), sample(200, 4)]);
  sample(70_000, 2).copy(expected, 5000);
  expected.fill(0, 128 * KiB, 256 * KiB);
  return { cluster, expected };
}

test.serial('a primary that is frozen tells lengths and syncs, and orders nothing', async (t) => {
  const made = await written(2);
  await using cluster = made.cluster;
  const { expected } = made;
  await freeze(cluster, 2);
  const refused = [
    () => cluster.write(CHUNK, 0, sample(10), { version: 2 }),
    () => cluster.write(CHUNK, 0, sample(100 * KiB), { version: 2 }),
    () => cluster.zero(CHUNK, 0, 10, { version: 2 }),
    () => cluster.append(CHUNK, sample(10), { version: 2, writer: 7, number: 2 }),
  ];
  for (const mutate of refused) await t.throwsAsync(mutate(), { code: 'NOT_PRIMARY' });
  const asked = { chunk: CHUNK, version: 2 };
  const { connection } = cluster.at(0);
  t.is((await connection.call(methods.chunkLength, asked)).message.length, expected.length);
  await connection.call(methods.sync, { ...asked, replicaOnly: false, acknowledgedVersion: 0 });
  // What was done before is answered, for nobody has to do it again.
  const again = await cluster.append(CHUNK, sample(200, 4), { version: 2, writer: 8, number: 5 });
  t.is(again.chunkOffset, expected.length - 200);
  for (const index of [0, 1]) sameBytes(t, await cluster.read(index, CHUNK, 0, 1 * MiB, 2), expected);
  await cluster.raise(CHUNK, 3);
  await cluster.write(CHUNK, 0, sample(10, 9), { version: 3 });
});

test.serial(
  'a clone has bytes, checksums and table, outlives its process, and goes its own way',
  async (t) => {
    const made = await written(2);
    await using cluster = made.cluster;
    const { expected } = made;
    await freeze(cluster, 2);
    const codes = await Promise.all([0, 1, 1].map((index) => clone(cluster, index)));
    t.deepEqual(codes, ['OK', 'OK', 'EXISTS'], 'one that comes twice is carried out once');
    t.is(await clone(cluster, 0), 'EXISTS');
    for (const index of [0, 1]) {
      const [source, copy] = [await cluster.sumsOf(index, CHUNK, 2), await cluster.sumsOf(index, CLONE, 2)];
      t.deepEqual(copy, source);
      sameBytes(t, await cluster.read(index, CLONE, 0, 1 * MiB, 2), expected);
      t.like(await cluster.stateOf(index, CLONE), {
        version: 2,
        whole: true,
        reconciled: true,
        restarted: true,
      });
    }
    await t.throwsAsync(cluster.write(CLONE, 0, sample(10), { version: 2 }), { code: 'NOT_PRIMARY' });
    await cluster.restart(0);
    await cluster.raise(CLONE, 3);
    await cluster.write(CLONE, 0, sample(300 * KiB, 11), { version: 3 });
    const changed = Buffer.from(expected);
    sample(300 * KiB, 11).copy(changed);
    for (const index of [0, 1]) {
      sameBytes(t, await cluster.read(index, CLONE, 0, 1 * MiB, 3), changed);
      sameBytes(t, await cluster.read(index, CHUNK, 0, 1 * MiB, 2), expected);
    }
    // A record that was taken by the chunk is not taken by its clone again.
    const again = await cluster.append(CLONE, sample(100, 3), { version: 3, writer: 7, number: 1 });
    t.is(again.chunkOffset, 700 * KiB);
    await cluster.at(1).connection.call(methods.delete, { chunks: [CHUNK] });
    sameBytes(t, await cluster.read(1, CLONE, 0, 1 * MiB, 3), changed);
  },
);

test.serial('a clone is refused where it would be another than those of the other members', async (t) => {
  const made = await written(2);
  await using cluster = made.cluster;
  t.is(await clone(cluster, 0), 'VERSION_MISMATCH');
  // Recorded, and nobody has made it equal.
  const record = { ...cluster.record(CHUNK, 2, 0), frozen: true };
  const request = { incarnation: cluster.incarnation(1), records: [record] };
  await cluster.at(1).connection.call(methods.setVersion, request);
  t.is(await clone(cluster, 1), 'NOT_READY');
  await freeze(cluster, 3);
  t.is(await clone(cluster, 1, { version: 3, incarnation: 'of before' }), 'WRONG_SERVICE');
  await cluster.at(1).connection.call(methods.delete, { chunks: [CLONE] });
  t.is(await clone(cluster, 1, { version: 3 }), 'NO_SUCH_CHUNK', 'deleted before it was made');
  t.is(await clone(cluster, 1, { version: 3, chunk: CLONE + 256 }), 'OK');
  const files = await readdir(join(cluster.at(1).directory, 'chunks', '09'));
  t.deepEqual(
    files.filter((name) => name.startsWith('0000000000000109')),
    [],
  );
});
