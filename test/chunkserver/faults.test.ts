// What takes time: silent members, orders that never come, idle roles, a master that is away. On virtual time.
import test from 'ava';
import { codeOf } from '../../src/base/errors.ts';
import { MINUTE_MS, MiB, SECOND_MS } from '../../src/base/units.ts';
import { ChunkserverDefinition, MutationKind } from '../../src/rpc/messages.ts';
import { orderTo, sameBytes, sample } from './harness.ts';
import { simulate } from './sim-world.ts';

const CHUNK = 5;
const { methods } = ChunkserverDefinition;

async function codeOfFailure(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'ok',
    (error: unknown) => codeOf(error),
  );
}

test('P12: a silent member is accused within seconds, and the rest goes on under the next version', async (t) => {
  await simulate(1, async (cluster, world) => {
    await cluster.write(CHUNK, 0, sample(1000));
    world.network.partition('server-0', 'server-2');
    cluster.master.onEvict = () => cluster.raiseWithout(CHUNK, 2, [2]);
    const startMs = world.simulation.nowMs;
    await cluster.write(CHUNK, 0, sample(1000, 2));
    t.true(world.simulation.nowMs - startMs < 3 * SECOND_MS);
    await cluster.write(CHUNK, 0, sample(1000, 3), { version: 2 });
    for (const index of [0, 1]) sameBytes(t, await cluster.read(index, CHUNK, 0, 5000, 2), sample(1000, 3));
    // The one that was left behind still serves what it knows, to those who still ask for it.
    t.is((await cluster.read(2, CHUNK, 0, 5000)).length, 1000);
  });
});

test('P12: a member whose disk is slow is left in peace', async (t) => {
  await simulate(11, async (cluster, world) => {
    await cluster.write(CHUNK, 0, sample(1000));
    const disk = world.disks.get('server-1');
    if (disk === undefined) throw new Error('no such disk');
    disk.slowness = 110_000;
    const startMs = world.simulation.nowMs;
    await cluster.write(CHUNK, 0, sample(1000, 2));
    t.true(world.simulation.nowMs - startMs > 2 * SECOND_MS, 'it is that slow');
    t.deepEqual(cluster.master.evictions, []);
  });
});

test('P13: a member shows appended bytes when it knows that all have them, asked or told', async (t) => {
  await simulate(2, async (cluster, world) => {
    await cluster.append(CHUNK, sample(100), { writer: 1, number: 1 });
    t.is((await cluster.read(1, CHUNK, 0, 1000)).length, 100);
    await cluster.append(CHUNK, sample(100), { writer: 1, number: 2 });
    world.network.partition('server-0', 'server-1');
    // It has them, cannot ask, and was not told that the others have them too: it neither shows nor denies them.
    t.is(await codeOfFailure(cluster.read(1, CHUNK, 0, 1000)), 'NOT_READY');
    t.is((await cluster.read(1, CHUNK, 0, 100)).length, 100);
    await world.simulation.sleep(5 * SECOND_MS);
    t.is(await codeOfFailure(cluster.read(1, CHUNK, 150, 1)), 'NOT_READY');
    t.is((await cluster.read(2, CHUNK, 0, 1000)).length, 200);
    // Told while nobody asked: now it cannot ask, and need not.
    await world.simulation.sleep(5 * SECOND_MS);
    world.network.partition('server-0', 'server-2');
    t.is((await cluster.read(2, CHUNK, 0, 1000)).length, 200);
  });
});

test('an order whose predecessor never comes is given up', async (t) => {
  await simulate(3, async (cluster, world) => {
    await cluster.write(CHUNK, 0, sample(10));
    const startMs = world.simulation.nowMs;
    t.is(
      await codeOfFailure(cluster.at(1).connection.call(methods.apply, orderTo(CHUNK, 1, { serial: 5 }))),
      'SERIAL_GAP',
    );
    t.true(world.simulation.nowMs - startMs < 8 * SECOND_MS);
    cluster.master.onEvict = async () => void (await cluster.raise(CHUNK, 2, 2));
    t.is(await codeOfFailure(cluster.write(CHUNK, 0, sample(10))), 'NOT_PRIMARY');
    t.is(cluster.master.evictions[0]?.code, 'SERIAL_GAP');
  });
});

