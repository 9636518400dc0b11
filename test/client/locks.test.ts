// Locks by way of the client library, on a real cluster in virtual time: what is held while masters, clients and connections end.
import test, { type ExecutionContext } from 'ava';
import { joined } from '../../src/base/bytes.ts';
import { inodeId } from '../../src/base/ids.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import type { GfsClient, GfsFile, LockRequest, Waiting } from '../../src/client/api.ts';
import { inRealCluster, type RealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, WRITING } from './world.ts';

const SHARED = { kind: 'range', owner: 'a', exclusive: false } as const;
const EXCLUSIVE = { kind: 'range', owner: 'a', exclusive: true } as const;
const WAIT = { ...EXCLUSIVE, wait: true } as const;

interface Pair {
  readonly other: GfsClient;
  /** One file, open for reading and writing at both clients. */
  readonly ours: GfsFile;
  readonly theirs: GfsFile;
}

function between(
  title: string,
  body: (t: ExecutionContext, cluster: RealCluster, pair: Pair) => Promise<void>,
): void {
  test(title, (t) =>
    inRealCluster(title, async (cluster) => {
      const { client, connect } = cluster;
      const other = await connect();
      const { file: ours } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
      await ours.write(0, [pattern(1000)]);
      await ours.flush();
      const { file: theirs } = await other.open(ours.inode, { read: true, write: true }, ME);
      await body(t, cluster, { other, ours, theirs });
      for (const file of [ours, theirs]) await file.close().catch(() => undefined);
    }),
  );
}

/** "granted", or why not. */
async function tryLock(file: GfsFile, lock: LockRequest = EXCLUSIVE, waiting?: Waiting): Promise<string> {
  const code = await codeFrom(file.lock(lock, waiting));
  return code === 'none' ? 'granted' : code;
}

const read = async (file: GfsFile, start: number, length: number) =>
  Buffer.from(joined(await file.read(start, length)));

between(
  'who waits is woken by the unlock, and reads what was written under the lock',
  async (t, { simulation }, pair) => {
    const { ours, theirs } = pair;
    t.is(await tryLock(ours), 'granted');
    t.true((await read(theirs, 0, 1000)).equals(pattern(1000)), 'read before, and kept');
    const waiting = theirs.lock(WAIT);
    await ours.write(0, [pattern(100, 7)]);
    await ours.write(1000, [pattern(500, 8)]);
    const unlockedMs = simulation.nowMs;
    await ours.unlock(EXCLUSIVE);
    t.true((await waiting).changed);
    t.true(simulation.nowMs - unlockedMs < SECOND_MS / 4, 'nobody asked in between');
    t.true((await read(theirs, 0, 100)).equals(pattern(100, 7)));
    t.true((await read(theirs, 1000, 1000)).equals(pattern(500, 8)));
    await theirs.unlock(EXCLUSIVE);
    t.true((await ours.lock(EXCLUSIVE)).changed === false, 'nobody wrote: what is known is good');
  },
);

between('a wait lasts longer than any call may take', async (t, { sleep }, { ours, theirs }) => {
  t.is(await tryLock(ours), 'granted');
  const waiting = tryLock(theirs, WAIT);
  await sleep(600 * SECOND_MS);
  await ours.unlock(EXCLUSIVE);
  t.is(await waiting, 'granted');
});

between(
  'who gives up holds what it held before, and the next one gets what it wanted',
  async (t, cluster, pair) => {
    const { ours, theirs, other } = pair;
    t.is(await tryLock(ours, { ...SHARED, end: 9 }), 'granted');
    t.is(await tryLock(theirs, { ...SHARED, end: 4 }), 'granted');
    const stop = new AbortController();
    const waiting = tryLock(ours, WAIT, { signal: stop.signal });
    await cluster.sleep(500);
    stop.abort();
    t.is(await waiting, 'CANCELLED');
    t.is(await tryLock(theirs, { ...EXCLUSIVE, start: 5 }), 'LOCKED', 'ours is shared there');
    const deadlineMs = cluster.envOf(other).monotonicMs() + 1000;
    t.is(await tryLock(theirs, WAIT, { deadlineMs }), 'DEADLINE_EXCEEDED');
    await ours.unlock(SHARED);
    t.is(await tryLock(theirs), 'granted');
  },
);

