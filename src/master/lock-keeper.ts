import type { Env, Timer } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import type { ChunkHandle, InodeId, SessionId } from '../base/ids.ts';
import { ok, type Result, refuse, unwrap } from '../base/result.ts';
import type { Lock, LockPlace } from '../core/file-locks.ts';
import { LockCalls } from '../core/lock-calls.ts';
import { LockTable, type Waiter } from '../core/lock-table.ts';
import { NO_RULES, type Rules } from '../core/rules.ts';
import type { SessionTable } from '../core/session-table.ts';
import type { fenceFile } from './file-fence.ts';

/** Files that are known to be fenced since a session went that never told what it held; beyond it they are fenced again. */
const FENCED_COUNT_MAX = 65_536;

/** One SetLock, as it may be sent several times. */
export interface LockCall {
  readonly session: SessionId;
  readonly number: number;
  readonly unanswered: readonly number[];
}

export interface LockKeeperParts {
  readonly env: Env;
  readonly sessions: SessionTable;
  /** Raises the versions of a file's chunks, but for some. */
  readonly fence: (inode: InodeId, known: FenceMemory) => Promise<void>;
  readonly withoutRules?: Rules;
}

type FenceMemory = Parameters<typeof fenceFile>[2];

/**
 * The locks of all sessions, and the calls that wait for some.
 *
 * Locks are volatile: after a restart of the master each session tells what it holds, and until all have, or have ended,
 * none is granted. What a session that ended holds of files that it was writing stays locked until nothing that it sent
 * can arrive any more, and its length is known.
 */
export class LockKeeper {
  readonly #parts: LockKeeperParts;
  readonly #withoutRules: Rules;
  readonly #table = new LockTable();
  /** Sessions whose locks are known here to be all. */
  readonly #told = new Map<SessionId, ToldSession>();
  /** Sessions that ended, by the files that stay locked for them. */
  readonly #ended = new Map<InodeId, Set<SessionId>>();
  /** Since a session went that never told: whatever file may have been locked, and being written. */
  #fencedSince: Set<InodeId> | undefined;
  readonly #waiting = new Set<Decision>();
  #graceOver: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  #graceTimer: Timer | undefined;
  #letPassTimer: Timer | undefined;
  #closed = false;

  constructor(parts: LockKeeperParts) {
    this.#parts = parts;
    this.#withoutRules = parts.withoutRules ?? NO_RULES;
    let resolve: () => void = () => undefined;
    const promise = new Promise<void>((done) => {
      resolve = done;
    });
    this.#graceOver = { promise, resolve };
    this.sessionsChanged();
  }

  sessionBegan(session: SessionId): void {
    this.#told.set(session, { calls: new LockCalls(), lost: [] });
  }

  hasTold(session: SessionId): boolean {
    return this.#told.has(session);
  }

