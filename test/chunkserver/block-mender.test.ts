// Blocks that go bad on a member's disk are put right from another member. On virtual time.
import test from 'ava';
import { joined } from '../../src/base/bytes.ts';
import { codeOf } from '../../src/base/errors.ts';
import { KiB, SECOND_MS } from '../../src/base/units.ts';
import { ChunkserverDefinition } from '../../src/rpc/messages.ts';
import { type Cluster, sameBytes, sample } from './harness.ts';
import { type SimWorld, simulate } from './sim-world.ts';

const CHUNK = 5;
const BLOCK = 64 * KiB;
const { methods } = ChunkserverDefinition;

/** On three servers, in their data files. */
async function written(cluster: Cluster, world: SimWorld, length = 3 * BLOCK): Promise<Buffer> {
  const data = sample(length);
  const pushId = await cluster.push(CHUNK, 0, data);
  await cluster.write(CHUNK, 0, data, { pushId });
  await world.simulation.sleep(3 * SECOND_MS);
  return data;
}

function flip(world: SimWorld, index: number, blockIndex: number): void {
  world.flipBit(index, CHUNK, blockIndex * BLOCK + 7);
}

/** The block as it is on this server's disk, or the error of who looks at it. */
async function blockOn(cluster: Cluster, index: number, blockIndex: number, version = 1) {
  const request = { chunk: CHUNK, version, blockIndex };
  return await cluster
    .at(index)
    .connection.call(methods.readBlock, request)
    .then(
      ({ payload }) => Buffer.from(joined(payload)),
      (error: unknown) => codeOf(error),
    );
}

async function codeOfRead(cluster: Cluster, index: number, blockIndex: number, version = 1) {
  return await cluster.read(index, CHUNK, blockIndex * BLOCK, 100, version).then(
    () => 'ok',
    (error: unknown) => codeOf(error),
  );
}

test('who reads a bad block gets its bytes, and they are on the disk again', async (t) => {
  await simulate(1, async (cluster, world) => {
    const data = await written(cluster, world);
    const before = await cluster.sumsOf(1, CHUNK, 1);
    for (const blockIndex of [0, 1, 2]) flip(world, 1, blockIndex);
    sameBytes(t, await cluster.read(1, CHUNK, 0, 3 * BLOCK), data);
    t.is(cluster.master.badReplicas.length, 3, 'the master was told of each');
    for (const blockIndex of [0, 1, 2]) {
      const block = await blockOn(cluster, 1, blockIndex);
      t.true(
        block instanceof Buffer && block.equals(data.subarray(blockIndex * BLOCK, (blockIndex + 1) * BLOCK)),
      );
    }
    t.is(cluster.master.badReplicas.length, 3);
    t.deepEqual(await cluster.sumsOf(1, CHUNK, 1), before, 'it is what it was');
    await cluster.write(CHUNK, 10, sample(100, 4));
    await world.simulation.sleep(30 * SECOND_MS);
    await cluster.restart(1);
    t.true((await cluster.stateOf(1, CHUNK))?.whole);
    t.is(await codeOfRead(cluster, 1, 1), 'ok');
  });
});

test('a block that another server finds bad is good soon after', async (t) => {
  await simulate(2, async (cluster, world) => {
    await written(cluster, world);
    flip(world, 1, 2);
    t.is(await blockOn(cluster, 1, 2), 'CHECKSUM_MISMATCH', 'nobody who repairs something waits for another');
    await world.simulation.sleep(1 * SECOND_MS);
    t.true((await blockOn(cluster, 1, 2)) instanceof Buffer);
  });
});

test('blocks that are bad at different members are good at all of them', async (t) => {
  await simulate(3, async (cluster, world) => {
    const data = await written(cluster, world);
    for (const index of [0, 1, 2]) flip(world, index, index);
    for (const index of [0, 1, 2]) {
      sameBytes(t, await cluster.read(index, CHUNK, 0, 3 * BLOCK), data, `server ${index}`);
    }
  });
});

