import type { InodeId, SessionId } from '../base/ids.ts';
import { type NameKey, nameKey } from '../base/name-key.ts';

/** What a session is told: all of this may be other than it was answered before. */
export interface News {
  /** More was lost sight of than the rest says: nothing that the session looked up before may be believed. */
  readonly everything: boolean;
  readonly inodes: readonly InodeId[];
  readonly names: readonly ChangedName[];
}

export interface ChangedName {
  readonly parent: InodeId;
  readonly name: Buffer;
  /** What the name meant, when that is gone for good; 0: it means something else now, or what it meant moved. */
  readonly removed: InodeId | 0;
}

export interface SessionNewsOptions {
  /** Of inodes and names together that are remembered for one session, told or not. */
  readonly knownCountMax: number;
  /** Called when a session without news has some: it may `take` them. */
  readonly onNews: (session: SessionId) => void;
}

/**
 * Which session is told of which change (design, section 9). A session that listens is told once of each inode and each
 * name that it looked up and that somebody else changed since; then it does not know it any more, and hears no more of it
 * before it looks again. So what it is told is never more than what it asked, and a change that nobody looked up costs
 * one search in a map.
 *
 * Whoever answers a session first says here what the answer tells, in the same turn in which it is read: a change in between
 * would be nobody's news.
 */
export class SessionNews {
  readonly #options: SessionNewsOptions;
  readonly #listeners = new Map<SessionId, Listener>();
  /** Most of what is known is known to one session: a set only where it is known to several. */
  readonly #knowers = new Map<Item, Listener | Set<Listener>>();

  constructor(options: SessionNewsOptions) {
    this.#options = options;
  }

  /** From now on what the session looks up is remembered; from before, nothing is. */
  listen(session: SessionId): void {
    this.end(session);
    this.#listeners.set(session, new Listener(session));
  }

  /** Nobody listens any more: the session has to take all that it was answered for unknown. */
  end(session: SessionId): void {
    const listener = this.#listeners.get(session);
    if (listener === undefined) return;
    this.#forgetAll(listener);
    this.#listeners.delete(session);
  }

  learntInode(session: SessionId | 0, inode: InodeId): void {
    this.#learnt(session, inode);
  }

  learntName(session: SessionId | 0, parent: InodeId, name: Buffer): void {
    if (this.#listeners.has(session as SessionId)) this.#learnt(session, nameKey(parent, name));
  }

  /** `by`: who changed it, and knows; 0: nobody who could. */
  inodeChanged(inode: InodeId, by: SessionId | 0): void {
    this.#changed(inode, by, (listener) => listener.inodes.push(inode));
  }

  /** Whether the session has not taken yet that this inode may have changed. */
  isUntold(session: SessionId, inode: InodeId): boolean {
    const listener = this.#listeners.get(session);
    return listener !== undefined && (listener.everything || listener.inodes.includes(inode));
  }

  /** Whether the session was answered about this inode, and nobody else has changed it since. */
  knows(session: SessionId, inode: InodeId): boolean {
    return this.#listeners.get(session)?.known.has(inode) === true;
  }

  nameChanged(change: ChangedName, by: SessionId | 0): void {
    if (this.#knowers.size === 0) return;
    const { parent, name } = change;
    this.#changed(nameKey(parent, name), by, (listener) => {
      // A copy: it is a view of a whole request, and waits here until it is taken.
      listener.names.push({ ...change, name: Buffer.from(name) });
    });
  }

  /** What the session has to be told, once; nothing when there is no news or nobody listens. */
  take(session: SessionId): News | undefined {
    const listener = this.#listeners.get(session);
    if (listener === undefined || !listener.hasNews) return undefined;
    const { everything, inodes, names } = listener;
    listener.everything = false;
    listener.inodes = [];
    listener.names = [];
    return { everything, inodes, names };
  }

  /** What is remembered, of all sessions together. */
  get knownCount(): number {
    return this.#knowers.size;
  }

  #learnt(session: SessionId | 0, item: Item): void {
    const listener = this.#listeners.get(session as SessionId);
    if (listener === undefined || listener.known.has(item)) return;
    if (listener.size >= this.#options.knownCountMax) {
      const hadNews = listener.hasNews;
      this.#forgetAll(listener);
      listener.everything = true;
      if (!hadNews) this.#options.onNews(session as SessionId);
    }
    listener.known.add(item);
    const knowers = this.#knowers.get(item);
    if (knowers === undefined) this.#knowers.set(item, listener);
    else if (knowers instanceof Set) knowers.add(listener);
    else this.#knowers.set(item, new Set([knowers, listener]));
  }

  #changed(item: Item, by: SessionId | 0, tell: (listener: Listener) => void): void {
    const knowers = this.#knowers.get(item);
    if (knowers === undefined) return;
    for (const listener of knowers instanceof Set ? [...knowers] : [knowers]) {
      if (listener.session === by) continue;
      this.#forget(listener, item);
      const hadNews = listener.hasNews;
      tell(listener);
      if (!hadNews) this.#options.onNews(listener.session);
    }
  }

  #forget(listener: Listener, item: Item): void {
    listener.known.delete(item);
    const knowers = this.#knowers.get(item);
    if (knowers instanceof Set) {
      knowers.delete(listener);
      if (knowers.size === 0) this.#knowers.delete(item);
    } else if (knowers === listener) {
      this.#knowers.delete(item);
    }
  }

  #forgetAll(listener: Listener): void {
    for (const item of [...listener.known]) this.#forget(listener, item);
    listener.everything = false;
    listener.inodes = [];
    listener.names = [];
  }
}

/** An inode, or a name in a directory. */
type Item = InodeId | NameKey;

class Listener {
  readonly session: SessionId;
  readonly known = new Set<Item>();
  everything = false;
  inodes: InodeId[] = [];
  names: ChangedName[] = [];

  constructor(session: SessionId) {
    this.session = session;
  }

  get hasNews(): boolean {
    return this.everything || this.inodes.length > 0 || this.names.length > 0;
  }

  /** What was told and not taken yet counts, too: a session that does not listen well must not fill the memory. */
  get size(): number {
    return this.known.size + this.inodes.length + this.names.length;
  }
}
