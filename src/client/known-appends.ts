import { APPEND_RECORDS_MAX } from '../core/append-entries.ts';
import type { TableEntry } from '../rpc/messages.ts';

interface KnownRecord {
  readonly fileOffset: number;
  readonly length: number;
  /** Of the extent that it was appended to; undefined: the file was truncated since. */
  extentStart: number | undefined;
}

/** What is known of an appender's records: the number of the latest, and where it and the 63 before it lie, or lay. */
export class KnownAppends {
  readonly #records = new Map<number, KnownRecord>();
  #highest: number | undefined;

  /** Undefined: none is known. */
  get highest(): number | undefined {
    return this.#highest;
  }

  find(sequence: number): { readonly fileOffset: number; readonly length: number } | undefined {
    return this.#records.get(sequence);
  }

  note(sequence: number, extentStart: number, place: { fileOffset: number; length: number }): void {
    this.noteHighest(sequence);
    // The first answer stands.
    if (sequence > this.#floor && !this.#records.has(sequence))
      this.#records.set(sequence, { ...place, extentStart });
  }

  /** As the table of the extent's chunk has it. */
  noteEntry(extentStart: number, { number, records }: TableEntry): void {
    this.noteHighest(number);
    for (const [index, { chunkOffset, length }] of records.entries()) {
      const sequence = number - records.length + 1 + index;
      this.note(sequence, extentStart, { fileOffset: extentStart + chunkOffset, length });
    }
  }

  noteHighest(sequence: number): void {
    if (sequence <= (this.#highest ?? 0)) return;
    this.#highest = sequence;
    for (const known of this.#records.keys()) if (known <= this.#floor) this.#records.delete(known);
  }

  /** Records may be gone; where they were is still told. */
  truncated(): void {
    for (const record of this.#records.values()) record.extentStart = undefined;
  }

  /** Nothing that is kept lies in an extent before this one; undefined: that is not known. */
  firstExtent(): number | undefined {
    let first: number | undefined;
    for (const { extentStart } of this.#records.values()) {
      if (extentStart === undefined) return undefined;
      first = Math.min(first ?? extentStart, extentStart);
    }
    return first;
  }

  /** Of records up to here nothing is kept but that they were. */
  get #floor(): number {
    return (this.#highest ?? 0) - APPEND_RECORDS_MAX;
  }
}