for (const at of [0, 1, 2, 3, 5, 8, 12])
  between(
    `a wait that is given up ${at} ms after the lock became free leaves nothing behind`,
    async (t, cluster, pair) => {
      const { ours, theirs } = pair;
      t.is(await tryLock(ours), 'granted');
      const stop = new AbortController();
      const waiting = tryLock(theirs, WAIT, { signal: stop.signal });
      await cluster.sleep(100);
      const unlocked = ours.unlock(EXCLUSIVE);
      await cluster.sleep(at);
      stop.abort();
      const outcome = await waiting;
      await unlocked;
      t.true(outcome === 'granted' || outcome === 'CANCELLED', outcome);
      if (outcome === 'granted') await theirs.unlock(EXCLUSIVE);
      t.is(
        await tryLock(ours, WAIT, { deadlineMs: cluster.envOf(cluster.client).monotonicMs() + 5000 }),
        'granted',
      );
    },
  );

between(
  'the master is killed while locks are held and waited for: nobody else gets one',
  async (t, cluster, pair) => {
    const { kill, start, sleep, connect } = cluster;
    const { ours, theirs } = pair;
    const third = await connect();
    const { file: late } = await third.open(ours.inode, { read: true, write: true }, ME);
    t.is(await tryLock(ours, { ...EXCLUSIVE, end: 99 }), 'granted');
    const waiting = tryLock(theirs, { ...WAIT, end: 99 });
    for (let round = 0; round < 3; round += 1) {
      await sleep(200);
      kill('m');
      const asked = tryLock(late, { ...EXCLUSIVE, end: 99 });
      const free = tryLock(late, { ...EXCLUSIVE, start: 500 });
      await sleep(500);
      await start('m');
      t.is(await asked, 'LOCKED', `round ${round}`);
      t.is(await free, 'granted', `round ${round}`);
    }
    await ours.write(0, [pattern(100, 3)]);
    await ours.unlock(EXCLUSIVE);
    t.is(await waiting, 'granted');
    t.true((await read(theirs, 0, 100)).equals(pattern(100, 3)));
    t.is(await tryLock(late, { ...EXCLUSIVE, end: 99 }), 'LOCKED');
    await late.close();
    await third.close();
  },
);

between(
  'an unlock that finds no master arrives when there is one, before anything else of that owner',
  async (t, cluster, pair) => {
    const { kill, start, sleep, client, envOf } = cluster;
    const { ours, theirs } = pair;
    t.is(await tryLock(ours), 'granted');
    kill('m');
    const deadlineMs = envOf(client).monotonicMs() + 300;
    t.is(await codeFrom(ours.unlock(EXCLUSIVE, { deadlineMs })), 'DEADLINE_EXCEEDED');
    await sleep(1000);
    await start('m');
    t.is(await tryLock(theirs, WAIT), 'granted');
    t.is(await tryLock(ours), 'LOCKED');
  },
);

between(
  'a client that is cut off loses its locks with its session, and its files say so',
  async (t, cluster, pair) => {
    const { network, sleep, client } = cluster;
    const { ours, theirs } = pair;
    const { file: reading } = await client.open(ours.inode, { read: true }, ME);
    const { file: apart } = await client.open(ours.inode, { read: true }, ME);
    t.is(await tryLock(ours, { ...EXCLUSIVE, end: 99 }), 'granted');
    t.is(await tryLock(reading, { ...SHARED, owner: 'b', start: 100, end: 199 }), 'granted');
    network.partition('m', 'c1');
    t.is(await tryLock(theirs, WAIT), 'granted', 'after the time-out, and the fence');
    await theirs.write(0, [pattern(100, 5)]);
    await theirs.flush();
    network.heal('m', 'c1');
    await sleep(20 * SECOND_MS);
    for (const file of [ours, reading]) {
      t.is(await codeFrom(file.read(0, 10)), 'SESSION_EXPIRED');
      t.is(await tryLock(file), 'SESSION_EXPIRED');
      await file.close().catch(() => undefined);
    }
    t.true((await read(apart, 0, 100)).equals(pattern(100, 5)), 'it had nothing locked');
    await apart.close();
    const { file: again } = await client.open(ours.inode, { read: true, write: true }, ME);
    t.is(await tryLock(again), 'LOCKED');
    await theirs.unlock(EXCLUSIVE);
    t.is(await tryLock(again), 'granted');
    await again.close();
  },
);

between(
  'a client that dies: its locks pass on when what it sent cannot arrive any more',
  async (t, cluster, pair) => {
    const { kill, connect, client, sleep } = cluster;
    const { ours } = pair;
    const dying = await connect();
    const { file: writer } = await dying.open(ours.inode, { read: true, write: true }, ME);
    // Over several chunks: each of them is fenced.
    await writer.write(0, [pattern(1_000_000, 1)]);
    await writer.flush();
    const before = (await client.statFile(ours.inode, ME)).extents.map(({ version }) => version);
    t.is(await tryLock(writer), 'granted');
    await writer.write(0, [pattern(1000, 2)]);
    await writer.write(600_000, [pattern(1000, 2)]);
    await sleep(50);
    kill('c3');
    t.is(await tryLock(ours, WAIT), 'granted');
    const after = (await client.statFile(ours.inode, ME)).extents.map(({ version }) => version);
    t.is(after.length, before.length);
    after.forEach((version, index) => {
      t.true(version > (before[index] ?? 0), `chunk ${index}`);
    });
    const seen = await read(ours, 0, 1_000_000);
    await sleep(5000);
    t.true((await read(ours, 0, 1_000_000)).equals(seen), 'nothing came behind the lock');
  },
);