test('a role that nobody uses is released; what it wrote can still be synced', async (t) => {
  await simulate(4, async (cluster, world) => {
    await cluster.write(CHUNK, 0, sample(10));
    await world.simulation.sleep(20 * SECOND_MS);
    t.true(
      cluster.master.heartbeats.some(({ leases }) =>
        leases.some(({ chunk, active }) => chunk === CHUNK && !active),
      ),
    );
    t.is(await codeOfFailure(cluster.write(CHUNK, 0, sample(10))), 'NOT_PRIMARY');
    const asked = { chunk: CHUNK, version: 1, replicaOnly: false, acknowledgedVersion: 0 };
    await cluster.at(0).connection.call(methods.sync, asked);
    await world.simulation.sleep(2 * MINUTE_MS);
    await cluster.at(0).connection.call(methods.sync, asked);
    sameBytes(t, await cluster.read(1, CHUNK, 0, 1 * MiB), sample(10));
  });
});

test('while the master is away, work goes on longer than a lease lasts', async (t) => {
  await simulate(5, async (cluster, world) => {
    await cluster.write(CHUNK, 0, sample(10));
    for (const index of [0, 1, 2]) world.network.partition(`server-${index}`, 'master');
    for (let second = 0; second < 150; second += 5) {
      await world.simulation.sleep(5 * SECOND_MS);
      await cluster.write(CHUNK, second, sample(100, second));
    }
    t.is((await cluster.read(2, CHUNK, 0, 1 * MiB)).length, 245);
  });
});

test('P12: a member that cannot write to its disk is accused; the next version copies what it lacks', async (t) => {
  await simulate(6, async (cluster, world) => {
    await cluster.write(CHUNK, 0, sample(1000));
    const disk = world.disks.get('server-1');
    if (disk === undefined) throw new Error('no such disk');
    disk.failOperation = (operation) => (operation === 'write' ? 'IO_ERROR' : undefined);
    cluster.master.onEvict = async () => {
      disk.failOperation = undefined;
      await cluster.raise(CHUNK, 2, 0);
    };
    await cluster.write(CHUNK, 500, sample(1000, 2));
    t.is(cluster.master.evictions[0]?.code, 'IO_ERROR');
    await cluster.write(CHUNK, 0, sample(1, 9), { version: 2 });
    const expected = Buffer.concat([sample(500), sample(1000, 2)]);
    sample(1, 9).copy(expected);
    sample(1000).copy(expected, 1, 1, 500);
    for (const index of [0, 1, 2]) {
      sameBytes(t, await cluster.read(index, CHUNK, 0, 5000, 2), expected, `server ${index}`);
    }
  });
});

test('P12: a primary that cannot write to its disk resigns', async (t) => {
  await simulate(7, async (cluster, world) => {
    await cluster.write(CHUNK, 0, sample(1000));
    const disk = world.disks.get('server-0');
    if (disk === undefined) throw new Error('no such disk');
    disk.failOperation = (operation) => (operation === 'write' ? 'IO_ERROR' : undefined);
    t.is(await codeOfFailure(cluster.write(CHUNK, 500, sample(1000, 2))), 'NOT_PRIMARY');
    await world.simulation.sleep(1 * SECOND_MS);
    const { server } = cluster.replica(0);
    t.like(cluster.master.evictions[0], { server, accused: server, code: 'IO_ERROR' });
  });
});

