import type { InodeId, SessionId } from '../base/ids.ts';
import { type ByteRange, LockRanges, overlap } from './lock-ranges.ts';

/** Byte ranges are of fcntl(2), whole files of flock(2): they know nothing of one another. */
export type LockKind = 'range' | 'flock';

export interface LockPlace extends ByteRange {
  readonly inode: InodeId;
  readonly kind: LockKind;
  readonly session: SessionId;
  /** In words of its session. */
  readonly owner: string;
}

/** What is wanted, or held. */
export interface Lock extends LockPlace {
  readonly exclusive: boolean;
  /** By which of the session's open files: closing it unlocks. */
  readonly openId: number;
  readonly pid: number;
}

/** One owner's locks of one file. */
export class Holder {
  readonly key: string;
  readonly session: SessionId;
  readonly ranges = new LockRanges<Lock>(
    (one, other) => one.exclusive === other.exclusive && one.openId === other.openId && one.pid === other.pid,
  );

  constructor(place: LockPlace) {
    this.key = ownerKey(place);
    this.session = place.session;
  }

  *locks(): Generator<Lock> {
    for (const { lock, start, end } of this.ranges.pieces) yield { ...lock, start, end };
  }

  lockAgainst(wanted: Lock): Lock | undefined {
    if (this.key === ownerKey(wanted)) return undefined;
    for (const lock of this.locks()) {
      if (overlap(lock, wanted) && (lock.exclusive || wanted.exclusive)) return lock;
    }
    return undefined;
  }
}

/** The locks of one kind of one file, and who waits for some, in the order of their coming. */
export class FileLocks<W> {
  readonly key: string;
  readonly inode: InodeId;
  readonly holders = new Map<string, Holder>();
  readonly queue: W[] = [];

  constructor(key: string, inode: InodeId) {
    this.key = key;
    this.inode = inode;
  }

  /** A lock that another owner holds and that conflicts. */
  conflictWith(wanted: Lock): Lock | undefined {
    for (const holder of this.holders.values()) {
      const lock = holder.lockAgainst(wanted);
      if (lock !== undefined) return lock;
    }
    return undefined;
  }

  isHeldAgainst(wanted: Lock): boolean {
    return this.conflictWith(wanted) !== undefined;
  }

  /** Who holds locks that conflict. */
  ownersAgainst(wanted: Lock): string[] {
    return [...this.holders.values()]
      .filter((holder) => holder.lockAgainst(wanted) !== undefined)
      .map(({ key }) => key);
  }

  get isIdle(): boolean {
    return this.holders.size === 0 && this.queue.length === 0;
  }
}

/** One owner, in all files. */
export function ownerKey({ session, owner }: Pick<LockPlace, 'session' | 'owner'>): string {
  return `${session}/${owner}`;
}

export function keyOf({ inode, kind }: Pick<LockPlace, 'inode' | 'kind'>): string {
  return `${kind}/${inode}`;
}

/** Not both can be held. */
export function conflicts(one: Lock, other: Lock): boolean {
  return (one.exclusive || other.exclusive) && overlap(one, other) && ownerKey(one) !== ownerKey(other);
}
