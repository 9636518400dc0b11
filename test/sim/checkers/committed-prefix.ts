// Who reads a file that grows sees committed bytes only (P13): whole records, and what was seen once is there for ever.
import { assert } from '../../../src/base/assert.ts';
import { crc32 } from '../../../src/base/crc.ts';
import type { AppendLog } from './appends-once.ts';

/** A reader who reads on from where it ended, and keeps the checksum of all that it saw. */
export class CommittedPrefix {
  readonly #log: AppendLog;
  #length = 0;
  #checksum = 0;
  #recordCount = 0;

  constructor(log: AppendLog) {
    this.#log = log;
  }

  /** Where the next record begins. */
  get length(): number {
    return this.#length;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** What one read of so many bytes brought; a shorter answer ends where the file ends. */
  saw(bytes: Buffer, askedBytes: number): void {
    const records = this.#log.parse(bytes, this.#length, { mayBeCut: bytes.length === askedBytes });
    const last = records.at(-1);
    if (last === undefined) return;
    const seen = bytes.subarray(0, last.offset + last.length - this.#length);
    this.#checksum = crc32(seen, this.#checksum);
    this.#length += seen.length;
    this.#recordCount += records.length;
  }

  checkAgainst(whole: Buffer): void {
    assert(this.#length <= whole.length, `${this.#log.name} is as long as a reader has seen it`);
    const now = crc32(whole.subarray(0, this.#length));
    assert(now === this.#checksum, `${this.#log.name} still holds what a reader has seen`);
  }
}
