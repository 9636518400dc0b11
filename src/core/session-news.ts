import type { InodeId, SessionId } from '../base/ids.ts';
import { type NameKey, nameKey } from '../base/name-key.ts';

/** What a session is told: all of this may be other than it was answered before. */
export interface News {
  /** The first that a session takes has 1, the next one 2. */
  readonly number: number;
  /** More was lost sight of than the rest says: nothing that the session looked up before may be believed. */
  readonly everything: boolean;
  readonly inodes: readonly InodeId[];
  readonly names: readonly ChangedName[];
  /** Of these the time of access changed, and nothing else. */
  readonly accessed: readonly InodeId[];
}

export interface ChangedName {
  readonly parent: InodeId;
  readonly name: Buffer;
  /** What the name meant, when that is gone for good; 0: it means something else now, or what it meant moved. */
  readonly removed: InodeId | 0;
}

/** A session that may believe something old, and the number of the news after which it does not. */
export interface Unheard {
  readonly session: SessionId;
  readonly number: number;
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
  /** Who was told, or is to be, and has not said that it heard. */
  readonly #behind = new Set<Listener>();

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
    this.#behind.delete(listener);
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

  /** Somebody read it. Who knows it goes on knowing it, is told beside other news, and is waited for by nobody. */
  accessTimeChanged(inode: InodeId, by: SessionId | 0): void {
    for (const listener of this.#knowersOf(inode)) {
      if (listener.session === by) continue;
      const hadNews = listener.hasNews;
      listener.accessed.add(inode);
      if (!hadNews) this.#options.onNews(listener.session);
    }
  }

  /** Whether the session was answered about this inode, nobody else has changed it since, and of before it has heard all. */
  knows(session: SessionId, inode: InodeId): boolean {
    const listener = this.#listeners.get(session);
    return listener?.known.has(inode) === true && listener.unheardNumber([inode]) === 0;
  }

  /** Whether anybody may have to hear of a change of these. */
  mayBeBelieved(inode: InodeId, place: Pick<ChangedName, 'parent' | 'name'>): boolean {
    if (this.#behind.size > 0) return true;
    if (this.#knowers.size === 0) return false;
    return this.#knowers.has(inode) || this.#knowers.has(nameKey(place.parent, place.name));
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
    const { everything, inodes, names, accessed, number } = listener;
    listener.number += 1;
    listener.everything = false;
    listener.inodes = [];
    listener.names = [];
    listener.accessed = new Set();
    return { number, everything, inodes, names, accessed: [...accessed] as InodeId[] };
  }

  /** What the session took up to this number has reached all who believed it. */
  heard(session: SessionId, number: number): void {
    const listener = this.#listeners.get(session);
    if (listener === undefined) return;
    for (const [item, last] of listener.unheard) {
      if (last > number) break;
      listener.unheard.delete(item);
    }
    listener.heard = Math.max(listener.heard, number);
    if (!listener.isBehind) this.#behind.delete(listener);
  }

  /**
   * Who else may still believe what these were before they changed; undefined: nobody. Asked when the changes were told,
   * these and any before: a session that was told and is about to hear is not told again.
   */
  unheard(items: ChangedItems, by: SessionId | 0): Unheard[] | undefined {
    if (this.#behind.size === 0) return undefined;
    const keys: Item[] = [...items.inodes, ...items.names.map(({ parent, name }) => nameKey(parent, name))];
    const found: Unheard[] = [];
    for (const listener of this.#behind) {
      const { session } = listener;
      const number = session === by ? 0 : listener.unheardNumber(keys);
      if (number > 0) found.push({ session, number });
    }
    return found.length === 0 ? undefined : found;
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
      listener.everythingNumber = listener.number;
      this.#behind.add(listener);
      if (!hadNews) this.#options.onNews(session as SessionId);
    }
    listener.known.add(item);
    const knowers = this.#knowers.get(item);
    if (knowers === undefined) this.#knowers.set(item, listener);
    else if (knowers instanceof Set) knowers.add(listener);
    else this.#knowers.set(item, new Set([knowers, listener]));
  }

  #changed(item: Item, by: SessionId | 0, tell: (listener: Listener) => void): void {
    for (const listener of this.#knowersOf(item)) {
      if (listener.session === by) continue;
      this.#forget(listener, item);
      const hadNews = listener.hasNews;
      tell(listener);
      listener.unheard.delete(item);
      listener.unheard.set(item, listener.number);
      this.#behind.add(listener);
      if (!hadNews) this.#options.onNews(listener.session);
    }
  }

  #knowersOf(item: Item): readonly Listener[] {
    const knowers = this.#knowers.get(item);
    if (knowers === undefined) return [];
    return knowers instanceof Set ? [...knowers] : [knowers];
  }

  #forget(listener: Listener, item: Item): void {
    listener.known.delete(item);
    listener.accessed.delete(item);
    this.#removeKnower(listener, item);
  }

  #removeKnower(listener: Listener, item: Item): void {
    const knowers = this.#knowers.get(item);
    if (knowers instanceof Set) {
      knowers.delete(listener);
      if (knowers.size === 0) this.#knowers.delete(item);
    } else if (knowers === listener) {
      this.#knowers.delete(item);
    }
  }

  #forgetAll(listener: Listener): void {
    // Nobody else is answered meanwhile: each item costs one search, not two.
    for (const item of listener.known) this.#removeKnower(listener, item);
    listener.known.clear();
    listener.accessed.clear();
    listener.unheard.clear();
    listener.everything = false;
    listener.inodes = [];
    listener.names = [];
  }
}

/** An inode, or a name in a directory. */
type Item = InodeId | NameKey;

/** What a command changed. */
export interface ChangedItems {
  readonly inodes: readonly InodeId[];
  readonly names: readonly Pick<ChangedName, 'parent' | 'name'>[];
}

class Listener {
  readonly session: SessionId;
  readonly known = new Set<Item>();
  /** The number of the news that tell of it, of what was told and not heard; in the order of the numbers. */
  readonly unheard = new Map<Item, number>();
  /** Of the last news that took everything back. */
  everythingNumber = 0;
  /** What the session has heard. */
  heard = 0;
  /** Of the news that are taken next. */
  number = 1;
  everything = false;
  inodes: InodeId[] = [];
  names: ChangedName[] = [];
  /** Among what is known. */
  accessed = new Set<Item>();

  constructor(session: SessionId) {
    this.session = session;
  }

  get hasNews(): boolean {
    return this.everything || this.inodes.length > 0 || this.names.length > 0 || this.accessed.size > 0;
  }

  get isBehind(): boolean {
    return this.unheard.size > 0 || this.everythingNumber > this.heard;
  }

  /** What was told and not heard yet counts, too: a session that does not listen well must not fill the memory. */
  get size(): number {
    return this.known.size + Math.max(this.inodes.length + this.names.length, this.unheard.size);
  }

  /** The last of the news that tell of any of these and were not heard; 0: there are none. */
  unheardNumber(items: readonly Item[]): number {
    let number = this.everythingNumber > this.heard ? this.everythingNumber : 0;
    for (const item of items) number = Math.max(number, this.unheard.get(item) ?? 0);
    return number;
  }
}
