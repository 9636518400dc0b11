// Appends happen exactly once (design, section 7): each acknowledged record is in the file once, whole, at the offset that was
// answered; one of unknown outcome once or not at all; each writer's in the order of its numbers; and nothing else is there.
import { assert } from '../../../src/base/assert.ts';

const HEAD_BYTES = 16;
const MAGIC = 0x52454331;

/** One open file of one process. */
export interface Writer {
  readonly id: number;
  numberNext: number;
}

interface Sent {
  readonly length: number;
  /** Undefined: it may be there, or not. */
  offset: number | undefined;
  synced: boolean;
}

export interface Found {
  readonly writer: number;
  readonly number: number;
  readonly offset: number;
  readonly length: number;
}

/** A promise was broken. */
export class WrongRecord extends Error {
  override name = 'WrongRecord';
}

/** A file that is only appended to. */
export class AppendLog {
  readonly name: string;
  readonly #sent = new Map<string, Sent>();
  #writerNext = 1;
  #acknowledgedEnd = 0;
  #acknowledgedCount = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** No reader who asks from now on may see a shorter file. */
  get acknowledgedEnd(): number {
    return this.#acknowledgedEnd;
  }

  get acknowledgedCount(): number {
    return this.#acknowledgedCount;
  }

  newWriter(): Writer {
    const id = this.#writerNext;
    this.#writerNext += 1;
    return { id, numberNext: 1 };
  }

  /** The next record of this writer, which sends it now. */
  begin(writer: Writer, length: number): { number: number; bytes: Buffer } {
    const number = writer.numberNext;
    writer.numberNext += 1;
    this.#sent.set(keyOf(writer.id, number), { length, offset: undefined, synced: false });
    return { number, bytes: recordOf(writer.id, number, length) };
  }

  /** A record that was sent before, once more. */
  again(writer: Writer, number: number): Buffer {
    const sent = this.#sent.get(keyOf(writer.id, number));
    assert(sent !== undefined, 'what is sent again was sent');
    return recordOf(writer.id, number, sent.length);
  }

  /** Where it was acknowledged to be. */
  offsetOf(writer: Writer, number: number): number | undefined {
    return this.#sent.get(keyOf(writer.id, number))?.offset;
  }

  acknowledged(writer: Writer, number: number, offset: number): void {
    const sent = this.#sent.get(keyOf(writer.id, number));
    assert(sent !== undefined, 'what is acknowledged was sent');
    sent.offset = offset;
    this.#acknowledgedEnd = Math.max(this.#acknowledgedEnd, offset + sent.length);
    this.#acknowledgedCount += 1;
  }

  /** A sync of this writer's file that began after it was told of these numbers has succeeded. */
  synced(writer: Writer, numbers: readonly number[]): void {
    for (const number of numbers) {
      const sent = this.#sent.get(keyOf(writer.id, number));
      if (sent !== undefined) sent.synced = true;
    }
  }

  /**
   * What a file holds from `start` on, where a record begins. The last may be cut off only if the reader stopped there;
   * there are gaps only where a chunk lost its unsynced end with the power, and the next one was begun before.
   */
  parse(
    bytes: Buffer,
    start: number,
    { mayBeCut = false, mayHaveGaps = false }: { mayBeCut?: boolean; mayHaveGaps?: boolean },
  ): Found[] {
    const records: Found[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (mayHaveGaps && bytes[at] === 0) {
        at += 1;
        continue;
      }
      const length = at + HEAD_BYTES <= bytes.length ? bytes.readUInt32LE(at + 12) : Number.POSITIVE_INFINITY;
      if (at + HEAD_BYTES <= bytes.length && bytes.readUInt32LE(at) !== MAGIC) {
        throw this.#wrong(start + at, 'no record begins there');
      }
      if (at + length > bytes.length) {
        if (!mayBeCut) throw this.#wrong(start + at, 'a record is cut off');
        break;
      }
      const writer = bytes.readUInt32LE(at + 4);
      const number = bytes.readUInt32LE(at + 8);
      if (this.#sent.get(keyOf(writer, number))?.length !== length) {
        throw this.#wrong(start + at, `record ${number} of writer ${writer} was never sent like this`);
      }
      if (!bytes.subarray(at, at + length).equals(recordOf(writer, number, length))) {
        throw this.#wrong(start + at, `record ${number} of writer ${writer} has other bytes`);
      }
      records.push({ writer, number, offset: start + at, length });
      at += length;
    }
    return records;
  }

  /** The whole file, now that all is quiet. `mayLose`: power was lost, only what was synced has to be there. */
  checkWhole(bytes: Buffer, { mayLose }: { mayLose: boolean }): void {
    const numbers = new Map<number, number>();
    const offsets = new Map<string, number>();
    for (const { writer, number, offset } of this.parse(bytes, 0, { mayHaveGaps: mayLose })) {
      const key = keyOf(writer, number);
      if (offsets.has(key)) throw this.#wrong(offset, `record ${number} of writer ${writer} is there twice`);
      offsets.set(key, offset);
      if ((numbers.get(writer) ?? 0) > number) {
        throw this.#wrong(offset, `record ${number} of writer ${writer} comes after a later one`);
      }
      numbers.set(writer, number);
    }
    for (const [key, { offset, synced }] of this.#sent) {
      if (offset === undefined || offsets.get(key) === offset || (mayLose && !synced)) continue;
      throw this.#wrong(offset, `record ${key} was acknowledged there, and is at ${offsets.get(key)}`);
    }
  }

  #wrong(offset: number, what: string): WrongRecord {
    return new WrongRecord(`${this.name}, byte ${offset}: ${what}`);
  }
}

function keyOf(writer: number, number: number): string {
  return `${writer}.${number}`;
}

/** magic, writer, number, length; then words that no other record has. */
function recordOf(writer: number, number: number, length: number): Buffer {
  assert(length >= HEAD_BYTES, 'a record has room for its head');
  const record = Buffer.alloc(length, Buffer.from(`${writer}.${number};`));
  record.writeUInt32LE(MAGIC, 0);
  record.writeUInt32LE(writer, 4);
  record.writeUInt32LE(number, 8);
  record.writeUInt32LE(length, 12);
  return record;
}