test('P6: a member that has not been made equal to its primary serves no reads', async (t) => {
  await simulate(8, async (cluster, world) => {
    await cluster.write(CHUNK, 0, sample(1000));
    world.network.partition('server-0', 'server-2');
    await cluster.raise(CHUNK, 2, 0);
    await world.simulation.sleep(1 * SECOND_MS);
    for (const index of [0, 2]) t.is(await codeOfFailure(cluster.read(index, CHUNK, 0, 10, 2)), 'NOT_READY');
    t.is((await cluster.read(1, CHUNK, 0, 10, 2)).length, 10, 'reconciled, before its primary is');
    world.network.healAll();
    await world.simulation.sleep(5 * SECOND_MS);
    for (const index of [0, 1, 2]) sameBytes(t, await cluster.read(index, CHUNK, 0, 5000, 2), sample(1000));
  });
});

test('P13: a restart forgets what is committed: a member asks the primary, and denies nothing meanwhile', async (t) => {
  await simulate(9, async (cluster, world) => {
    await cluster.append(CHUNK, sample(100), { writer: 1, number: 1 });
    await cluster.append(CHUNK, sample(100, 2), { writer: 1, number: 2 });
    await world.simulation.sleep(3 * SECOND_MS);
    await cluster.restart(1);
    await cluster.restart(0);
    t.is(
      (await cluster.read(1, CHUNK, 0, 100)).length,
      100,
      'a writer has one append in flight: this one is not',
    );
    for (const index of [0, 1]) t.is(await codeOfFailure(cluster.read(index, CHUNK, 0, 101)), 'NOT_READY');
    await cluster.raise(CHUNK, 2, 1);
    await world.simulation.sleep(1 * SECOND_MS);
    for (const index of [0, 1, 2]) t.is((await cluster.read(index, CHUNK, 0, 1000, 2)).length, 200);
  });
});

test('P7: a member that lost power serves no reads, and is no source, until it is reconciled', async (t) => {
  await simulate(10, async (cluster, world) => {
    await cluster.write(CHUNK, 0, sample(1000));
    const { sync } = methods;
    await cluster
      .at(0)
      .connection.call(sync, { chunk: CHUNK, version: 1, replicaOnly: false, acknowledgedVersion: 0 });
    world.powerCut('server-1');
    await cluster.reopen(1);
    t.is(await codeOfFailure(cluster.read(1, CHUNK, 0, 10)), 'NOT_READY');
    const [state] = (await cluster.at(1).connection.call(methods.checkVersion, { chunks: [CHUNK] })).message
      .chunks;
    t.like(state, { whole: false, restarted: true });
    await cluster.raise(CHUNK, 2, 0);
    await world.simulation.sleep(1 * SECOND_MS);
    sameBytes(t, await cluster.read(1, CHUNK, 0, 5000, 2), sample(1000));
  });
});

test('P4: a version takes no mutation before its primary has reconciled all of its members', async (t) => {
  await simulate(14, async (cluster, world) => {
    await cluster.write(CHUNK, 0, sample(1000));
    world.network.partition('server-0', 'server-2');
    await cluster.raise(CHUNK, 2, 0);
    let isAnswered = false;
    const write = cluster.write(CHUNK, 0, sample(1000, 2), { version: 2 }).finally(() => {
      isAnswered = true;
    });
    await world.simulation.sleep(3 * SECOND_MS);
    t.false(isAnswered);
    t.like(await cluster.stateOf(0, CHUNK), { version: 2, reconciled: false });
    t.like(await cluster.stateOf(1, CHUNK), { version: 2, reconciled: true, orders: 0 });
    sameBytes(t, await cluster.read(1, CHUNK, 0, 5000, 2), sample(1000), 'nobody was ordered');
    world.network.healAll();
    await write;
    for (const index of [0, 1, 2])
      sameBytes(t, await cluster.read(index, CHUNK, 0, 5000, 2), sample(1000, 2));
  });
});

