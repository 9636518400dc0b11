import type { InodeId, SessionId } from '../base/ids.ts';
import { ok, type Result, refuse } from '../base/result.ts';
import { conflicts, FileLocks, Holder, keyOf, type Lock, type LockPlace, ownerKey } from './file-locks.ts';
import type { LockRanges } from './lock-ranges.ts';

export interface LockWish {
  /** Wait in the queue; otherwise what cannot be granted now is refused with LOCKED. */
  readonly wait: boolean;
  /** The owner does nothing else while it waits: a circle of such owners is a deadlock. */
  readonly ownerWaits: boolean;
  /** Called once, later, for what has to wait. */
  readonly onDecided: (decision: Result<void>) => void;
}

/** Somebody in a queue. */
export interface Waiter {
  readonly lock: Lock;
}

const KINDS = ['range', 'flock'] as const;
/** Pieces and waiters of one session, beyond which it is refused more. */
export const LOCKS_PER_SESSION_MAX = 32_768;
/**
 * For so long whoever comes later lets those pass who wait for what it wants. No longer: who is first may wait for
 * somebody who waits for the later one, by ways that nobody sees, and then all of them would wait for ever.
 */
export const LET_PASS_MS = 1000;

/**
 * Who has locked what, and who waits for it. An owner's lock of a range replaces what it had there. A lock that cannot be
 * granted waits in its file's queue; one that would have to wait for owners who wait for it, themselves or through others,
 * is refused. Nothing here is durable.
 */
export class LockTable {
  readonly #files = new Map<string, FileLocks<QueuedLock>>();
  readonly #sessions = new Map<SessionId, SessionLocks>();
  /** By owner: those that count for deadlocks. */
  readonly #waiting = new Map<string, Set<QueuedLock>>();
  /** Kept waiting by others who wait alone. */
  readonly #polite = new Set<QueuedLock>();
  readonly #countMax: number;

  constructor({ countMax = LOCKS_PER_SESSION_MAX }: { countMax?: number } = {}) {
    this.#countMax = countMax;
  }

