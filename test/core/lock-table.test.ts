import test from 'ava';
import fc from 'fast-check';
import { inodeId, sessionId } from '../../src/base/ids.ts';
import type { Result } from '../../src/base/result.ts';
import type { Lock, LockKind } from '../../src/core/file-locks.ts';
import { LOCK_END } from '../../src/core/lock-ranges.ts';
import { LET_PASS_MS, LockTable, type Waiter } from '../../src/core/lock-table.ts';

const FILE = inodeId(5);

interface Wanted {
  readonly session?: number;
  readonly inode?: number;
  readonly kind?: LockKind;
  readonly openId?: number;
  readonly ownerWaits?: boolean;
}

/** A table, owners by their letters, and what was decided of those who wait. */
class Bench {
  readonly table: LockTable;
  readonly decided: string[] = [];
  nowMs = 0;

  constructor(countMax?: number) {
    this.table = new LockTable(countMax === undefined ? {} : { countMax });
  }

  lock(
    owner: string,
    type: 'shared' | 'exclusive',
    [start, end]: readonly [number, number],
    more: Wanted = {},
  ): Lock {
    const { session = 1, inode = FILE, kind = 'range', openId = 1 } = more;
    const exclusive = type === 'exclusive';
    const place = { session: sessionId(session), inode: inodeId(inode), kind, owner, start, end };
    return { ...place, exclusive, openId, pid: 7 };
  }

  /** "granted", or why not. */
  try(lock: Lock): string {
    const result = this.table.lock(
      lock,
      { wait: false, ownerWaits: true, onDecided: () => undefined },
      this.nowMs,
    );
    return result.ok ? 'granted' : result.error.code;
  }

  /** "granted", "waits", or why not. What is decided later is noted with the owner's letter. */
  wait(lock: Lock, ownerWaits = true): string {
    return this.waiter(lock, ownerWaits).said;
  }

  waiter(lock: Lock, ownerWaits = true): { said: string; waiter: Waiter | undefined } {
    const onDecided = (decision: Result<void>) => {
      this.decided.push(decision.ok ? lock.owner : `${lock.owner} ${decision.error.code}`);
    };
    const result = this.table.lock(lock, { wait: true, ownerWaits, onDecided }, this.nowMs);
    if (!result.ok) return { said: result.error.code, waiter: undefined };
    return { said: result.value === undefined ? 'granted' : 'waits', waiter: result.value };
  }

  unlock(lock: Lock): void {
    this.table.unlock(lock, this.nowMs);
  }

  held(): string[] {
    return [...this.table.held()]
      .sort((a, b) => a.owner.localeCompare(b.owner) || a.start - b.start)
      .map(({ owner, exclusive, start, end }) => `${owner}${exclusive ? 'X' : 's'}${start}-${end}`);
  }
}

test('ranges split, join, and change their kind', (t) => {
  const bench = new Bench();
  const set = (type: 'shared' | 'exclusive', start: number, end: number) =>
    t.is(bench.try(bench.lock('a', type, [start, end])), 'granted');
  set('exclusive', 0, 99);
  set('shared', 40, 59);
  t.deepEqual(bench.held(), ['aX0-39', 'as40-59', 'aX60-99']);
  set('exclusive', 40, 59);
  t.deepEqual(bench.held(), ['aX0-99']);
  bench.unlock(bench.lock('a', 'shared', [10, 19]));
  t.deepEqual(bench.held(), ['aX0-9', 'aX20-99']);
  set('exclusive', 10, 10);
  set('shared', 50, LOCK_END);
  t.deepEqual(bench.held(), ['aX0-10', 'aX20-49', `as50-${LOCK_END}`]);
  bench.unlock(bench.lock('a', 'shared', [0, LOCK_END]));
  t.deepEqual(bench.held(), []);
  t.is(bench.table.countOf(sessionId(1)), 0);
});

test('what conflicts is refused or waits; who is in the way is told', (t) => {
  const bench = new Bench();
  t.is(bench.try(bench.lock('a', 'shared', [0, 9])), 'granted');
  t.is(bench.try(bench.lock('b', 'shared', [5, 15])), 'granted');
  t.is(bench.try(bench.lock('c', 'exclusive', [9, 9])), 'LOCKED');
  t.is(bench.try(bench.lock('a', 'exclusive', [0, 9])), 'LOCKED', 'b has a part of it');
  t.is(bench.try(bench.lock('a', 'exclusive', [0, 4])), 'granted');
  t.is(
    bench.try(bench.lock('a', 'exclusive', [0, 9], { kind: 'flock' })),
    'granted',
    'they know nothing of ranges',
  );
  t.is(bench.try(bench.lock('c', 'exclusive', [0, 9], { inode: 6 })), 'granted', 'another file');
  t.is(
    bench.try(bench.lock('a', 'shared', [2, 3], { session: 2 })),
    'LOCKED',
    'the same word of another session',
  );
  t.like(bench.table.conflict(bench.lock('c', 'shared', [0, 20])), {
    owner: 'a',
    exclusive: true,
    start: 0,
    end: 4,
  });
  t.like(bench.table.conflict(bench.lock('c', 'exclusive', [14, 20])), {
    owner: 'b',
    exclusive: false,
    start: 5,
    end: 15,
  });
  t.is(bench.table.conflict(bench.lock('c', 'exclusive', [16, 20])), undefined);
});