  /**
   * The session says what it holds. Answers the numbers of those that somebody else has by now. What a session says that told
   * before is passed over: of that more is known here.
   */
  tell(
    session: SessionId,
    locks: readonly { readonly number: number; readonly lock: Lock }[],
  ): readonly number[] {
    const told = this.#told.get(session);
    if (told !== undefined) return told.lost;
    const lost = locks.filter(({ lock }) => !this.#table.restore(lock)).map(({ number }) => number);
    this.#told.set(session, { calls: new LockCalls(), lost });
    return lost;
  }

  /** A session told what it has open, or ended, or time has passed: perhaps nobody is waited for any more. */
  sessionsChanged(): void {
    const { env, sessions } = this.#parts;
    if (this.#graceOver === undefined) return;
    this.#graceTimer?.cancel();
    const nowMs = env.monotonicMs();
    if (sessions.isComplete(nowMs) || this.#withoutRules.has('L1')) {
      this.#graceOver.resolve();
      this.#graceOver = undefined;
    } else {
      this.#graceTimer = env.setTimer(sessions.graceEndsMs - nowMs, () => this.sessionsChanged());
    }
  }

  /** Resolves when the lock is granted; for what waits that may be never. */
  async lock(
    call: LockCall,
    lock: Lock,
    wish: { wait: boolean; ownerWaits: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    this.#toldBy(call.session);
    await this.#untilSafe(lock.inode, signal);
    const decision = this.#decisionFor(call, (fresh) => {
      const isOpen = this.#parts.sessions.fileOf(lock.session, lock.openId)?.inode === lock.inode;
      if (!isOpen) return fresh.decide(refuse('BAD_FILE', `inode ${lock.inode} was closed meanwhile`));
      fresh.lock = lock;
      const onDecided = (result: Result<void>) => this.#decide(fresh, result);
      const answer = this.#table.lock(lock, { ...wish, onDecided }, this.#nowMs);
      if (!answer.ok) fresh.decide(answer);
      else if (answer.value === undefined) fresh.decide(ok(undefined));
      else {
        fresh.waiter = answer.value;
        this.#waiting.add(fresh);
      }
      this.#letPassLater();
    });
    unwrap(await within(decision.made, signal));
  }

  unlock(call: LockCall, place: LockPlace): void {
    this.#decisionFor(call, (fresh) => {
      this.#table.unlock(place, this.#nowMs);
      this.#letPassLater();
      fresh.decide(ok(undefined));
    });
  }

  /**
   * Nobody waits for this call any more. If it was granted meanwhile, the owner has again what it had before, which the session
   * knows: `kept`. False: some of that has become somebody else's.
   */
  cancel(session: SessionId, number: number, kept: readonly Lock[]): boolean {
    const { calls } = this.#toldBy(session);
    const decision = calls.get(number);
    const cancelled = new Decision();
    cancelled.decide(CANCELLED);
    calls.add(number, cancelled);
    let isKept = true;
    if (decision?.waiter !== undefined && decision.result === undefined) {
      this.#decide(decision, CANCELLED);
      this.#table.leave(decision.waiter, this.#nowMs);
    } else if (decision?.lock !== undefined && decision.result?.ok) {
      this.#table.unlock(decision.lock, this.#nowMs);
      isKept = kept.map((held) => this.#table.restore(held)).every(Boolean);
    }
    this.#letPassLater();
    return isKept;
  }

  async conflict(lock: Lock, signal: AbortSignal): Promise<Lock | undefined> {
    this.#toldBy(lock.session);
    await this.#untilSafe(lock.inode, signal);
    return this.#table.conflict(lock);
  }

  /** The open file is closed. */
  closed(session: SessionId, inode: InodeId, openId: number): void {
    this.#table.closed(session, inode, openId, this.#nowMs);
    this.#letPassLater();
  }

  /** The session is over, which was writing these files. */
  sessionEnded(session: SessionId, written: ReadonlySet<InodeId>): void {
    if (!this.#told.delete(session)) this.#fencedSince = new Set();
    const staysLocked = (inode: InodeId) => written.has(inode) && !this.#withoutRules.has('L2');
    this.#table.sessionEnded(session, staysLocked, this.#nowMs);
    for (const inode of written) {
      if (!this.#table.holds(session, inode)) continue;
      const sessions = this.#ended.get(inode);
      if (sessions === undefined) this.#ended.set(inode, new Set([session]));
      else sessions.add(session);
    }
    this.#letPassLater();
    this.sessionsChanged();
  }

  /** Sessions that ended and have locked the file: what they were writing is to be fenced. */
  endedHolders(inode: InodeId): readonly SessionId[] {
    return [...(this.#ended.get(inode) ?? [])];
  }

  /** Nothing of these sessions can arrive any more in this file, and it is known how long it is. */
  fenced(inode: InodeId, sessions: readonly SessionId[]): void {
    const ended = this.#ended.get(inode);
    for (const session of sessions) {
      ended?.delete(session);
      this.#table.free(session, inode, this.#nowMs);
    }
    if (ended?.size === 0) this.#ended.delete(inode);
    this.#letPassLater();
  }

  /** Nobody is granted anything any more; whoever waits is told that this master stops. */
  close(): void {
    this.#closed = true;
    this.#graceTimer?.cancel();
    this.#letPassTimer?.cancel();
    for (const decision of [...this.#waiting]) this.#decide(decision, STOPPING);
  }

  get #nowMs(): number {
    return this.#parts.env.monotonicMs();
  }

  #toldBy(session: SessionId): ToldSession {
    const told = this.#told.get(session);
    if (told !== undefined) return told;
    unwrap(this.#parts.sessions.touch(session, this.#nowMs));
    throw new GfsError('BAD_FILE', `session ${session} did not tell yet what it has locked`);
  }

  /** All who may hold a lock have told, and what a session wrote that went without telling cannot arrive any more. */
  async #untilSafe(inode: InodeId, signal: AbortSignal): Promise<void> {
    if (this.#graceOver !== undefined) await within(this.#graceOver.promise, signal);
    const fencedSince = this.#fencedSince;
    if (fencedSince === undefined || fencedSince.has(inode) || this.#withoutRules.has('L2')) return;
    const chunks = new Set<ChunkHandle>();
    const isFenced = (chunk: ChunkHandle) => chunks.has(chunk);
    await this.#parts.fence(inode, { isFenced, onFenced: (chunk) => chunks.add(chunk) });
    if (fencedSince.size >= FENCED_COUNT_MAX) fencedSince.clear();
    fencedSince.add(inode);
  }

  /** What becomes of the call: `begin` sees to that when it comes for the first time. */
  #decisionFor({ session, number, unanswered }: LockCall, begin: (fresh: Decision) => void): Decision {
    if (this.#closed) throw new GfsError('UNAVAILABLE', 'the master is stopping');
    const { calls } = this.#toldBy(session);
    const known = calls.find(number, unanswered);
    if (known === 'late') throw new GfsError('CANCELLED', `lock call ${number} comes late`);
    if (known !== undefined) return known;
    const fresh = new Decision();
    calls.add(number, fresh);
    begin(fresh);
    return fresh;
  }

  #decide(decision: Decision, result: Result<void>): void {
    this.#waiting.delete(decision);
    decision.decide(result);
  }

  #letPassLater(): void {
    this.#letPassTimer?.cancel();
    const { dueMs } = this.#table;
    if (dueMs === undefined || this.#closed) return;
    this.#letPassTimer = this.#parts.env.setTimer(dueMs - this.#nowMs, () => {
      this.#table.letPass(this.#nowMs);
      this.#letPassLater();
    });
  }
}

interface ToldSession {
  readonly calls: LockCalls<Decision>;
  /** Of what it told, what it could not be left. */
  readonly lost: readonly number[];
}

/** What becomes of a call; made once. */
class Decision {
  readonly made: Promise<Result<void>>;
  result: Result<void> | undefined;
  /** What was to be locked. */
  lock: Lock | undefined;
  waiter: Waiter | undefined;
  #resolve: (result: Result<void>) => void = () => undefined;

  constructor() {
    this.made = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  decide(result: Result<void>): void {
    this.result ??= result;
    this.#resolve(result);
  }
}

const CANCELLED = refuse('CANCELLED', 'the lock is not wanted any more');
const STOPPING = refuse('UNAVAILABLE', 'the master is stopping');

async function within<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