test('a member that can reach nobody keeps its bad block, and mends it when it can', async (t) => {
  await simulate(4, async (cluster, world) => {
    await written(cluster, world);
    for (const index of [0, 2]) world.network.partition('server-1', `server-${index}`);
    flip(world, 1, 1);
    t.is(await codeOfRead(cluster, 1, 1), 'CHECKSUM_MISMATCH');
    world.network.healAll();
    await world.simulation.sleep(10 * SECOND_MS);
    t.true((await blockOn(cluster, 1, 1)) instanceof Buffer, 'nobody had to ask again');
  });
});

test('a block that is bad at all members is an error at each, and servers do not ask each other for ever', async (t) => {
  await simulate(5, async (cluster, world) => {
    const data = await written(cluster, world);
    for (const index of [0, 1, 2]) flip(world, index, 1);
    for (const index of [0, 1, 2]) t.is(await codeOfRead(cluster, index, 1), 'CHECKSUM_MISMATCH');
    let asked = 0;
    world.network.onSent.push(({ frame }) => {
      if (frame.kind === 'open' && frame.route.method.name === methods.readBlock.name) asked += 1;
    });
    await world.simulation.sleep(120 * SECOND_MS);
    t.true(asked < 20, `${asked} questions`);
    sameBytes(t, await cluster.read(1, CHUNK, 0, BLOCK), data.subarray(0, BLOCK));
    await cluster.raise(CHUNK, 2, 0);
    await cluster.write(CHUNK, BLOCK, sample(BLOCK, 8), { version: 2 });
    for (const index of [0, 1, 2]) t.is(await codeOfRead(cluster, index, 1, 2), 'ok');
  });
});

test('a part of a lost block is not overwritten, which no primary could do, and the whole of it is', async (t) => {
  await simulate(10, async (cluster, world) => {
    await written(cluster, world);
    for (const index of [0, 1, 2]) flip(world, index, 1);
    for (const index of [0, 1, 2]) t.is(await codeOfRead(cluster, index, 1), 'CHECKSUM_MISMATCH');
    const part = () => cluster.write(CHUNK, BLOCK + 100, sample(100, 4)).then(() => 'ok', codeOf);
    t.is(await part(), 'CHUNK_LOST');
    await cluster.write(CHUNK, 0, sample(100, 5));
    t.deepEqual(cluster.master.evictions, [], 'the primary goes on');
    await cluster.write(CHUNK, BLOCK, sample(BLOCK, 6));
    t.is(await part(), 'ok');
    t.is(await codeOfRead(cluster, 2, 1), 'ok');
  });
});

test('a bad block of a primary is put right before a part of it is overwritten', async (t) => {
  await simulate(11, async (cluster, world) => {
    const data = await written(cluster, world);
    for (const index of [1, 2]) world.network.partition('server-0', `server-${index}`);
    flip(world, 0, 1);
    t.is(await codeOfRead(cluster, 0, 1), 'CHECKSUM_MISMATCH');
    world.network.healAll();
    const part = sample(100, 4);
    await cluster.write(CHUNK, BLOCK + 100, part);
    part.copy(data, BLOCK + 100);
    sameBytes(t, await cluster.read(0, CHUNK, 0, 3 * BLOCK), data);
    t.deepEqual(cluster.master.evictions, []);
  });
});

test('P9: a primary with a bad block mends it first, and its lesson goes on', async (t) => {
  await simulate(6, async (cluster, world) => {
    const data = await written(cluster, world, 12 * BLOCK);
    await cluster.add();
    for (const blockIndex of [3, 4, 9]) flip(world, 0, blockIndex);
    cluster.master.onAdmit = () => cluster.raiseTo(CHUNK, 2, [0, 1, 2, 3], 0);
    await cluster.teach(CHUNK, 1, { learner: 3 }).catch(() => undefined);
    await world.simulation.sleep(1 * SECOND_MS);
    for (const index of [0, 3]) {
      sameBytes(t, await cluster.read(index, CHUNK, 0, 12 * BLOCK, 2), data, `server ${index}`);
    }
    t.is(cluster.master.admissions.length, 1);
  });
});

