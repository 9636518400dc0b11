import type { InodeId } from '../base/ids.ts';
import type { LockKind } from '../core/file-locks.ts';
import { type ByteRange, LockRanges, type Piece } from '../core/lock-ranges.ts';
import {
  type HeldLock,
  LockKind as KindMessage,
  type Lock as LockMessage,
  LockType,
} from '../rpc/messages.ts';

/** What may be locked: bytes of a file, for an owner. */
export interface LockPlace extends ByteRange {
  readonly inode: InodeId;
  readonly kind: LockKind;
  readonly owner: string;
}

export interface LockOptions {
  readonly exclusive: boolean;
  readonly openId: number;
  readonly pid: number;
}

interface Held extends LockOptions {
  /** Of the call that took it: no other lock has it. */
  readonly number: number;
}

type Owner = Pick<LockPlace, 'inode' | 'kind' | 'owner'> & { readonly ranges: LockRanges<Held> };

/**
 * The locks that this client holds, as far as anybody here relies on them: one comes in when its grant has arrived, and
 * goes out before it is unlocked at the master. So it is what a master that forgot all locks is to be told.
 */
export class HeldLocks {
  readonly #inodes = new Map<InodeId, Map<string, Owner>>();
  #count = 0;

  /** Pieces. */
  get count(): number {
    return this.#count;
  }

  add(place: LockPlace, options: LockOptions, number: number): void {
    this.#change(place, (ranges) => ranges.set(place, { ...options, number }));
  }

  remove(place: LockPlace): void {
    if (this.#ownerOf(place) !== undefined) this.#change(place, (ranges) => ranges.remove(place));
  }

  /** What the owner holds there. */
  within(place: LockPlace): readonly Piece<Held>[] {
    return this.#ownerOf(place)?.ranges.within(place) ?? [];
  }

  isHeldBy(inode: InodeId, openId: number): boolean {
    for (const { ranges } of this.#inodes.get(inode)?.values() ?? []) {
      if (ranges.pieces.some(({ lock }) => lock.openId === openId)) return true;
    }
    return false;
  }

  /** The open file is closed: what was taken by it is not held any more. */
  closed(inode: InodeId, openId: number): void {
    for (const owner of [...(this.#inodes.get(inode)?.values() ?? [])]) {
      this.#change(owner, (ranges) => ranges.removeIf((lock) => lock.openId === openId));
    }
  }

  /** These are somebody else's now. Returns the open files by which they were taken. */
  lose(isLost: (number: number) => boolean): Set<number> {
    const openIds = new Set<number>();
    for (const owner of [...this.#owners()]) {
      for (const { lock } of owner.ranges.pieces) if (isLost(lock.number)) openIds.add(lock.openId);
      this.#change(owner, (ranges) => ranges.removeIf((lock) => isLost(lock.number)));
    }
    return openIds;
  }

  /** All of them, or those of one place, for the master. */
  messages(place?: LockPlace): HeldLock[] {
    if (place !== undefined) return this.within(place).map((piece) => messageOf(place, piece));
    return [...this.#owners()].flatMap((owner) =>
      owner.ranges.pieces.map((piece) => messageOf(owner, piece)),
    );
  }

  *#owners(): Generator<Owner> {
    for (const owners of this.#inodes.values()) yield* owners.values();
  }

  #ownerOf({ inode, kind, owner }: Pick<LockPlace, 'inode' | 'kind' | 'owner'>): Owner | undefined {
    return this.#inodes.get(inode)?.get(`${kind}/${owner}`);
  }

  #change(
    place: Pick<LockPlace, 'inode' | 'kind' | 'owner'>,
    change: (ranges: LockRanges<Held>) => void,
  ): void {
    const { inode, kind, owner } = place;
    let owners = this.#inodes.get(inode);
    if (owners === undefined) {
      owners = new Map();
      this.#inodes.set(inode, owners);
    }
    const key = `${kind}/${owner}`;
    let entry = owners.get(key);
    if (entry === undefined) {
      entry = {
        inode,
        kind,
        owner,
        ranges: new LockRanges<Held>((one, other) => one.number === other.number),
      };
      owners.set(key, entry);
    }
    const before = entry.ranges.pieces.length;
    change(entry.ranges);
    this.#count += entry.ranges.pieces.length - before;
    if (entry.ranges.pieces.length === 0) owners.delete(key);
    if (owners.size === 0) this.#inodes.delete(inode);
  }
}

/** `exclusive` undefined: no lock. */
export function lockMessage(
  { kind, owner, start, end }: Omit<LockPlace, 'inode'>,
  { exclusive, pid }: { exclusive: boolean | undefined; pid: number },
): LockMessage {
  const none = exclusive === undefined;
  const type = exclusive ? LockType.LOCK_TYPE_EXCLUSIVE : LockType.LOCK_TYPE_SHARED;
  return {
    kind: kind === 'range' ? KindMessage.LOCK_KIND_RANGE : KindMessage.LOCK_KIND_FLOCK,
    type: none ? LockType.LOCK_TYPE_NONE : type,
    ...{ owner, start, end, pid },
  };
}

function messageOf(
  { inode, kind, owner }: Pick<LockPlace, 'inode' | 'kind' | 'owner'>,
  { start, end, lock }: Piece<Held>,
): HeldLock {
  const { openId, number } = lock;
  return { inode, openId, number, lock: lockMessage({ kind, owner, start, end }, lock) };
}
