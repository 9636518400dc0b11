import type { InodeId } from '../base/ids.ts';

/** Enough for all that is remembered of the master's answers. */
const ITEM_COUNT_MAX = 65_536;

/**
 * What was changed of late, by way of this client or, as the master tells, by others, and since when. An answer that was
 * asked for before a change and comes after it is old: it must not be believed for longer than it takes to give it on.
 */
export class RecentChanges {
  /** In the order of the changes. */
  readonly #lastChange = new Map<number | string, number>();
  #moment = 0;
  /** Changes up to this moment are forgotten: anything may have been among them. */
  #forgottenUntil = 0;
  #blind = true;

  /** To ask later what changed since. */
  now(): number {
    return this.#moment;
  }

  note(inode: number): void {
    this.#note(inode);
  }

  noteName(parent: number, name: Uint8Array): void {
    this.#note(nameKey(parent, name));
  }

  /** From now on nobody tells what others change: nothing that is asked may be believed for longer. */
  goBlind(): void {
    this.#blind = true;
  }

  /** From now on what others change is told; what they changed before is not known. */
  see(): void {
    this.#blind = false;
    this.noteEverything();
  }

  noteEverything(): void {
    this.#moment += 1;
    this.#forgottenUntil = this.#moment;
    this.#lastChange.clear();
  }

  changedSince(inode: number, moment: number): boolean {
    return this.#changedSince(inode, moment);
  }

  nameChangedSince(parent: InodeId, name: Uint8Array, moment: number): boolean {
    return this.#changedSince(nameKey(parent, name), moment);
  }

  #note(item: number | string): void {
    this.#moment += 1;
    this.#lastChange.delete(item);
    this.#lastChange.set(item, this.#moment);
    if (this.#lastChange.size <= ITEM_COUNT_MAX) return;
    for (const [oldest, moment] of this.#lastChange) {
      this.#lastChange.delete(oldest);
      this.#forgottenUntil = moment;
      break;
    }
  }

  #changedSince(item: number | string, moment: number): boolean {
    if (this.#blind || moment < this.#forgottenUntil) return true;
    return (this.#lastChange.get(item) ?? 0) > moment;
  }
}

/** A name in a directory, as the key of a map. */
export function nameKey(parent: number, name: Uint8Array): string {
  return `${parent}/${Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1')}`;
}
