import { write, writev } from 'node:fs';
import { addAbortSignal } from 'node:stream';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import type { Bytes } from '../../base/bytes.ts';
import { slice } from '../../base/bytes.ts';
import type { Env } from '../../base/env.ts';
import { errnoNameOf } from './named-error.ts';

const STANDARD_OUTPUT = 1;
/** Text is gathered up to this before it is written to a pipe or a file. */
const GATHERED_LENGTH_MAX = 64 * 1024;
/** Somebody may have set a pipe that we share to give up instead of waiting. */
const FULL_PIPE_DELAY_MS = 5;
/** Linux: UIO_MAXIOV. */
const BUFFER_COUNT_MAX = 1024;

const writeAll = promisify(write);
const writevAll = promisify(writev);

/** Who read what this program prints went away (`gfs ls | head`): a reason to end, and not to complain. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/**
 * Standard output, not by way of `process.stdout`: that writes to pipes and files without letting anything else happen, and a
 * session would be given up while `gfs cat FILE | less` waits for a person.
 */
export class StandardOutput {
  readonly #env: Env;
  /** A person sees each line as it comes. */
  readonly #gatheredLengthMax = isatty(STANDARD_OUTPUT) ? 0 : GATHERED_LENGTH_MAX;
  #gathered = '';

  constructor(env: Env) {
    this.#env = env;
  }

  async line(text: string): Promise<void> {
    await this.text(`${text}\n`);
  }

  /** Is there at the latest when `flush` returns. */
  async text(text: string): Promise<void> {
    this.#gathered += text;
    if (this.#gathered.length >= this.#gatheredLengthMax) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.#gathered;
    this.#gathered = '';
    if (text !== '') await this.bytes([Buffer.from(text)]);
  }

  /** The buffers are lent until it resolves. */
  async bytes(bytes: Bytes): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      const written = await this.#write(rest.slice(0, BUFFER_COUNT_MAX));
      rest = slice(rest, written, Number.POSITIVE_INFINITY);
    }
  }

  async #write(bytes: Bytes): Promise<number> {
    const only = bytes[0];
    try {
      if (bytes.length === 1 && only !== undefined)
        return (await writeAll(STANDARD_OUTPUT, only)).bytesWritten;
      return (await writevAll(STANDARD_OUTPUT, bytes)).bytesWritten;
    } catch (error) {
      const code = errnoNameOf(error);
      if (code === 'EPIPE') throw new OutputClosed('nobody reads what is printed');
      if (code !== 'EAGAIN') throw error;
      await this.#env.sleep(FULL_PIPE_DELAY_MS);
      return 0;
    }
  }
}

/** Standard input, piece by piece; ends with an error when the signal says so. */
export async function* standardInput(signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    for await (const piece of addAbortSignal(signal, process.stdin)) yield piece as Buffer;
  } finally {
    process.stdin.destroy();
  }
}