test('P9: a block that is lost is lost to a learner too, which learns all the rest', async (t) => {
  await simulate(7, async (cluster, world) => {
    const data = await written(cluster, world, 6 * BLOCK);
    await cluster.add();
    for (const index of [0, 1, 2]) flip(world, index, 2);
    cluster.master.onAdmit = () => cluster.raiseTo(CHUNK, 2, [0, 1, 2, 3], 0);
    await cluster.teach(CHUNK, 1, { learner: 3 }).catch(() => undefined);
    await world.simulation.sleep(1 * SECOND_MS);
    t.like(await cluster.stateOf(3, CHUNK), { version: 2, whole: true });
    t.is(await codeOfRead(cluster, 3, 2, 2), 'CHECKSUM_MISMATCH');
    sameBytes(t, await cluster.read(3, CHUNK, 3 * BLOCK, 3 * BLOCK, 2), data.subarray(3 * BLOCK));
  });
});

test('P9: a primary whose other members are away does not take its bad block for lost', async (t) => {
  await simulate(8, async (cluster, world) => {
    await written(cluster, world);
    await cluster.add();
    flip(world, 0, 1);
    flip(world, 1, 1);
    const { server, connection } = cluster.at(2);
    await connection.close();
    await server.close();
    const error = await t.throwsAsync(cluster.teach(CHUNK, 1, { learner: 3 }));
    t.is(codeOf(error), 'CHECKSUM_MISMATCH');
    t.deepEqual(cluster.master.admissions, []);
  });
});

test('P16: a chunk whose last block is lost is sealed when that is found, and takes no record behind it', async (t) => {
  await simulate(9, async (cluster, world) => {
    const data = await written(cluster, world, BLOCK + 1000);
    for (const index of [0, 1, 2]) flip(world, index, 1);
    t.is(await codeOfRead(cluster, 2, 1), 'CHECKSUM_MISMATCH', 'a reader elsewhere finds it');
    await world.simulation.sleep(1 * SECOND_MS);
    t.like(await cluster.append(CHUNK, sample(100, 3)), { sealed: true, chunkLength: data.length });
    for (const index of [0, 1, 2]) {
      t.like(await cluster.stateOf(index, CHUNK), { sealed: true, length: data.length });
      sameBytes(t, await cluster.read(index, CHUNK, 0, BLOCK), data.subarray(0, BLOCK));
    }
  });
});

test('P16: a new primary does not append behind a lost block', async (t) => {
  await simulate(10, async (cluster, world) => {
    const data = await written(cluster, world, BLOCK + 1000);
    for (const index of [0, 1, 2]) flip(world, index, 1);
    await cluster.raise(CHUNK, 2, 0);
    await world.simulation.sleep(1 * SECOND_MS);
    const answer = await cluster.append(CHUNK, sample(100, 3), { version: 2 });
    t.like(answer, { sealed: true, chunkLength: data.length });
    for (const index of [0, 1, 2]) t.like(await cluster.stateOf(index, CHUNK), { sealed: true });
  });
});

test('P16: a last block that one member has is put right, and appended to', async (t) => {
  await simulate(11, async (cluster, world) => {
    const data = await written(cluster, world, BLOCK + 1000);
    for (const index of [0, 1]) flip(world, index, 1);
    await cluster.raise(CHUNK, 2, 0);
    await world.simulation.sleep(1 * SECOND_MS);
    const record = sample(100, 3);
    t.like(await cluster.append(CHUNK, record, { version: 2 }), { sealed: false, chunkOffset: data.length });
    for (const index of [0, 1, 2]) {
      const found = await cluster.read(index, CHUNK, 0, 2 * BLOCK, 2);
      sameBytes(t, found, Buffer.concat([data, record]), `server ${index}`);
    }
  });
});
