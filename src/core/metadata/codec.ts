import { Buffer } from 'node:buffer';
import { assert } from '../../base/assert.ts';
import { GfsError } from '../../base/errors.ts';
import type { RowBytes } from './store.ts';

/**
 * Packed rows. Numbers are varints (7 bits a byte, low ones first, the top bit says that more follow), below 2^53.
 * One writer is reused for all rows: what `finish` returns is overwritten by the next `begin`.
 */
export class RowWriter {
  #buffer = Buffer.alloc(8192);
  #position = 0;

  begin(): this {
    this.#position = 0;
    return this;
  }

  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#position);
  }

  byte(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#position++] = value;
    return this;
  }

  number(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, `${value} can be packed`);
    this.#reserve(8);
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[this.#position++] = (rest % 128) | 0x80;
      rest = rest > 0x7fffffff ? Math.floor(rest / 128) : rest >>> 7;
    }
    this.#buffer[this.#position++] = rest;
    return this;
  }

  /** Negative ones too, small magnitudes short. */
  signed(value: number): this {
    return value < 0 ? this.byte(1).number(-value) : this.byte(0).number(value);
  }

  fixed32(value: number): this {
    this.#reserve(4);
    this.#position = this.#buffer.writeUInt32LE(value, this.#position);
    return this;
  }

  /** Length and bytes. */
  bytes(value: Uint8Array): this {
    this.number(value.length);
    return this.raw(value);
  }

  /** The bytes alone: for the end of a key. */
  raw(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#position);
    this.#position += value.length;
    return this;
  }

  text(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8'));
  }

  /** A number whose bytes sort as it does: how many bytes follow, then those, highest first. For keys. */
  ordered(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, `${value} can be packed`);
    this.#reserve(8);
    const length = byteLength(value);
    this.#buffer[this.#position++] = length;
    let rest = value;
    for (let index = this.#position + length - 1; index >= this.#position; index -= 1) {
      this.#buffer[index] = rest % 256;
      rest = rest > 0x7fffffff ? Math.floor(rest / 256) : rest >>> 8;
    }
    this.#position += length;
    return this;
  }

  #reserve(more: number): void {
    if (this.#position + more <= this.#buffer.length) return;
    const larger = Buffer.alloc(2 * (this.#position + more));
    larger.set(this.#buffer.subarray(0, this.#position));
    this.#buffer = larger;
  }
}

/** Reads what `RowWriter` wrote. Running past the end is a damaged row, not a bug. */
export class RowReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #length = 0;
  #position = 0;

  begin(row: RowBytes): this {
    this.#bytes = row.bytes;
    this.#length = row.length;
    this.#position = 0;
    return this;
  }

  get atEnd(): boolean {
    return this.#position >= this.#length;
  }

  byte(): number {
    if (this.#position >= this.#length)
      throw new GfsError('CORRUPT', 'a row of the metadata store ends too early');
    return this.#bytes[this.#position++] as number;
  }

  number(): number {
    let byte = this.byte();
    let value = byte & 0x7f;
    let factor = 128;
    while (byte > 0x7f) {
      byte = this.byte();
      value += (byte & 0x7f) * factor;
      factor *= 128;
    }
    if (!Number.isSafeInteger(value))
      throw new GfsError('CORRUPT', 'a number in the metadata store is too large');
    return value;
  }

  signed(): number {
    return this.byte() === 1 ? -this.number() : this.number();
  }

  fixed32(): number {
    return this.byte() + this.byte() * 0x100 + this.byte() * 0x10000 + this.byte() * 0x1000000;
  }

  /** A copy. */
  bytes(): Buffer {
    return this.#copy(this.number());
  }

  /** A copy of all that is left. */
  rest(): Buffer {
    return this.#copy(this.#length - this.#position);
  }

  text(): string {
    return this.bytes().toString('utf8');
  }

  ordered(): number {
    const length = this.byte();
    let value = 0;
    for (let index = 0; index < length; index += 1) value = value * 256 + this.byte();
    return value;
  }

  #copy(length: number): Buffer {
    const end = this.#position + length;
    if (end > this.#length) throw new GfsError('CORRUPT', 'a row of the metadata store ends too early');
    const copy = Buffer.allocUnsafe(length);
    for (let index = 0; index < length; index += 1)
      copy[index] = this.#bytes[this.#position + index] as number;
    this.#position = end;
    return copy;
  }
}

function byteLength(value: number): number {
  let length = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) length += 1;
  return length;
}
