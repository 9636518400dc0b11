// A new primary whose own blocks are bad. On virtual time.
import test from 'ava';
import { checksumsOf } from '../../src/base/crc.ts';
import { codeOf } from '../../src/base/errors.ts';
import { KiB, SECOND_MS } from '../../src/base/units.ts';
import { ChunkserverDefinition, MutationKind } from '../../src/rpc/messages.ts';
import { type Cluster, orderTo, sameBytes, sample } from './harness.ts';
import { type SimWorld, simulate } from './sim-world.ts';

const CHUNK = 5;
const BLOCK = 64 * KiB;
const { methods } = ChunkserverDefinition;

/** Three blocks on three servers, synced, in their data files. */
async function written(cluster: Cluster, world: SimWorld): Promise<Buffer> {
  const data = sample(3 * BLOCK);
  const pushId = await cluster.push(CHUNK, 0, data);
  await cluster.write(CHUNK, 0, data, { pushId });
  await world.simulation.sleep(30 * SECOND_MS);
  return data;
}

function flip(world: SimWorld, index: number, blockIndex: number): void {
  world.flipBit(index, CHUNK, blockIndex * BLOCK + 7);
}

/** As the primary orders that dies before it reaches the others. */
async function overwriteAlone(cluster: Cluster, index: number, chunkOffset: number): Promise<void> {
  const data = sample(100, 9);
  const order = {
    ...{ serial: 1, kind: MutationKind.MUTATION_KIND_WRITE, writer: 77, number: 1 },
    ...{ chunkOffset, length: data.length, checksums: checksumsOf([data], chunkOffset) },
  };
  await cluster.at(index).connection.call(methods.apply, orderTo(CHUNK, 1, order), { payload: [data] });
}

async function codeOfRead(cluster: Cluster, index: number, blockIndex: number, version: number) {
  return await cluster.read(index, CHUNK, blockIndex * BLOCK, BLOCK, version).then(
    () => 'ok',
    (error: unknown) => codeOf(error),
  );
}

test('a bad block of the new primary comes from a member that has the same', async (t) => {
  await simulate(1, async (cluster, world) => {
    const data = await written(cluster, world);
    await overwriteAlone(cluster, 2, BLOCK + 10);
    flip(world, 0, 1);
    await cluster.raise(CHUNK, 2, 0);
    await world.simulation.sleep(1 * SECOND_MS);
    for (const index of [0, 1, 2]) {
      sameBytes(t, await cluster.read(index, CHUNK, 0, 4 * BLOCK, 2), data, `server ${index}`);
    }
    t.deepEqual(cluster.master.evictions, [], 'nobody is to blame');
  });
});

test('P7: after a loss of power under all, bad blocks of the one that serves come from the others', async (t) => {
  await simulate(2, async (cluster, world) => {
    const data = await written(cluster, world);
    for (const index of [0, 1, 2]) {
      world.powerCut(`server-${index}`);
      await cluster.reopen(index);
    }
    flip(world, 0, 1);
    await raiseWithLoss(cluster, 0);
    await world.simulation.sleep(1 * SECOND_MS);
    for (const index of [0, 1, 2]) {
      sameBytes(t, await cluster.read(index, CHUNK, 0, 4 * BLOCK, 2), data, `server ${index}`);
    }
  });
});

test('P7: a block that is bad everywhere is an error of its own, not zeros, until it is overwritten', async (t) => {
  await simulate(3, async (cluster, world) => {
    const data = await written(cluster, world);
    for (const index of [0, 1, 2]) {
      world.powerCut(`server-${index}`);
      flip(world, index, 1);
      await cluster.reopen(index);
    }
    await raiseWithLoss(cluster, 0);
    await world.simulation.sleep(1 * SECOND_MS);
    for (const index of [0, 1, 2]) {
      t.is(await codeOfRead(cluster, index, 1, 2), 'CHECKSUM_MISMATCH', `server ${index}`);
      sameBytes(t, await cluster.read(index, CHUNK, 2 * BLOCK, BLOCK, 2), data.subarray(2 * BLOCK));
    }
    await cluster.write(CHUNK, BLOCK, sample(BLOCK, 8), { version: 2 });
    for (const index of [0, 1, 2]) t.is(await codeOfRead(cluster, index, 1, 2), 'ok');
  });
});