test('who waits is granted in the order of coming, as soon as nothing is in the way', (t) => {
  const bench = new Bench();
  const all = [0, LOCK_END] as const;
  t.is(bench.try(bench.lock('a', 'exclusive', all)), 'granted');
  t.is(bench.wait(bench.lock('b', 'shared', [0, 9])), 'waits');
  t.is(bench.wait(bench.lock('c', 'exclusive', [20, 29])), 'waits');
  t.is(bench.wait(bench.lock('d', 'shared', [5, 25])), 'waits');
  bench.unlock(bench.lock('a', 'shared', [0, 24]));
  t.deepEqual(bench.decided, ['b'], 'c needs more, and d lets it pass');
  bench.unlock(bench.lock('a', 'shared', all));
  t.deepEqual(bench.decided, ['b', 'c']);
  bench.unlock(bench.lock('c', 'shared', all));
  t.deepEqual(bench.decided, ['b', 'c', 'd']);
  t.deepEqual(bench.held(), ['bs0-9', 'ds5-25']);
  t.is(bench.table.waiterCount, 0);
});

test('readers that come later do not starve a writer that waits, and do not wait for it for ever', (t) => {
  const bench = new Bench();
  const all = [0, 9] as const;
  t.is(bench.try(bench.lock('a', 'shared', all)), 'granted');
  t.is(bench.wait(bench.lock('w', 'exclusive', all)), 'waits');
  t.is(bench.wait(bench.lock('b', 'shared', all)), 'waits');
  t.is(bench.wait(bench.lock('a', 'shared', [0, 20])), 'granted', 'who is waited for goes on');
  t.is(bench.try(bench.lock('c', 'shared', all)), 'granted', 'who does not wait is not made to');
  t.is(bench.table.dueMs, LET_PASS_MS);
  bench.unlock(bench.lock('c', 'shared', all));
  bench.nowMs = LET_PASS_MS - 1;
  bench.table.letPass(bench.nowMs);
  t.deepEqual(bench.decided, []);
  bench.nowMs = LET_PASS_MS;
  bench.table.letPass(bench.nowMs);
  t.deepEqual(bench.decided, ['b'], 'a may wait for b elsewhere');
  t.is(bench.table.dueMs, undefined);
  bench.unlock(bench.lock('a', 'shared', [0, 20]));
  bench.unlock(bench.lock('b', 'shared', all));
  t.deepEqual(bench.decided, ['b', 'w']);
});

test('a circle of owners that wait is refused, over several files, to the one that closes it', (t) => {
  const bench = new Bench();
  const one = [0, 0] as const;
  const [a, b, c] = ['a', 'b', 'c'].map(
    (owner, index) => (inode: number) => bench.lock(owner, 'exclusive', one, { inode, session: index + 1 }),
  );
  if (!a || !b || !c) throw new Error('three owners');
  for (const [lock, inode] of [
    [a, 1],
    [b, 2],
    [c, 3],
  ] as const)
    t.is(bench.try(lock(inode)), 'granted');
  t.is(bench.wait(a(2)), 'waits');
  t.is(bench.wait(b(3)), 'waits');
  t.is(bench.wait(c(1)), 'DEADLOCK');
  t.is(bench.try(c(1)), 'LOCKED');
  bench.unlock(c(3));
  t.deepEqual(bench.decided, ['b']);
  bench.unlock(b(2));
  t.deepEqual(bench.decided, ['b', 'a']);
});

test('two that hold a shared lock and both want it alone: the second is refused', (t) => {
  const bench = new Bench();
  for (const owner of ['a', 'b']) t.is(bench.try(bench.lock(owner, 'shared', [0, 9])), 'granted');
  t.is(bench.wait(bench.lock('a', 'exclusive', [0, 9])), 'waits');
  t.is(bench.wait(bench.lock('b', 'exclusive', [0, 9])), 'DEADLOCK');
  t.deepEqual(bench.held(), ['as0-9', 'bs0-9']);
  bench.unlock(bench.lock('b', 'shared', [0, 9]));
  t.deepEqual(bench.held(), ['aX0-9']);
});

