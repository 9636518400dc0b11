// What files may hold that are appended to, and copied as a whole. Each record is filled with its own number.
import { WrongRecord } from './appends-once.ts';

const WORD_BYTES = 4;

interface Record {
  readonly id: number;
  readonly words: number;
  /** False: it may be there, or not, or appear later. */
  isCertain: boolean;
  isSynced: boolean;
}

/** One that is appended to by one writer. */
export class RecordFile {
  readonly name: string;
  #records: Record[] = [];
  #isBrokenOff = false;

  constructor(name: string) {
    this.name = name;
  }

  /** Of this many words, which it is filled with. */
  begin(id: number, words: number): { readonly record: Record; readonly bytes: Buffer } {
    const record: Record = { id, words, isCertain: false, isSynced: false };
    this.#records.push(record);
    return { record, bytes: Buffer.from(new Uint32Array(words).fill(id).buffer) };
  }

  /** A copy of another one has begun: it may end within a record. */
  get isBrokenOff(): boolean {
    return this.#isBrokenOff;
  }

  breakOff(): void {
    this.#isBrokenOff = true;
  }

  /** It is emptied. */
  cut(): void {
    this.#records = [];
    this.#isBrokenOff = false;
  }

  /** All of another one was copied, and synced. */
  copied(from: RecordFile): void {
    this.#records = from.#records.map((record) => ({ ...record, isSynced: true }));
    this.#isBrokenOff = false;
  }

  synced(point: readonly Record[]): void {
    for (const record of point) record.isSynced = true;
  }

  /** All that a sync covers which begins now. */
  syncPoint(): readonly Record[] {
    return this.#records.filter(({ isCertain }) => isCertain);
  }

  /** What was not synced may be gone. */
  powerLost(): void {
    for (const record of this.#records) if (!record.isSynced) record.isCertain = false;
  }

  /** The whole file: each record at most once and whole, all that are certain, in their order. */
  check(bytes: Buffer, mayHaveGaps: boolean): void {
    const byId = new Map(this.#records.map((record) => [record.id, record]));
    const found: Record[] = [];
    for (let at = 0; at + WORD_BYTES <= bytes.length; ) {
      const id = bytes.readUInt32LE(at);
      if (id === 0 && mayHaveGaps) {
        at += WORD_BYTES;
        continue;
      }
      const record = byId.get(id);
      if (record === undefined)
        throw new WrongRecord(`${this.name}: record ${id} at ${at} does not belong there`);
      byId.delete(id);
      const end = at + record.words * WORD_BYTES;
      for (; at < end; at += WORD_BYTES) {
        if (at >= bytes.length || bytes.readUInt32LE(at) !== id)
          throw new WrongRecord(`${this.name}: record ${id} is torn at ${at}`);
      }
      found.push(record);
    }
    const expected = this.#records.filter(({ isCertain }) => isCertain).map(({ id }) => id);
    const certain = found.filter(({ isCertain }) => isCertain).map(({ id }) => id);
    if (certain.join() !== expected.join())
      throw new WrongRecord(`${this.name} has the records ${certain}, and should have ${expected}`);
  }
}
