import type { InodeId } from '../base/ids.ts';
import { MasterDefinition } from '../rpc/messages.ts';
import type { Patience } from './patience.ts';
import type { Session } from './session.ts';

const { dealWriters } = MasterDefinition.methods;
/** Ids asked for at a time: most files that are opened for appending then cost no question. */
const RANGE = 64;
/** Writers kept for the next files. */
const FREE_MAX = 256;

/** One that appends: an append of his is known by his id and its number, wherever it is tried and whoever asks (P15). */
export class Writer {
  readonly id: number;
  #number = 0;
  #inode: InodeId | undefined;
  #end = 0;

  constructor(id: number) {
    this.id = id;
  }

  /** Where his latest record in this file ends; 0 if that was in another file. */
  endIn(inode: InodeId): number {
    return this.#inode === inode ? this.#end : 0;
  }

  appendedTo(inode: InodeId, end: number): void {
    this.#inode = inode;
    this.#end = end;
  }

  /** Of another append. They rise for as long as the id is used. */
  nextNumber(): number {
    this.#number += 1;
    return this.#number;
  }
}

/**
 * Where open files get their writers from. One that is given back serves another file later, with higher numbers: a shell
 * that opens a log for each line it appends then takes up one place in the chunk's table, and not ten thousand.
 */
export class Writers {
  readonly #session: Session;
  readonly #free: Writer[] = [];
  #next = 0;
  #end = 0;
  #asking: Promise<void> | undefined;

  constructor(session: Session) {
    this.#session = session;
  }

  async take(patience: Patience): Promise<Writer> {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    while (this.#next === this.#end) {
      this.#asking ??= this.#ask(patience).finally(() => {
        this.#asking = undefined;
      });
      await this.#asking;
    }
    const writer = new Writer(this.#next);
    this.#next += 1;
    return writer;
  }

  /** Nothing of his is under way any more. */
  giveBack(writer: Writer): void {
    if (this.#free.length < FREE_MAX) this.#free.push(writer);
  }

  async #ask(patience: Patience): Promise<void> {
    const { first } = await this.#session.ask(dealWriters, () => ({ count: RANGE }), patience);
    this.#next = first;
    this.#end = first + RANGE;
  }
}