test('owners that do more than wait are no part of a deadlock', (t) => {
  const bench = new Bench();
  const one = [0, 0] as const;
  t.is(bench.try(bench.lock('a', 'exclusive', one, { inode: 1 })), 'granted');
  t.is(bench.try(bench.lock('b', 'exclusive', one, { inode: 2 })), 'granted');
  t.is(bench.wait(bench.lock('a', 'exclusive', one, { inode: 2 }), false), 'waits');
  t.is(bench.wait(bench.lock('b', 'exclusive', one, { inode: 1 })), 'waits');
  t.is(bench.table.waiterCount, 2);
});

test('an owner with two threads gets a lock, and who waits for it is in a circle with the other thread', (t) => {
  const bench = new Bench();
  const one = [0, 0] as const;
  const on = (owner: string, inode: number) => bench.lock(owner, 'exclusive', one, { inode });
  t.is(bench.try(on('x', 1)), 'granted');
  t.is(bench.try(on('z', 2)), 'granted');
  t.is(bench.wait(on('y', 2)), 'waits', 'behind z');
  t.is(bench.wait(on('y', 1)), 'waits', 'another thread, for x');
  t.is(bench.wait(on('x', 2)), 'waits', 'for z, who waits for nobody');
  bench.unlock(on('z', 2));
  t.deepEqual(bench.decided, ['y', 'x DEADLOCK']);
});

test('who leaves the queue lets others go on', (t) => {
  const bench = new Bench();
  t.is(bench.try(bench.lock('a', 'shared', [0, 9])), 'granted');
  const { waiter } = bench.waiter(bench.lock('w', 'exclusive', [0, 9]));
  t.is(bench.wait(bench.lock('b', 'shared', [0, 9])), 'waits');
  if (waiter !== undefined) bench.table.leave(waiter, 0);
  t.deepEqual(bench.decided, ['b']);
  if (waiter !== undefined) bench.table.leave(waiter, 0);
  t.is(bench.table.waiterCount, 0);
});

test("an open file that is closed takes its locks and its waiters along, and nobody else's", (t) => {
  const bench = new Bench();
  t.is(bench.try(bench.lock('a', 'exclusive', [0, 4], { openId: 1 })), 'granted');
  t.is(bench.try(bench.lock('a', 'exclusive', [5, 9], { openId: 2 })), 'granted');
  t.is(bench.try(bench.lock('a', 'exclusive', [0, 9], { openId: 1, kind: 'flock' })), 'granted');
  t.is(bench.try(bench.lock('b', 'exclusive', [0, 9], { openId: 1, session: 2, inode: 6 })), 'granted');
  t.is(bench.wait(bench.lock('c', 'shared', [5, 6], { openId: 1 })), 'waits');
  t.is(bench.wait(bench.lock('d', 'shared', [0, 4], { openId: 3 })), 'waits');
  bench.table.closed(sessionId(1), FILE, 1, 0);
  t.deepEqual(bench.decided, ['c BAD_FILE', 'd']);
  t.deepEqual(bench.held(), ['aX5-9', 'bX0-9', 'ds0-4']);
});

test('a session that ends waits no more, and keeps what has to be fenced first', (t) => {
  const bench = new Bench();
  t.is(bench.try(bench.lock('a', 'exclusive', [0, 9], { inode: 1 })), 'granted');
  t.is(bench.try(bench.lock('a', 'exclusive', [0, 9], { inode: 2 })), 'granted');
  t.is(bench.try(bench.lock('x', 'exclusive', [0, 9], { inode: 3, session: 2 })), 'granted');
  t.is(bench.wait(bench.lock('a', 'exclusive', [0, 9], { inode: 3 })), 'waits');
  t.is(bench.wait(bench.lock('w', 'shared', [0, 9], { inode: 1, session: 2 })), 'waits');
  t.is(bench.wait(bench.lock('y', 'shared', [0, 9], { inode: 2, session: 2 })), 'waits');
  bench.table.sessionEnded(sessionId(1), (inode) => inode === 2, 0);
  t.deepEqual(bench.decided.sort(), ['a NO_SUCH_SESSION', 'w']);
  t.true(bench.table.holds(sessionId(1), inodeId(2)));
  t.false(bench.table.holds(sessionId(1), inodeId(1)));
  bench.table.free(sessionId(1), inodeId(2), 0);
  t.deepEqual(bench.decided.sort(), ['a NO_SUCH_SESSION', 'w', 'y']);
  t.is(bench.table.countOf(sessionId(1)), 0);
});

