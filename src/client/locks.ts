import type { Env } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import type { InodeId, SessionId } from '../base/ids.ts';
import { sharedAbort } from '../base/shared-abort.ts';
import type { TaskGroup } from '../base/task-group.ts';
import { SECOND_MS } from '../base/units.ts';
import { LOCKS_PER_SESSION_MAX } from '../core/lock-table.ts';
import { LockType, MasterDefinition, type SetLockResponse } from '../rpc/messages.ts';
import type { ConflictingLock, LockGrant, Waiting } from './api.ts';
import type { FileState } from './file-state.ts';
import type { FileStates } from './file-states.ts';
import { type LockOptions, type LockPlace, lockMessage } from './held-locks.ts';
import type { Access } from './locations.ts';
import type { MasterLink } from './master-link.ts';
import { isTransient, Patience, within } from './patience.ts';
import type { Session } from './session.ts';

const { setLock, cancelLock, getLock } = MasterDefinition.methods;

/** What is to be told in the background is tried for so long, and then again. */
const TELL_MS_MAX = 10 * SECOND_MS;

export interface LocksParts {
  readonly env: Env;
  readonly link: MasterLink;
  readonly session: Session;
  readonly states: FileStates;
  readonly tasks: TaskGroup;
  readonly patience: (waiting: Waiting | undefined) => Patience;
  /** All that was written here is at the cluster, and the master knows the length. */
  readonly settle: (state: FileState, access: Access, patience: Patience) => Promise<void>;
  /** Others may have changed the file: what is kept of it is old. */
  readonly onChanged: (inode: InodeId) => void;
}

export interface LockWish {
  readonly exclusive: boolean;
  readonly wait: boolean;
  readonly ownerWaits: boolean;
  readonly pid: number;
}

/**
 * Locks of open files, at the master. What an owner asked for is carried out there in that order, whatever answers get lost:
 * nothing more is asked for an owner whose last word may not have arrived, and that is told until it has.
 */
export class Locks {
  readonly #parts: LocksParts;
  /** Numbers of calls that the master may still have to answer. */
  readonly #unanswered = new Set<number>();
  /** Of owners by file: what is told in the background. */
  readonly #telling = new Map<string, Promise<void>>();
  readonly #closing = sharedAbort();

  constructor(parts: LocksParts) {
    this.#parts = parts;
  }

  /** Resolves when the lock is held, and says whether others may have changed the file since this client last knew it. */
  async lock(
    state: FileState,
    access: Access,
    place: LockPlace,
    wish: LockWish,
    waiting: Waiting | undefined,
  ): Promise<LockGrant> {
    const { locks } = this.#parts.session;
    const converts = wish.exclusive && locks.within(place).some(({ lock }) => !lock.exclusive);
    if (place.kind === 'flock' && converts) {
      // As flock(2) does: when others are in the way, the shared lock is given up first, or two would wait for one another.
      try {
        return await this.#lock(state, access, place, { ...wish, wait: false }, waiting);
      } catch (error) {
        if (codeOf(error) !== 'LOCKED') throw error;
        await this.unlock(state, access, place, waiting);
        if (!wish.wait) throw error;
      }
    }
    return await this.#lock(state, access, place, wish, waiting);
  }