  /** The queue's place when the lock has to wait; undefined: it is granted. LOCKED, DEADLOCK, TOO_MANY_LOCKS. */
  lock(lock: Lock, wish: LockWish, nowMs: number): Result<Waiter | undefined> {
    const count = this.countOf(lock.session);
    if (count >= this.#countMax)
      return refuse('TOO_MANY_LOCKS', `session ${lock.session} has ${count} locks`);
    const file = this.#fileOf(lock);
    const waiter: QueuedLock = { lock, ...wish, file, sinceMs: nowMs };
    if (!file.isHeldAgainst(lock) && (!wish.wait || !this.#isPolite(waiter, nowMs))) {
      this.#grant(file, lock);
      this.#pump(file, nowMs);
      return ok(undefined);
    }
    if (!wish.wait) {
      this.#tidy(file);
      return refuse('LOCKED', `inode ${lock.inode} is locked by another`);
    }
    if (this.#isDeadlock(waiter)) {
      this.#tidy(file);
      return refuse('DEADLOCK', `inode ${lock.inode}: those who have locked it wait for this owner`);
    }
    this.#enqueue(waiter);
    return ok(waiter);
  }

  /** What the owner has in the range is unlocked. */
  unlock(place: LockPlace, nowMs: number): void {
    const file = this.#files.get(keyOf(place));
    const holder = file?.holders.get(ownerKey(place));
    if (file === undefined || holder === undefined) return;
    this.#change(file, holder, (ranges) => ranges.remove(place));
    this.#pump(file, nowMs);
  }

  /** The waiter leaves the queue; one that was decided on has left it before. */
  leave(waiter: Waiter, nowMs: number): void {
    const queued = waiter as QueuedLock;
    if (!queued.file.queue.includes(queued)) return;
    this.#dequeue(queued);
    this.#pump(queued.file, nowMs);
  }

  /** The open file is closed: what was locked by it is unlocked, and who waits by it is told BAD_FILE. */
  closed(session: SessionId, inode: InodeId, openId: number, nowMs: number): void {
    this.#drop(session, inode, (lock) => lock.openId === openId, nowMs);
  }

  /** The session is over: nobody of it waits any more. What it holds stays locked where that is said, until `free`. */
  sessionEnded(session: SessionId, staysLocked: (inode: InodeId) => boolean, nowMs: number): void {
    for (const file of [...(this.#sessions.get(session)?.files.keys() ?? [])]) {
      for (const waiter of file.queue.filter(({ lock }) => lock.session === session)) {
        this.#refuseWaiter(waiter, 'NO_SUCH_SESSION');
      }
      if (!staysLocked(file.inode)) this.#dropIn(file, session, () => true);
      this.#pump(file, nowMs);
    }
  }

  /** What the session still holds of this file is unlocked. */
  free(session: SessionId, inode: InodeId, nowMs: number): void {
    this.#drop(session, inode, () => true, nowMs);
  }

  /** A lock that conflicts with this one. */
  conflict(lock: Lock): Lock | undefined {
    return this.#files.get(keyOf(lock))?.conflictWith(lock);
  }

  /** A lock that was granted by a master before this one. False: somebody else has it now. */
  restore(lock: Lock): boolean {
    if (this.countOf(lock.session) >= this.#countMax) return false;
    const file = this.#fileOf(lock);
    const isFree = !file.isHeldAgainst(lock);
    if (isFree) this.#grant(file, lock);
    else this.#tidy(file);
    return isFree;
  }

  holds(session: SessionId, inode: InodeId): boolean {
    return KINDS.some((kind) => {
      const holders = this.#files.get(keyOf({ inode, kind }))?.holders.values() ?? [];
      return [...holders].some((holder) => holder.session === session);
    });
  }

  /** When `letPass` has something to do; undefined: not before something else happens. */
  get dueMs(): number | undefined {
    let dueMs: number | undefined;
    for (const { sinceMs } of this.#polite)
      dueMs = Math.min(dueMs ?? sinceMs + LET_PASS_MS, sinceMs + LET_PASS_MS);
    return dueMs;
  }

  /** Who let others pass for long enough gets what is free. */
  letPass(nowMs: number): void {
    for (const file of new Set([...this.#polite].map((waiter) => waiter.file))) this.#pump(file, nowMs);
  }

  /** Pieces and waiters of a session. */
  countOf(session: SessionId): number {
    return this.#sessions.get(session)?.count ?? 0;
  }

  /** All that is held, in no order. */
  *held(): Generator<Lock> {
    for (const { holders } of this.#files.values())
      for (const holder of holders.values()) yield* holder.locks();
  }

  get waiterCount(): number {
    let count = 0;
    for (const { queue } of this.#files.values()) count += queue.length;
    return count;
  }

  #grant(file: FileLocks<QueuedLock>, lock: Lock): void {
    const key = ownerKey(lock);
    let holder = file.holders.get(key);
    if (holder === undefined) {
      holder = new Holder(lock);
      file.holders.set(key, holder);
    }
    this.#change(file, holder, (ranges) => ranges.set(lock, lock));
  }

  #change(file: FileLocks<QueuedLock>, holder: Holder, change: (ranges: LockRanges<Lock>) => void): void {
    const { ranges, session } = holder;
    const before = ranges.pieces.length;
    change(ranges);
    this.#count(session, file, ranges.pieces.length - before);
    if (ranges.pieces.length === 0) file.holders.delete(holder.key);
  }

  /** Grants what can be granted, in the order of the queue. */
  #pump(file: FileLocks<QueuedLock>, nowMs: number): void {
    for (const waiter of [...file.queue]) {
      // A decision on one before may have changed the queue.
      if (!file.queue.includes(waiter)) continue;
      if (file.isHeldAgainst(waiter.lock) || this.#isPolite(waiter, nowMs)) continue;
      this.#dequeue(waiter);
      this.#grant(file, waiter.lock);
      waiter.onDecided(ok(undefined));
      // Other threads of this owner wait elsewhere: whoever waits for what it got now may be in a circle with them.
      if (this.#waiting.has(ownerKey(waiter.lock))) this.#refuseDeadlocks(file);
    }
    for (const waiter of file.queue) {
      if (file.isHeldAgainst(waiter.lock)) this.#polite.delete(waiter);
      else this.#polite.add(waiter);
    }
    this.#tidy(file);
  }

  #refuseDeadlocks(file: FileLocks<QueuedLock>): void {
    for (const waiter of [...file.queue]) {
      if (file.queue.includes(waiter) && this.#isDeadlock(waiter)) this.#refuseWaiter(waiter, 'DEADLOCK');
    }
  }

  /** Somebody before it in the queue wants what it wants. Who holds something of the file lets nobody pass: they may wait for it. */
  #isPolite(waiter: QueuedLock, nowMs: number): boolean {
    const { file, lock, sinceMs } = waiter;
    if (nowMs >= sinceMs + LET_PASS_MS || file.holders.has(ownerKey(lock))) return false;
    for (const other of file.queue) {
      if (other === waiter) return false;
      if (conflicts(other.lock, lock)) return true;
    }
    return false;
  }

  #isDeadlock(waiter: QueuedLock): boolean {
    if (!waiter.ownerWaits) return false;
    const self = ownerKey(waiter.lock);
    const seen = new Set<string>();
    const open = waiter.file.ownersAgainst(waiter.lock);
    for (let owner = open.pop(); owner !== undefined; owner = open.pop()) {
      if (owner === self) return true;
      if (seen.has(owner)) continue;
      seen.add(owner);
      for (const { file, lock } of this.#waiting.get(owner) ?? []) open.push(...file.ownersAgainst(lock));
    }
    return false;
  }

  #enqueue(waiter: QueuedLock): void {
    const { file, lock, ownerWaits } = waiter;
    file.queue.push(waiter);
    this.#count(lock.session, file, 1);
    if (!file.isHeldAgainst(lock)) this.#polite.add(waiter);
    if (!ownerWaits) return;
    const key = ownerKey(lock);
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) this.#waiting.set(key, new Set([waiter]));
    else waiting.add(waiter);
  }

  #dequeue(waiter: QueuedLock): void {
    const { file, lock } = waiter;
    file.queue.splice(file.queue.indexOf(waiter), 1);
    this.#count(lock.session, file, -1);
    this.#polite.delete(waiter);
    const key = ownerKey(lock);
    const waiting = this.#waiting.get(key);
    waiting?.delete(waiter);
    if (waiting?.size === 0) this.#waiting.delete(key);
  }

  #refuseWaiter(waiter: QueuedLock, code: 'DEADLOCK' | 'BAD_FILE' | 'NO_SUCH_SESSION'): void {
    this.#dequeue(waiter);
    waiter.onDecided(refuse(code, `the wait for a lock of inode ${waiter.lock.inode} is over`));
  }

  #drop(session: SessionId, inode: InodeId, isGone: (lock: Lock) => boolean, nowMs: number): void {
    for (const kind of KINDS) {
      const file = this.#files.get(keyOf({ inode, kind }));
      if (file === undefined) continue;
      for (const waiter of file.queue.filter(({ lock }) => lock.session === session && isGone(lock))) {
        this.#refuseWaiter(waiter, 'BAD_FILE');
      }
      this.#dropIn(file, session, isGone);
      this.#pump(file, nowMs);
    }
  }

  #dropIn(file: FileLocks<QueuedLock>, session: SessionId, isGone: (lock: Lock) => boolean): void {
    for (const holder of [...file.holders.values()]) {
      if (holder.session === session) this.#change(file, holder, (ranges) => ranges.removeIf(isGone));
    }
  }

  #fileOf(place: LockPlace): FileLocks<QueuedLock> {
    const key = keyOf(place);
    let file = this.#files.get(key);
    if (file === undefined) {
      file = new FileLocks<QueuedLock>(key, place.inode);
      this.#files.set(key, file);
    }
    return file;
  }

  #tidy(file: FileLocks<QueuedLock>): void {
    if (file.isIdle) this.#files.delete(file.key);
  }

  #count(session: SessionId, file: FileLocks<QueuedLock>, change: number): void {
    if (change === 0) return;
    let locks = this.#sessions.get(session);
    if (locks === undefined) {
      locks = { count: 0, files: new Map() };
      this.#sessions.set(session, locks);
    }
    locks.count += change;
    const inFile = (locks.files.get(file) ?? 0) + change;
    if (inFile === 0) locks.files.delete(file);
    else locks.files.set(file, inFile);
    if (locks.count === 0) this.#sessions.delete(session);
  }
}

interface SessionLocks {
  count: number;
  readonly files: Map<FileLocks<QueuedLock>, number>;
}

interface QueuedLock extends Waiter, LockWish {
  readonly file: FileLocks<QueuedLock>;
  readonly sinceMs: number;
}