test('a session has so many locks and waiters at most', (t) => {
  const bench = new Bench(3);
  for (const at of [0, 10, 20]) t.is(bench.try(bench.lock('a', 'shared', [at, at])), 'granted');
  t.is(bench.try(bench.lock('a', 'shared', [30, 30])), 'TOO_MANY_LOCKS');
  t.is(bench.try(bench.lock('b', 'shared', [30, 30], { session: 2 })), 'granted');
  bench.unlock(bench.lock('a', 'shared', [0, 0]));
  t.is(bench.wait(bench.lock('a', 'exclusive', [30, 30])), 'waits');
  t.is(bench.wait(bench.lock('a', 'exclusive', [30, 30])), 'TOO_MANY_LOCKS');
});

test('what a session held under another master is its own again, unless somebody else has it', (t) => {
  const bench = new Bench();
  t.true(bench.table.restore(bench.lock('a', 'exclusive', [0, 9])));
  t.true(bench.table.restore(bench.lock('a', 'exclusive', [0, 9])), 'told twice');
  t.false(bench.table.restore(bench.lock('b', 'shared', [9, 10])));
  t.deepEqual(bench.held(), ['aX0-9']);
});

/** Bytes times owners: 0 none, 1 shared, 2 exclusive. */
const BYTES = 8;
const OWNERS = ['a', 'b', 'c'];

test('as a table of bytes and owners would have it', (t) => {
  const step = fc.record({
    owner: fc.constantFrom(...OWNERS),
    type: fc.constantFrom('shared', 'exclusive', 'none'),
    wait: fc.boolean(),
    range: fc
      .tuple(fc.nat(BYTES - 1), fc.nat(BYTES - 1))
      .map(([x, y]) => [Math.min(x, y), Math.max(x, y)] as const),
    passMs: fc.constantFrom(0, LET_PASS_MS),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const bench = new Bench();
      const model = new Map(OWNERS.map((owner) => [owner, new Array<number>(BYTES).fill(0)]));
      const waiting: Lock[] = [];
      const bytesOf = (owner: string) => model.get(owner) ?? [];
      const isFree = (lock: Lock) =>
        OWNERS.every((owner) =>
          bytesOf(owner).every((level, byte) => {
            if (owner === lock.owner || byte < lock.start || byte > lock.end) return true;
            return lock.exclusive ? level === 0 : level < 2;
          }),
        );
      const set = (lock: Lock, level: number) => bytesOf(lock.owner).fill(level, lock.start, lock.end + 1);
      const onDecided = (lock: Lock) => (decision: Result<void>) => {
        waiting.splice(waiting.indexOf(lock), 1);
        if (!decision.ok) return;
        t.true(isFree(lock), 'nobody has what is granted');
        set(lock, lock.exclusive ? 2 : 1);
      };
      for (const { owner, type, wait, range, passMs } of steps) {
        const lock = bench.lock(owner, type === 'exclusive' ? 'exclusive' : 'shared', range);
        if (type === 'none') {
          // Those who wait are decided on in this call.
          set(lock, 0);
          bench.unlock(lock);
        } else {
          const free = isFree(lock);
          const before = [...bytesOf(owner)];
          // Whoever waits for what it gives up by this is decided on in this call.
          if (free) set(lock, lock.exclusive ? 2 : 1);
          const result = bench.table.lock(
            lock,
            { wait, ownerWaits: true, onDecided: onDecided(lock) },
            bench.nowMs,
          );
          const isGranted = result.ok && result.value === undefined;
          if (!isGranted) model.set(owner, before);
          if (result.ok && result.value !== undefined) waiting.push(lock);
          if (isGranted) t.true(free, 'nobody has what is granted');
          if (!wait || !result.ok) t.is(isGranted, free, 'it is refused only when somebody has it');
        }
        bench.nowMs += passMs;
        bench.table.letPass(bench.nowMs);
        const found = new Map(OWNERS.map((name) => [name, new Array<number>(BYTES).fill(0)]));
        for (const held of bench.table.held())
          found.get(held.owner)?.fill(held.exclusive ? 2 : 1, held.start, held.end + 1);
        t.deepEqual(found, model);
        t.is(bench.table.waiterCount, waiting.length);
        if (passMs > 0) for (const one of waiting) t.false(isFree(one), 'nobody waits for what is free');
      }
      for (let round = 0; round <= steps.length; round += 1) {
        for (const owner of OWNERS) {
          bytesOf(owner).fill(0);
          bench.unlock(bench.lock(owner, 'shared', [0, BYTES]));
        }
        bench.nowMs += LET_PASS_MS;
        bench.table.letPass(bench.nowMs);
      }
      t.is(waiting.length, 0, 'everybody had his turn');
      t.is(bench.table.countOf(sessionId(1)), 0, 'nothing is left over');
    }),
    { numRuns: 300 },
  );
});