  async #lock(
    state: FileState,
    access: Access,
    place: LockPlace,
    { exclusive, wait, ownerWaits, pid }: LockWish,
    waiting: Waiting | undefined,
  ): Promise<LockGrant> {
    const { session, settle } = this.#parts;
    const patience = this.#patience(wait, waiting);
    await this.#told(place, patience);
    await settle(state, access, patience);
    if (session.locks.count >= LOCKS_PER_SESSION_MAX) {
      throw new GfsError('TOO_MANY_LOCKS', `this client has ${session.locks.count} locks`);
    }
    const { openId } = access;
    const askedAt = this.#parts.states.now;
    const call = this.#newCall();
    let id = session.id;
    try {
      const lock = lockMessage(place, { exclusive, pid });
      const request = { ...call, inode: place.inode, openId, lock, wait, ownerWaits };
      const answer = await session.ask(
        setLock,
        (sentIn) => {
          // Of what was open in a session that ended, nothing is locked in the next one.
          session.mustHold(openId);
          id = sentIn;
          return { ...request, session: sentIn };
        },
        patience,
        wait ? Number.POSITIVE_INFINITY : undefined,
      );
      if (id !== session.id)
        throw new GfsError('SESSION_EXPIRED', 'the session ended while its lock was on the way');
      session.locks.add(place, { exclusive, openId, pid } satisfies LockOptions, call.number);
      this.#unanswered.delete(call.number);
      return this.#granted(state, answer, askedAt);
    } catch (error) {
      if (isUnknown(error)) this.#cancelLater(place, id, call.number);
      else this.#unanswered.delete(call.number);
      throw error;
    }
  }

  /** What the owner has in the range is given back, when what was written under it is where others find it. */
  async unlock(
    state: FileState,
    access: Access,
    place: LockPlace,
    waiting: Waiting | undefined,
  ): Promise<void> {
    const { settle } = this.#parts;
    if (!this.isHeld(place)) return;
    const patience = this.#parts.patience(waiting);
    try {
      await settle(state, access, patience);
    } finally {
      // Whatever became of that: who unlocks goes on without the lock.
      await this.#unlock(access, place, patience);
    }
  }

  /** Whether the owner has anything in the range. */
  isHeld(place: LockPlace): boolean {
    return this.#parts.session.locks.within(place).length > 0;
  }

  /** A lock in the way of this one. */
  async conflict(
    access: Access,
    place: LockPlace,
    exclusive: boolean,
    waiting: Waiting | undefined,
  ): Promise<ConflictingLock | undefined> {
    const { session, patience } = this.#parts;
    const lock = lockMessage(place, { exclusive, pid: 0 });
    const request = { inode: place.inode, openId: access.openId, lock };
    const { conflict } = await session.ask(getLock, (id) => ({ ...request, session: id }), patience(waiting));
    if (conflict === undefined) return undefined;
    const { start, end, pid } = conflict;
    return { start, end, pid, exclusive: conflict.type === LockType.LOCK_TYPE_EXCLUSIVE };
  }

  /** Nobody waits for a lock any more. */
  close(): void {
    this.#closing.abort();
  }

  /** Waiting for others has no end of its own. */
  #patience(wait: boolean, waiting: Waiting | undefined): Patience {
    const signals = waiting?.signal === undefined ? [] : [waiting.signal];
    const signal = AbortSignal.any([this.#closing.signal, ...signals]);
    const deadlineMs = waiting?.deadlineMs ?? (wait ? Number.POSITIVE_INFINITY : undefined);
    return this.#parts.patience({ signal, deadlineMs, requestId: waiting?.requestId });
  }

  #newCall(): { number: number; unanswered: number[] } {
    const unanswered = [...this.#unanswered];
    const number = this.#parts.session.nextNumber();
    this.#unanswered.add(number);
    return { number, unanswered };
  }

  #granted(
    state: FileState,
    { attributes, beingWritten, changed }: SetLockResponse,
    askedAt: number,
  ): LockGrant {
    if (changed) this.#parts.onChanged(state.inode);
    if (attributes !== undefined) state.observe(attributes, askedAt);
    // Its length is a lower bound then, and nobody tells when it grows.
    if (beingWritten) state.mayHaveChanged();
    return { changed };
  }

  async #unlock(access: Access, place: LockPlace, patience: Patience): Promise<void> {
    const { session } = this.#parts;
    const { id } = session;
    session.locks.remove(place);
    const request = {
      ...this.#newCall(),
      inode: place.inode,
      openId: access.openId,
      lock: lockMessage(place, { exclusive: undefined, pid: 0 }),
      wait: false,
      ownerWaits: false,
    };
    const tell = async (by: Patience) => {
      await session.ask(
        setLock,
        (sentIn) => {
          if (sentIn !== id) throw new GfsError('SESSION_EXPIRED', 'the lock ended with its session');
          return { ...request, session: sentIn };
        },
        by,
      );
    };
    try {
      await this.#told(place, patience);
      await tell(patience);
      this.#unanswered.delete(request.number);
    } catch (error) {
      if (isUnknown(error)) this.#tellLater(place, id, request.number, tell);
      else this.#unanswered.delete(request.number);
      throw error;
    }
  }

  /** The call's answer is not known, and nobody waits for it: what was granted by it is given back. */
  #cancelLater(place: LockPlace, id: SessionId, number: number): void {
    const { session, link } = this.#parts;
    this.#tellLater(place, id, number, async (patience) => {
      // Nothing else is asked for this owner meanwhile: what it holds here is what it had before.
      const kept = session.locks.messages(place);
      const { lost } = await link.call(cancelLock, { session: id, number, kept }, patience);
      if (lost) session.loseLocks(kept.map((lock) => lock.number));
    });
  }

  /** Until the master has heard it, or the session has ended. */
  #tellLater(
    place: LockPlace,
    id: SessionId,
    number: number,
    tell: (patience: Patience) => Promise<void>,
  ): void {
    const { env, session, tasks } = this.#parts;
    const key = keyOf(place);
    const before = this.#telling.get(key);
    const { signal } = this.#closing;
    const tellOn = async () => {
      await before;
      while (session.id === id && !signal.aborted) {
        try {
          await tell(new Patience(env, { signal }, TELL_MS_MAX));
          return;
        } catch (error) {
          if (isUnknown(error)) continue;
          // (BAD_FILE: another master, which never heard of the call.)
          env.log.of('locks').info({ code: codeOf(error), error: messageOf(error) }, 'a lock went by itself');
          return;
        }
      }
    };
    const telling = tellOn().finally(() => {
      this.#unanswered.delete(number);
      if (this.#telling.get(key) === telling) this.#telling.delete(key);
    });
    this.#telling.set(key, telling);
    tasks.run(() => telling);
  }

  /** Resolves when nothing is being told for this owner. */
  async #told(place: LockPlace, patience: Patience): Promise<void> {
    for (let telling = this.#telling.get(keyOf(place)); telling; telling = this.#telling.get(keyOf(place))) {
      await within(this.#parts.env, telling, patience, 'what was asked before did not reach the master');
    }
  }
}

/** It may have been carried out, or be carried out yet. */
function isUnknown(error: unknown): boolean {
  return isTransient(error) || codeOf(error) === 'CANCELLED';
}

function keyOf({ inode, kind, owner }: LockPlace): string {
  return `${kind}/${inode}/${owner}`;
}
