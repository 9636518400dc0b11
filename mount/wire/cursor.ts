import { GfsError } from '../../src/base/errors.ts';

const WORD = 2 ** 32;

/**
 * Reads a request from its beginning to its end, in the kernel's byte order (little endian on all machines we run on). A
 * request that is too short is INVALID_ARGUMENT; never is a byte read that does not belong to it.
 */
export class Cursor {
  readonly #bytes: Buffer;
  #position: number;

  constructor(bytes: Buffer, position = 0) {
    this.#bytes = bytes;
    this.#position = position;
  }

  get left(): number {
    return this.#bytes.length - this.#position;
  }

  skip(count: number): void {
    this.#advance(count);
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.#advance(4));
  }

  /** An id: what does not fit a number we never gave out. */
  id(): number {
    return this.#number('INVALID_ARGUMENT');
  }

  /** An offset or a length in a file: more than 2^53 is more than any file of ours can have. */
  size(): number {
    return this.#number('FILE_TOO_LARGE');
  }

  /** The last byte of a range that may go beyond what any file of ours can have. */
  lastByte(): number {
    const at = this.#advance(8);
    const value = this.#bytes.readUInt32LE(at + 4) * WORD + this.#bytes.readUInt32LE(at);
    return Math.min(value, Number.MAX_SAFE_INTEGER);
  }

  /** Seconds since 1970, which may lie before. */
  seconds(): number {
    const at = this.#advance(8);
    const seconds = this.#bytes.readInt32LE(at + 4) * WORD + this.#bytes.readUInt32LE(at);
    if (!Number.isSafeInteger(seconds)) throw new GfsError('INVALID_ARGUMENT', 'a time out of range');
    return seconds;
  }

  /** A value that means nothing to us and is given back as it came. */
  opaque(): bigint {
    return this.#bytes.readBigUInt64LE(this.#advance(8));
  }

  /** A name that ends with a zero byte, copied: the request's buffer is used again. */
  name(): Buffer {
    const end = this.#bytes.indexOf(0, this.#position);
    if (end < 0) throw new GfsError('INVALID_ARGUMENT', 'a name without an end');
    const name = Buffer.from(this.#bytes.subarray(this.#position, end));
    this.#position = end + 1;
    return name;
  }

  /** The next bytes, as a view of the request. */
  view(length: number): Buffer {
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  #number(code: 'INVALID_ARGUMENT' | 'FILE_TOO_LARGE'): number {
    const at = this.#advance(8);
    const value = this.#bytes.readUInt32LE(at + 4) * WORD + this.#bytes.readUInt32LE(at);
    if (!Number.isSafeInteger(value)) throw new GfsError(code, `${value} is out of range`);
    return value;
  }

  /** Where the next `count` bytes begin; goes past them. */
  #advance(count: number): number {
    const at = this.#position;
    if (at + count > this.#bytes.length) {
      throw new GfsError('INVALID_ARGUMENT', `a request of ${this.#bytes.length} bytes ends too early`);
    }
    this.#position = at + count;
    return at;
  }
}
