// Follows a log on a mount, as `tail -f` does, and writes what it saw to a copy outside of the mount. Never zeros, and whole
// lines only (if `strict`: where nobody appends on the same mount, whose kernel has an idea of its own of where the file ends):
// what is wrong goes to the manifest as "problem TEXT". Usage: reader LOG COPY MANIFEST strict|lenient
import { appendFileSync, closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_EVERY_MS = 50;
const RETRY_MS = 200;
const NEWLINE = 10;

class LogReader {
  readonly #log: string;
  readonly #copy: string;
  readonly #manifest: string;
  readonly #strict: boolean;
  readonly #buffer = Buffer.alloc(256 * 1024);
  #position = 0;
  #lastByte = NEWLINE;

  constructor(log: string, copy: string, manifest: string, strict: boolean) {
    this.#log = log;
    this.#copy = copy;
    this.#manifest = manifest;
    this.#strict = strict;
  }

  async run(): Promise<void> {
    for (;;) {
      try {
        await this.#follow();
      } catch {
        // The mount is gone, or the cluster does not answer: it goes on from where it was.
        await sleep(RETRY_MS);
      }
    }
  }

  async #follow(): Promise<void> {
    const file = openSync(this.#log, 'r');
    try {
      for (;;) {
        const length = readSync(file, this.#buffer, 0, this.#buffer.length, this.#position);
        this.#see(this.#buffer.subarray(0, length));
        if (length > 0) continue;
        await sleep(LOOK_EVERY_MS);
        while (fstatSync(file).size === this.#position) await sleep(LOOK_EVERY_MS);
      }
    } finally {
      closeSync(file);
    }
  }

  #see(bytes: Buffer): void {
    // A read that an error cut short may end anywhere; where it says that the file ends, a line has to end.
    if (this.#strict && bytes.length === 0 && this.#lastByte !== NEWLINE)
      this.#problem('the file ended within a line');
    if (bytes.includes(0)) this.#problem('zeros were read');
    appendFileSync(this.#copy, bytes);
    this.#position += bytes.length;
    this.#lastByte = bytes.at(-1) ?? this.#lastByte;
  }

  #problem(text: string): void {
    appendFileSync(this.#manifest, `problem byte ${this.#position}: ${text}\n`);
  }
}

const [, , log = '', copy = '', manifest = '', how = ''] = process.argv;
await new LogReader(log, copy, manifest, how === 'strict').run();
