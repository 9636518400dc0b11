import { assert } from '../base/assert.ts';
import { GfsError } from '../base/errors.ts';

/** Writes the fields of a record one after another, into a buffer that grows. Little-endian. */
export class FieldWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(capacity: number) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  /** What was written; skipped bytes are for the caller to fill. */
  bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  skip(count: number): void {
    this.#make(count);
    this.#length += count;
  }

  u8(value: number): void {
    this.#make(1);
    this.#length = this.#buffer.writeUInt8(value, this.#length);
  }

  u32(value: number): void {
    this.#make(4);
    this.#length = this.#buffer.writeUInt32LE(value, this.#length);
  }

  u53(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'a number in a log is a safe integer');
    this.#make(8);
    this.#length = this.#buffer.writeUInt32LE(value >>> 0, this.#length);
    this.#length = this.#buffer.writeUInt32LE(Math.floor(value / 2 ** 32), this.#length);
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.u32(length);
    this.#make(length);
    this.#length += this.#buffer.write(value, this.#length);
  }

  u32List(values: readonly number[]): void {
    this.#make(4 + 4 * values.length);
    this.u32(values.length);
    for (const value of values) this.#length = this.#buffer.writeUInt32LE(value, this.#length);
  }

  list<T>(items: readonly T[], write: (to: FieldWriter, item: T) => void): void {
    this.u32(items.length);
    for (const item of items) write(this, item);
  }

  #make(count: number): void {
    if (this.#length + count <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + count));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** Reads what `FieldWriter` wrote; throws CORRUPT rather than read past the end or take an impossible value. */
export class FieldReader {
  readonly #buffer: Buffer;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get position(): number {
    return this.#position;
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#advance(1));
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.#advance(4));
  }

  u53(): number {
    const at = this.#advance(8);
    const value = this.#buffer.readUInt32LE(at) + this.#buffer.readUInt32LE(at + 4) * 2 ** 32;
    return Number.isSafeInteger(value) ? value : this.fail('a number is too large');
  }

  text(): string {
    const length = this.u32();
    const at = this.#advance(length);
    return this.#buffer.toString('utf8', at, at + length);
  }

  u32List(): number[] {
    return this.#counted(4, () => this.u32());
  }

  list<T>(read: (from: FieldReader) => T): T[] {
    return this.#counted(1, () => read(this));
  }

  fail(why: string): never {
    throw new GfsError('CORRUPT', why);
  }

  #counted<T>(itemBytesMin: number, read: () => T): T[] {
    const count = this.u32();
    if (count * itemBytesMin > this.#buffer.length - this.#position) this.fail('a list is too long');
    const items: T[] = [];
    for (let index = 0; index < count; index += 1) items.push(read());
    return items;
  }

  #advance(count: number): number {
    const at = this.#position;
    if (at + count > this.#buffer.length) this.fail('a record is too short for its fields');
    this.#position = at + count;
    return at;
  }
}
