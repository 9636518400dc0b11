import test, { type ExecutionContext } from 'ava';
import { LOCK_END } from '../../src/core/lock-ranges.ts';
import type { MasterOptions } from '../../src/master/master-options.ts';
import {
  type HeldLock,
  type Lock,
  LockKind,
  LockType,
  MasterDefinition,
  type SetLockRequest,
} from '../../src/rpc/messages.ts';
import { type Client, codeFrom, eventually, Place, ROOT } from './fixture.ts';

const { methods } = MasterDefinition;

const WHOLE = [0, LOCK_END] as const;

function lockOf(
  owner: string,
  type: 'shared' | 'exclusive' | 'none',
  [start, end]: readonly [number, number],
): Lock {
  const types = {
    shared: LockType.LOCK_TYPE_SHARED,
    exclusive: LockType.LOCK_TYPE_EXCLUSIVE,
    none: LockType.LOCK_TYPE_NONE,
  };
  return { kind: LockKind.LOCK_KIND_RANGE, type: types[type], owner, start, end, pid: 7 };
}

/** One session with a file open, and its lock calls. */
class Locker {
  readonly client: Client;
  inode = 0;
  openId = 0;
  number = 0;
  readonly #unanswered = new Set<number>();

  constructor(client: Client) {
    this.client = client;
  }

  async open(inode: number, write = false): Promise<this> {
    const context = this.client.context();
    const { openId } = await this.client.call(methods.open, { context, inode, read: true, write });
    this.inode = inode;
    this.openId = openId;
    return this;
  }

