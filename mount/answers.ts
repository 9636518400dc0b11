import type { FuseDevice } from '../native/index.ts';
import { lengthOf } from '../src/base/bytes.ts';
import type { Logger } from '../src/base/log.ts';
import { ENODEV, ENOENT } from './errno.ts';
import type { InFlight, Waiting } from './in-flight.ts';
import { OUT_HEADER_BYTES, writeHeader } from './wire/replies.ts';

interface AnswersParts {
  readonly device: FuseDevice;
  readonly inFlight: InFlight;
  readonly log: Logger;
}

/** Replies to the kernel. What is longer than a header is written to the device's `out` before, behind the room for that. */
export class Answers {
  readonly #device: FuseDevice;
  readonly #inFlight: InFlight;
  readonly #log: Logger;

  constructor({ device, inFlight, log }: AnswersParts) {
    this.#device = device;
    this.#inFlight = inFlight;
    this.#log = log;
  }

  /** Sends what was written up to `end`, and `parts`, unless the request was given up. True when the kernel took it. */
  send(waiting: Waiting, end: number, parts?: readonly Uint8Array[]): boolean {
    return this.#inFlight.end(waiting.unique) && this.write(waiting.unique, waiting.reader, end, parts);
  }

  /** Answers with an error, unless the request was given up. */
  refuse(waiting: Waiting, errno: number): void {
    if (this.#inFlight.end(waiting.unique)) this.answer(waiting.unique, waiting.reader, errno);
  }

  /** An errno, or 0, to a request that is not in flight. */
  answer(unique: bigint, reader: number, errno: number): void {
    writeHeader(this.#device.out, unique, errno, OUT_HEADER_BYTES);
    this.#reply(reader, OUT_HEADER_BYTES);
  }

  /** As `send`, to a request that is not in flight. */
  write(unique: bigint, reader: number, end: number, parts?: readonly Uint8Array[]): boolean {
    const length = parts === undefined ? end : end + lengthOf(parts);
    writeHeader(this.#device.out, unique, 0, length);
    return this.#reply(reader, end, parts);
  }

  #reply(reader: number, end: number, parts?: readonly Uint8Array[]): boolean {
    const errno = this.#device.reply(reader, end, parts);
    if (errno === 0) return true;
    // ENOENT: the kernel gave the request up. ENODEV: it gave us up.
    if (errno !== ENOENT && errno !== ENODEV) this.#log.error({ errno }, 'the kernel refuses a reply');
    return false;
  }
}