between(
  'a client that died together with the master: nobody locks before its file is fenced',
  async (t, cluster, pair) => {
    const { kill, start, connect, client, simulation } = cluster;
    const { ours } = pair;
    const dying = await connect();
    const { file: writer } = await dying.open(ours.inode, { read: true, write: true }, ME);
    t.is(await tryLock(writer), 'granted');
    await writer.write(0, [pattern(1000, 2)]);
    const before = (await client.statFile(ours.inode, ME)).extents[0]?.version ?? 0;
    kill('c3');
    kill('m');
    await start('m');
    const startMs = simulation.nowMs;
    t.is(await tryLock(ours, WAIT), 'granted');
    t.true(simulation.nowMs - startMs > 10 * SECOND_MS, 'it had its time to tell');
    t.true(((await client.statFile(ours.inode, ME)).extents[0]?.version ?? 0) > before);
  },
);

between('closing unlocks, and what was written is there', async (t, { client }, { ours, theirs, other }) => {
  const { file: reading } = await client.open(ours.inode, { read: true }, ME);
  await ours.write(0, [pattern(100, 9)]);
  t.is(await tryLock(reading, { ...EXCLUSIVE, kind: 'flock' }), 'granted');
  t.is(await tryLock(reading), 'BAD_FILE', 'an exclusive range wants a file that is open for writing');
  const waiting = tryLock(theirs, { ...WAIT, kind: 'flock' });
  await ours.write(100, [pattern(100, 9)]);
  await reading.close();
  t.is(await waiting, 'granted');
  t.true((await read(theirs, 0, 200)).subarray(100).equals(pattern(100, 9)));
  t.is((await other.attributes(inodeId(ours.inode), ME)).length, 1000);
});

between(
  'two that share a whole-file lock and both want it alone take turns, as flock(2) has it',
  async (t, _cluster, pair) => {
    const { ours, theirs } = pair;
    const flock = { kind: 'flock', owner: 'a' } as const;
    for (const file of [ours, theirs]) t.is(await tryLock(file, { ...flock, exclusive: false }), 'granted');
    const both = [ours, theirs].map(async (file) => {
      t.is(await tryLock(file, { ...flock, exclusive: true, wait: true }), 'granted');
      await file.unlock(flock);
    });
    await Promise.all(both);
    t.is(await tryLock(ours, { ...flock, exclusive: false }), 'granted');
    t.is(await tryLock(theirs, { ...flock, exclusive: false }), 'granted');
    t.is(await tryLock(ours, { ...flock, exclusive: true }), 'LOCKED');
    t.is(
      await tryLock(theirs, { ...flock, exclusive: true }),
      'granted',
      'who asked for more in vain gave up what it had',
    );
  },
);

between('a flush and an unlock ask nothing where nothing is written or locked', async (t, cluster, pair) => {
  const { ours, theirs } = pair;
  const range = { kind: 'range', owner: 'a' } as const;
  t.true(ours.isSettled(range));
  t.is(await tryLock(ours, { ...SHARED, start: 5, end: 5 }), 'granted');
  t.false(ours.isSettled(range));
  t.true(ours.isSettled({ ...range, owner: 'b' }));
  t.true(theirs.isSettled(range));
  await ours.unlock(range);
  t.true(ours.isSettled(range));
  cluster.kill('m');
  await ours.flush();
  await ours.unlock(range);
  await cluster.start('m');
  await ours.write(0, [pattern(10)]);
  t.false(ours.isSettled(range));
  await ours.flush();
  t.true(ours.isSettled(range));
});

between('a range that cannot be is refused', async (t, _cluster, { ours }) => {
  t.is(await tryLock(ours, { ...EXCLUSIVE, start: 5, end: 4 }), 'INVALID_ARGUMENT');
  t.is(await tryLock(ours, { ...EXCLUSIVE, start: -1 }), 'INVALID_ARGUMENT');
  t.is(await tryLock(ours, { ...EXCLUSIVE, end: 2 ** 53 }), 'INVALID_ARGUMENT');
  t.is(await ours.conflictingLock(EXCLUSIVE), undefined);
});