test('P22: a length is answered when each member has confirmed the version since it was asked for', async (t) => {
  await simulate(15, async (cluster, world) => {
    const asked = { chunk: CHUNK, version: 1 };
    await cluster.append(CHUNK, sample(100), { writer: 1, number: 1 });
    const lengthAt = (index: number, version: number) =>
      cluster.at(index).connection.call(methods.chunkLength, { ...asked, version });
    t.is((await lengthAt(0, 1)).message.length, 100);
    // The others go on without it, and it was not told.
    world.network.partition('server-0', 'master');
    await cluster.raiseTo(CHUNK, 2, [1, 2], 1);
    await cluster.append(CHUNK, sample(50, 2), { writer: 1, number: 2, version: 2, primary: 1 });
    t.is(await codeOfFailure(lengthAt(0, 1)), 'VERSION_MISMATCH');
    t.is((await lengthAt(1, 2)).message.length, 150);
    // One that cannot be reached may have gone on with others, too.
    world.network.partition('server-1', 'server-2');
    t.not(await codeOfFailure(lengthAt(1, 2)), 'ok');
  });
});

test('P5: what a server lost with its power it does not begin again from the first record', async (t) => {
  for (const index of [0, 1]) {
    await simulate(11, async (cluster, world) => {
      await cluster.write(CHUNK, 0, sample(1000));
      world.powerCut(`server-${index}`);
      await cluster.reopen(index);
      const code = await codeOfFailure(cluster.write(CHUNK, 0, sample(10, 2)));
      if (index === 0) t.is(code, 'NO_SUCH_CHUNK', 'the primary');
      await world.simulation.sleep(1 * SECOND_MS);
      const { message } = await cluster.at(index).connection.call(methods.checkVersion, { chunks: [CHUNK] });
      t.deepEqual(message.chunks, [], `server ${index} has nothing to vouch for`);
    });
  }
});

test('P14: a sync does not count a member that lost power, but has it made equal first', async (t) => {
  await simulate(12, async (cluster, world) => {
    const asked = { chunk: CHUNK, version: 1, replicaOnly: false, acknowledgedVersion: 1 };
    const alone = { ...asked, replicaOnly: true };
    const { connection } = cluster.at(0);
    await cluster.write(CHUNK, 0, sample(500));
    await connection.call(methods.sync, asked);
    await cluster.write(CHUNK, 0, sample(1000));
    world.powerCut('server-1');
    await cluster.reopen(1);
    t.is(await codeOfFailure(cluster.at(1).connection.call(methods.sync, alone)), 'NOT_READY');
    t.is(await codeOfFailure(connection.call(methods.sync, asked)), 'NOT_PRIMARY');
    t.is(cluster.master.evictions[0]?.accused, cluster.replica(1).server);
    await cluster.raise(CHUNK, 2, 0);
    await world.simulation.sleep(1 * SECOND_MS);
    await connection.call(methods.sync, { ...asked, version: 2 });
    for (const name of ['server-0', 'server-1', 'server-2']) world.powerCut(name);
    await cluster.reopen(1);
    const { message } = await cluster.at(1).connection.call(methods.checkVersion, { chunks: [CHUNK] });
    t.like(message.chunks[0], { length: 1000 });
  });
});

test('P16: what a chunk was told to be sealed at survives a loss of power of all members', async (t) => {
  await simulate(13, async (cluster, world) => {
    await cluster.append(CHUNK, sample(100_000), { writer: 1, number: 1 });
    const sealed = await cluster.mutate(CHUNK, Buffer.alloc(0), {
      chunkOffset: 0,
      kind: MutationKind.MUTATION_KIND_SEAL,
    });
    t.like(sealed, { sealed: true, chunkLength: 100_000 });
    for (const index of [0, 1, 2]) {
      world.powerCut(`server-${index}`);
      await cluster.reopen(index);
      const { message } = await cluster.at(index).connection.call(methods.checkVersion, { chunks: [CHUNK] });
      t.like(message.chunks[0], { length: 100_000, sealed: true }, `server ${index}`);
    }
  });
});