  request(lock: Lock, more: Partial<SetLockRequest> = {}): Partial<SetLockRequest> {
    this.number += 1;
    const { inode, openId, number } = this;
    const unanswered = [...this.#unanswered];
    return {
      session: this.client.session,
      number,
      unanswered,
      inode,
      openId,
      lock,
      ownerWaits: true,
      ...more,
    };
  }

  /** OK, or why not. */
  async set(lock: Lock, more: Partial<SetLockRequest> = {}): Promise<string> {
    const request = this.request(lock, more);
    const { number } = this;
    this.#unanswered.add(number);
    return await this.send(request).finally(() => this.#unanswered.delete(number));
  }

  send(request: Partial<SetLockRequest>): Promise<string> {
    return codeFrom(this.client.call(methods.setLock, request));
  }

  async cancel(number: number, kept: HeldLock[] = []): Promise<boolean> {
    const answer = await this.client.call(methods.cancelLock, { session: this.client.session, number, kept });
    return answer.lost;
  }

  held(lock: Lock, number: number): HeldLock {
    return { inode: this.inode, openId: this.openId, lock, number };
  }

  /** Tells a master that was started anew; answers which locks are lost. */
  async tell(locks: HeldLock[], write = false): Promise<number[]> {
    const { inode, openId } = this;
    const openFiles = [{ openId, inode, read: true, write, caller: ROOT }];
    const { session } = this.client;
    return (await this.client.call(methods.renewSession, { session, openFiles, complete: true, locks }))
      .lostLocks;
  }
}

/** A master, a file without chunks, and sessions that have it open for reading. */
async function lockers(t: ExecutionContext, count: number, options: Partial<MasterOptions> = {}) {
  const place = new Place(t, options);
  await place.start();
  const maker = await place.client().open();
  const { inode, openId } = await maker.create('f', { reserve: false });
  await maker.close(inode, openId);
  await maker.call(methods.closeSession, { session: maker.session });
  const found: Locker[] = [];
  for (let index = 0; index < count; index += 1) {
    found.push(await new Locker(await place.client().open()).open(inode));
  }
  const [a, b, c] = found;
  if (a === undefined || b === undefined) throw new Error('there are two at least');
  return { place, inode, a, b, c: c ?? b };
}

test('a lock is granted, refused, waited for, and told of', async (t) => {
  const { a, b } = await lockers(t, 2);
  t.is(await a.set(lockOf('x', 'exclusive', [0, 9])), 'OK');
  t.is(await b.set(lockOf('x', 'shared', [5, 5])), 'LOCKED');
  const { session } = b.client;
  const asked = { session, inode: b.inode, openId: b.openId, lock: lockOf('x', 'shared', [0, 5]) };
  const { conflict } = await b.client.call(methods.getLock, asked);
  t.like(conflict, { type: LockType.LOCK_TYPE_EXCLUSIVE, start: 0, end: 9, pid: 7 });
  const waiting = b.set(lockOf('x', 'shared', [5, 5]), { wait: true });
  t.is(await a.set(lockOf('x', 'none', [5, 9])), 'OK');
  t.is(await waiting, 'OK');
  t.is(await a.set(lockOf('x', 'exclusive', WHOLE)), 'LOCKED');
});

test('circles are refused, the locks of a closed file and of a session that ended are free', async (t) => {
  const { a, b, c } = await lockers(t, 3);
  t.is(await a.set(lockOf('x', 'exclusive', [0, 0])), 'OK');
  t.is(await b.set(lockOf('x', 'exclusive', [1, 1])), 'OK');
  const waiting = a.set(lockOf('x', 'exclusive', [1, 1]), { wait: true });
  const behind = c.set(lockOf('x', 'exclusive', [0, 0]), { wait: true });
  await eventually(
    t,
    'the wait has begun',
    async () => (await b.set(lockOf('x', 'exclusive', [0, 0]), { wait: true })) === 'DEADLOCK',
  );
  await b.client.close(b.inode, b.openId);
  t.is(await waiting, 'OK');
  await a.client.call(methods.closeSession, { session: a.client.session });
  t.is(await behind, 'OK');
});

test("a call that is sent again is the same call; one that comes late is nobody's", async (t) => {
  const { a, b } = await lockers(t, 2);
  const lock = a.request(lockOf('x', 'exclusive', WHOLE));
  const unlock = a.request(lockOf('x', 'none', WHOLE));
  t.is(await a.send(lock), 'OK');
  t.is(await a.send(lock), 'OK', 'sent again');
  t.is(await a.send({ ...unlock, unanswered: [lock.number ?? 0] }), 'OK');
  t.is(await a.send(lock), 'OK', 'it was carried out, and is not carried out again');
  t.is(await b.set(lockOf('x', 'exclusive', WHOLE)), 'OK');
  t.is(await b.set(lockOf('x', 'none', WHOLE)), 'OK');
  t.is(await a.set(lockOf('x', 'shared', WHOLE)), 'OK', 'all before it are over');
  t.is(await a.send(unlock), 'CANCELLED');
  t.is(await a.send(lock), 'CANCELLED');
  t.is(await b.set(lockOf('x', 'shared', WHOLE)), 'OK', 'it is shared, as it was asked for last');
});

test('who gives up leaves the queue, or gives back what was granted: what was held before is held again', async (t) => {
  const { a, b } = await lockers(t, 2);
  t.is(await a.set(lockOf('x', 'shared', [0, 9])), 'OK');
  t.is(await b.set(lockOf('x', 'shared', [0, 4])), 'OK');
  const kept = [a.held(lockOf('x', 'shared', [0, 9]), a.number)];
  const waiting = a.set(lockOf('x', 'exclusive', [0, 9]), { wait: true });
  await eventually(
    t,
    'the wait has begun',
    async () => (await b.set(lockOf('x', 'exclusive', [0, 4]), { wait: true })) === 'DEADLOCK',
  );
  t.false(await a.cancel(a.number, kept));
  t.is(await waiting, 'CANCELLED');
  const granted = a.request(lockOf('x', 'exclusive', [5, 9]), { wait: true });
  t.is(await a.send(granted), 'OK');
  t.is(await b.set(lockOf('x', 'shared', [5, 5])), 'LOCKED');
  t.false(await a.cancel(granted.number ?? 0, kept));
  t.is(await b.set(lockOf('x', 'shared', [5, 5])), 'OK');
  t.is(await b.set(lockOf('x', 'exclusive', [5, 5])), 'LOCKED', 'a has its shared lock again');
  t.is(await a.send(granted), 'CANCELLED', 'sent again, it stays cancelled');
  const unborn = a.request(lockOf('y', 'exclusive', [20, 29]));
  t.false(await a.cancel(unborn.number ?? 0));
  t.is(await a.send(unborn), 'CANCELLED', 'cancelled before it came');
});

test('a connection that breaks leaves the waiter in its place', async (t) => {
  const { place, a, b, c } = await lockers(t, 3);
  t.is(await a.set(lockOf('x', 'exclusive', WHOLE)), 'OK');
  const first = b.request(lockOf('x', 'exclusive', WHOLE), { wait: true });
  const cut = new AbortController();
  const lost = codeFrom(
    b.client.connection.call(
      methods.setLock,
      { ...methods.setLock.requestType.create(), ...first },
      { signal: cut.signal },
    ),
  );
  const second = c.set(lockOf('x', 'exclusive', WHOLE), { wait: true });
  const other = new Locker(await place.client().open());
  await other.open(a.inode);
  t.is(await other.set(lockOf('x', 'shared', WHOLE)), 'LOCKED');
  cut.abort();
  t.is(await lost, 'CANCELLED');
  t.is(await a.set(lockOf('x', 'none', WHOLE)), 'OK');
  t.is(await b.send(first), 'OK', 'it was first');
  t.is(await b.set(lockOf('x', 'none', WHOLE)), 'OK');
  t.is(await second, 'OK');
});

test('a restarted master grants nothing before all have told; what they held is theirs', async (t) => {
  const { place, a, b, c } = await lockers(t, 3);
  t.is(await a.set(lockOf('x', 'exclusive', [0, 9])), 'OK');
  await place.restart();
  t.is(await b.set(lockOf('x', 'exclusive', [0, 9])), 'BAD_FILE', 'it has to tell');
  t.deepEqual(await b.tell([]), []);
  let isDecided = false;
  const asked = b.set(lockOf('x', 'exclusive', [0, 9])).finally(() => {
    isDecided = true;
  });
  const free = b.set(lockOf('x', 'exclusive', [50, 59]));
  t.is(await b.set(lockOf('x', 'none', [50, 59])), 'OK', 'who unlocks need not wait');
  t.deepEqual(await c.tell([]), []);
  t.false(isDecided, 'a did not tell yet');
  t.deepEqual(await a.tell([a.held(lockOf('x', 'exclusive', [0, 9]), 1)]), []);
  t.is(await asked, 'LOCKED');
  t.is(await free, 'OK');
  t.is(await a.set(lockOf('x', 'none', [0, 9])), 'OK');
  t.deepEqual(
    await a.tell([a.held(lockOf('x', 'exclusive', [0, 9]), 1)]),
    [],
    'said again, it says nothing new',
  );
  t.is(await b.set(lockOf('x', 'exclusive', [0, 9])), 'OK');
});

test('a session that does not come back is waited for, and no longer', async (t) => {
  const { place, a, b } = await lockers(t, 2, { sessionTimeoutMs: 500 });
  t.is(await a.set(lockOf('x', 'exclusive', WHOLE)), 'OK');
  await place.restart();
  t.deepEqual(await b.tell([]), []);
  const waiting = b.set(lockOf('x', 'exclusive', WHOLE));
  const alive = setInterval(() => b.client.call(methods.renewSession, { session: b.client.session }), 100);
  t.teardown(() => clearInterval(alive));
  t.is(await waiting, 'OK');
  clearInterval(alive);
});

test('who tells too late learns which locks are lost, each time he tells', async (t) => {
  const { place, a, b } = await lockers(t, 2, { sessionTimeoutMs: 1000 });
  const held = [a.held(lockOf('x', 'exclusive', [0, 9]), 5), a.held(lockOf('x', 'exclusive', [50, 59]), 6)];
  await place.restart();
  const alive = setInterval(() => {
    for (const { client } of [a, b]) client.call(methods.renewSession, { session: client.session });
  }, 100);
  t.teardown(() => clearInterval(alive));
  t.deepEqual(await b.tell([]), []);
  t.is(await b.set(lockOf('y', 'exclusive', [9, 20])), 'OK', 'the time to tell is over');
  const { session } = a.client;
  t.true((await a.client.call(methods.renewSession, { session })).sendOpenFiles, 'it is asked nevertheless');
  t.deepEqual(await a.tell(held), [5]);
  t.deepEqual(await a.tell(held), [5]);
  t.is(await b.set(lockOf('y', 'shared', [50, 50])), 'LOCKED');
  clearInterval(alive);
});

test('what a session was writing stays locked until it is fenced: as long as its servers are away', async (t) => {
  const place = new Place(t, { sessionTimeoutMs: 60_000, serversReturnMs: 100 });
  await place.start();
  const servers = await place.chunkservers(3);
  const writer = new Locker(await place.client().open());
  const { inode, openId, extents } = await writer.client.create('f');
  Object.assign(writer, { inode, openId });
  for (const server of servers) server.holds(extents[0]?.chunk ?? 0, { length: 100 });
  const other = await new Locker(await place.client().open()).open(inode);
  t.is(await writer.set(lockOf('x', 'exclusive', WHOLE)), 'OK');
  for (const server of servers) server.refuses.add('checkVersion');
  await writer.client.call(methods.closeSession, { session: writer.client.session });
  t.is(await other.set(lockOf('x', 'exclusive', WHOLE)), 'LOCKED');
  for (const server of servers) server.refuses.delete('checkVersion');
  await eventually(t, 'the version is raised', () =>
    servers.every((server) => (server.replicas.get(extents[0]?.chunk ?? 0)?.version ?? 0) > 1),
  );
});

test('a session cannot say that it has locked what it has not open', async (t) => {
  const { place, a, b } = await lockers(t, 2);
  await place.restart();
  const lock = lockOf('x', 'exclusive', WHOLE);
  t.deepEqual(
    await a.tell([
      { ...a.held(lock, 5), inode: 1 },
      { ...a.held(lock, 6), openId: 99 },
    ]),
    [5, 6],
  );
  t.deepEqual(await b.tell([]), []);
  t.is(await b.set(lock), 'OK');
});

test('what cannot be meant is refused', async (t) => {
  const { a } = await lockers(t, 2);
  const good = lockOf('x', 'shared', [0, 9]);
  t.is(await a.set({ ...good, start: 10 }), 'INVALID_ARGUMENT');
  t.is(await a.set({ ...good, type: LockType.LOCK_TYPE_UNSPECIFIED }), 'INVALID_ARGUMENT');
  t.is(await a.set({ ...good, kind: LockKind.LOCK_KIND_UNSPECIFIED }), 'INVALID_ARGUMENT');
  t.is(await a.set({ ...good, owner: 'x'.repeat(65) }), 'INVALID_ARGUMENT');
  t.is(await a.set(good, { number: 0 }), 'INVALID_ARGUMENT');
  t.is(await a.set(good, { openId: 999 }), 'BAD_FILE');
  t.is(await a.set(good, { inode: 1 }), 'BAD_FILE');
  t.is(await a.set(good, { session: 999 }), 'NO_SUCH_SESSION');
});
