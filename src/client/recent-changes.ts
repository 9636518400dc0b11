import type { NameKey } from '../base/name-key.ts';

/** An inode, or a name in a directory. */
type Item = number | NameKey;

/** Of each generation. Enough for all that is remembered of the master's answers. */
const ITEM_COUNT_MAX = 65_536;

/**
 * What was changed of late, by way of this client or, as the master tells, by others, and since when. An answer that was
 * asked for before a change and comes after it is old: it must not be believed for longer than it takes to give it on.
 */
export class RecentChanges {
  /**
   * The latest change of each, in two generations: the older one is forgotten as a whole. (An item that is moved to the end of one
   * map at each change, as a directory is that names come to, is found behind all the places that it had: at 65,536 items
   * that took 50 µs.)
   */
  #latest = new Map<Item, number>();
  #older = new Map<Item, number>();
  #moment = 0;
  /** All changes of the older generation were at or before it. */
  #olderUntil = 0;
  /** Changes up to this moment are forgotten: anything may have been among them. */
  #forgottenUntil = 0;
  #blind = true;
  #onNoted: (item: Item | undefined) => void = () => undefined;

  /** Calls it with what is noted; undefined: anything may have changed, or nobody tells any more. */
  onNoted(listener: (item: Item | undefined) => void): void {
    this.#onNoted = listener;
  }

  /** To ask later what changed since. */
  now(): number {
    return this.#moment;
  }

  get isBlind(): boolean {
    return this.#blind;
  }

  note(item: Item): void {
    this.#moment += 1;
    this.#latest.set(item, this.#moment);
    if (this.#latest.size >= ITEM_COUNT_MAX) this.#age();
    this.#onNoted(item);
  }

  /** From now on nobody tells what others change: nothing that is asked may be believed for longer. */
  goBlind(): void {
    this.#blind = true;
    this.#onNoted(undefined);
  }

  /** From now on what others change is told; what they changed before is not known. */
  see(): void {
    this.#blind = false;
    this.noteEverything();
  }

  noteEverything(): void {
    this.#moment += 1;
    this.#forgottenUntil = this.#moment;
    this.#latest.clear();
    this.#older.clear();
    this.#onNoted(undefined);
  }

  changedSince(item: Item, moment: number): boolean {
    if (this.#blind || moment < this.#forgottenUntil) return true;
    return (this.#latest.get(item) ?? this.#older.get(item) ?? 0) > moment;
  }

  #age(): void {
    this.#forgottenUntil = Math.max(this.#forgottenUntil, this.#olderUntil);
    this.#older = this.#latest;
    this.#olderUntil = this.#moment;
    this.#latest = new Map();
  }
}
