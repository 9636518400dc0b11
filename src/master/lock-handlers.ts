import { GfsError } from '../base/errors.ts';
import { inodeId, type SessionId, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import type { Lock, LockKind } from '../core/file-locks.ts';
import {
  type HeldLock,
  LockKind as KindMessage,
  type Lock as LockMessage,
  LockType,
  type SetLockResponse,
} from '../rpc/messages.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';

type LockMethods = 'setLock' | 'cancelLock' | 'getLock';

/** Longer than any number of ours: an owner is a word of the session, and many are kept. */
const OWNER_LENGTH_MAX = 64;

export function lockHandlers(parts: MasterParts): Pick<MasterHandlers, LockMethods> {
  const { env, metadata, sessions, entries, channels, locks } = parts;

  /** The session lives, and has the file open. */
  const asker = (request: { session: number; inode: number; openId: number }) => {
    const session = sessionId(request.session);
    const inode = inodeId(request.inode);
    unwrap(sessions.touch(session, env.monotonicMs()));
    if (sessions.fileOf(session, request.openId)?.inode !== inode) {
      throw new GfsError('BAD_FILE', `session ${session} has no inode ${inode} open as ${request.openId}`);
    }
    return { session, inode, openId: request.openId };
  };

  /** What the session learns with its lock: since others unlocked, the file may be another. */
  const granted = ({ session, inode }: ReturnType<typeof asker>): SetLockResponse => {
    const changed = !channels.isUpToDate(session, inode);
    const attributes = unwrap(metadata.state.attributes(inode));
    entries.learn(session, inode);
    return { attributes, beingWritten: entries.isBeingWritten(session, attributes), changed };
  };

  return {
    setLock: async ({ message }, { signal }) => {
      const place = asker(message);
      const { number, unanswered, wait, ownerWaits } = message;
      const { type, ...lock } = lockOf(place, message.lock);
      if (number < 1) throw new GfsError('INVALID_ARGUMENT', `${number} is not a number of a lock call`);
      const call = { session: place.session, number, unanswered };
      if (type === LockType.LOCK_TYPE_NONE) {
        locks.unlock(call, lock);
        return { message: UNLOCKED };
      }
      await locks.lock(call, lock, { wait, ownerWaits }, signal);
      return { message: granted(place) };
    },

    cancelLock: async ({ message }) => {
      const session = sessionId(message.session);
      unwrap(sessions.touch(session, env.monotonicMs()));
      const isOpen = ({ openId, inode }: HeldLock) => sessions.fileOf(session, openId)?.inode === inode;
      const kept = message.kept.filter(isOpen).map((held) => heldLockOf(session, held).lock);
      return { message: { lost: !locks.cancel(session, message.number, kept) } };
    },

    getLock: async ({ message }, { signal }) => {
      const { type: _, ...wanted } = lockOf(asker(message), message.lock);
      const lock = await locks.conflict(wanted, signal);
      if (lock === undefined) return { message: { conflict: undefined } };
      const hostOf = (session: SessionId) => sessions.get(session)?.host;
      const isHere = lock.session === wanted.session || hostOf(lock.session) === hostOf(wanted.session);
      return { message: { conflict: lockMessage(lock, isHere ? lock.pid : 0) } };
    },
  };
}

/** A lock as a session says that it holds it. */
export function heldLockOf(session: SessionId, { inode, openId, lock, number }: HeldLock) {
  const { type: _, ...held } = lockOf({ session, inode: inodeId(inode), openId }, lock);
  return { number, lock: held };
}

const TYPES: readonly LockType[] = [
  LockType.LOCK_TYPE_SHARED,
  LockType.LOCK_TYPE_EXCLUSIVE,
  LockType.LOCK_TYPE_NONE,
];
const UNLOCKED: SetLockResponse = { attributes: undefined, beingWritten: false, changed: false };

function lockOf(
  place: Pick<Lock, 'session' | 'inode' | 'openId'>,
  message: LockMessage | undefined,
): Lock & { readonly type: LockType } {
  if (message === undefined) throw new GfsError('INVALID_ARGUMENT', 'no lock is given');
  const { start, end, owner, pid, type } = message;
  if (start > end) throw new GfsError('INVALID_ARGUMENT', `a lock of bytes ${start} to ${end}`);
  if (owner.length > OWNER_LENGTH_MAX) throw new GfsError('INVALID_ARGUMENT', "the owner's name is too long");
  if (!TYPES.includes(type)) {
    throw new GfsError('INVALID_ARGUMENT', 'the type of the lock is not given');
  }
  const exclusive = type === LockType.LOCK_TYPE_EXCLUSIVE;
  return { ...place, kind: kindOf(message.kind), owner, start, end, pid, exclusive, type };
}

function kindOf(kind: KindMessage): LockKind {
  if (kind === KindMessage.LOCK_KIND_RANGE) return 'range';
  if (kind === KindMessage.LOCK_KIND_FLOCK) return 'flock';
  throw new GfsError('INVALID_ARGUMENT', 'the kind of the lock is not given');
}

function lockMessage({ kind, exclusive, owner, start, end }: Lock, pid: number): LockMessage {
  return {
    kind: kind === 'range' ? KindMessage.LOCK_KIND_RANGE : KindMessage.LOCK_KIND_FLOCK,
    type: exclusive ? LockType.LOCK_TYPE_EXCLUSIVE : LockType.LOCK_TYPE_SHARED,
    ...{ owner, start, end, pid },
  };
}