test('a block that only the primary had, and lost, is lost to its members too, and the rest is theirs', async (t) => {
  await simulate(4, async (cluster, world) => {
    const data = await written(cluster, world);
    // They come back with nothing of it.
    for (const index of [1, 2]) await cluster.at(index).connection.call(methods.delete, { chunks: [CHUNK] });
    flip(world, 0, 1);
    await cluster.raise(CHUNK, 2, 0, [0]);
    await world.simulation.sleep(10 * SECOND_MS);
    for (const index of [0, 1, 2]) {
      t.is(await codeOfRead(cluster, index, 1, 2), 'CHECKSUM_MISMATCH', `server ${index}`);
      sameBytes(t, await cluster.read(index, CHUNK, 0, BLOCK, 2), data.subarray(0, BLOCK));
      sameBytes(t, await cluster.read(index, CHUNK, 2 * BLOCK, BLOCK, 2), data.subarray(2 * BLOCK));
    }
    await cluster.restart(1);
    t.is(await codeOfRead(cluster, 1, 1, 2), 'CHECKSUM_MISMATCH', 'after a restart too');
  });
});

test('a record of which only a bad block is left is refused to who sends it again', async (t) => {
  await simulate(7, async (cluster, world) => {
    const record = { writer: 9, number: 1 };
    const before = sample(3 * BLOCK);
    const pushId = await cluster.push(CHUNK, 0, before);
    await cluster.write(CHUNK, 0, before, { pushId });
    const data = sample(1000);
    await cluster.append(CHUNK, data, record);
    // As if the others had not got the order yet: they come back with nothing of it.
    for (const index of [1, 2]) await cluster.at(index).connection.call(methods.delete, { chunks: [CHUNK] });
    await world.simulation.sleep(30 * SECOND_MS);
    flip(world, 0, 3);
    await cluster.raise(CHUNK, 2, 0, [0]);
    await world.simulation.sleep(10 * SECOND_MS);
    const again = cluster.append(CHUNK, data, { ...record, version: 2 });
    t.is(await again.then(() => 'ok', codeOf), 'CHUNK_LOST');
  });
});

test('P12: a primary that cannot give what another whole member has resigns, and accuses nobody', async (t) => {
  await simulate(5, async (cluster, world) => {
    await written(cluster, world);
    for (const index of [1, 2]) await overwriteAlone(cluster, index, BLOCK + 10);
    flip(world, 0, 1);
    await cluster.raise(CHUNK, 2, 0);
    await world.simulation.sleep(1 * SECOND_MS);
    const { server } = cluster.replica(0);
    t.like(cluster.master.evictions[0], { server, accused: server, code: 'CHECKSUM_MISMATCH' });
    t.is(cluster.master.evictions.length, 1);
  });
});

test('P12: a primary that lost more than the others ever had resigns: what was acknowledged is theirs', async (t) => {
  for (const length of [2 * BLOCK + 1000, 3 * BLOCK]) {
    await simulate(6, async (cluster, world) => {
      const data = sample(length);
      const pushId = await cluster.push(CHUNK, 0, data);
      await cluster.write(CHUNK, 0, data, { pushId });
      await world.simulation.sleep(30 * SECOND_MS);
      // The longer one becomes primary, and cannot read the block that it is longer in.
      await overwriteAlone(cluster, 1, length);
      await world.simulation.sleep(30 * SECOND_MS);
      flip(world, 1, Math.floor(length / BLOCK));
      await cluster.raise(CHUNK, 2, 1);
      await world.simulation.sleep(1 * SECOND_MS);
      const { server } = cluster.replica(1);
      t.like(
        cluster.master.evictions[0],
        { server, accused: server, code: 'CHECKSUM_MISMATCH' },
        `${length}`,
      );
      await cluster.raise(CHUNK, 3, 0);
      await world.simulation.sleep(1 * SECOND_MS);
      for (const index of [0, 1, 2]) {
        sameBytes(t, await cluster.read(index, CHUNK, 0, 4 * BLOCK, 3), data, `server ${index}`);
      }
    });
  }
});

async function raiseWithLoss(cluster: Cluster, primary: number): Promise<void> {
  const record = { ...cluster.record(CHUNK, 2, primary), loss: 2 };
  for (const index of [0, 1, 2]) {
    const request = { incarnation: cluster.incarnation(index), records: [record] };
    await cluster.at(index).connection.call(methods.setVersion, request);
  }
}
