// A program on a mount: appends numbered lines to a log that others append to too, and overwrites and syncs records of a
// file of its own. Notes in a manifest outside of the mount what it was told, in the order of the telling:
//   append N          write(2) returned for line N of this writer
//   unknown N         it failed: the line may be there, once, or not
//   begin INDEX C     record INDEX is about to be overwritten with counter C
//   record INDEX C    fsync(2) returned for it
// When the mount dies it waits until there is one again. Usage: chaos-writer MOUNT MANIFEST NAME
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const RECORD_BYTES = 1024;
export const RECORD_COUNT = 256;
/** The mount waits for the cluster that long, and tells the truth afterwards. */
const RETRY_MS = 200;
const OVERWRITE_EVERY = 8;

export function recordOf(name: string, index: number, counter: number): Buffer {
  return Buffer.alloc(RECORD_BYTES, `${name} ${index} ${counter};`);
}

export function lineOf(name: string, number: number): string {
  return `${name} ${number} ${'.'.repeat((number * 37) % 200)}|\n`;
}

class ChaosWriter {
  readonly #mount: string;
  readonly #manifest: string;
  readonly #name: string;
  #number = 0;
  #counter = 0;

  constructor(mount: string, manifest: string, name: string) {
    this.#mount = mount;
    this.#manifest = manifest;
    this.#name = name;
  }

  async run(): Promise<void> {
    for (;;) {
      try {
        await this.#work();
      } catch {
        // The mount is gone, or gave up: what was under way is not known.
        await sleep(RETRY_MS);
      }
    }
  }

  async #work(): Promise<void> {
    if (!existsSync(join(this.#mount, 'is-mounted'))) throw new Error('not mounted');
    const log = openSync(join(this.#mount, 'log'), 'a');
    const records = openSync(this.#recordsPath(), 'r+');
    try {
      for (;;) {
        this.#append(log);
        if (this.#number % OVERWRITE_EVERY === 0) this.#overwrite(records);
        await sleep(0);
      }
    } finally {
      closeSync(log);
      closeSync(records);
    }
  }

  #append(log: number): void {
    this.#number += 1;
    try {
      writeSync(log, lineOf(this.#name, this.#number));
    } catch (error) {
      this.#note(`unknown ${this.#number}`);
      throw error;
    }
    this.#note(`append ${this.#number}`);
  }

  #overwrite(records: number): void {
    this.#counter += 1;
    const index = (this.#counter * 97) % RECORD_COUNT;
    this.#note(`begin ${index} ${this.#counter}`);
    writeSync(records, recordOf(this.#name, index, this.#counter), 0, RECORD_BYTES, index * RECORD_BYTES);
    fsyncSync(records);
    this.#note(`record ${index} ${this.#counter}`);
  }

  #recordsPath(): string {
    const path = join(this.#mount, `records-${this.#name}`);
    if (existsSync(path) && readFileSync(path).length === RECORD_COUNT * RECORD_BYTES) return path;
    writeFileSync(
      path,
      Buffer.concat(Array.from({ length: RECORD_COUNT }, (_, n) => recordOf(this.#name, n, 0))),
      { flush: true },
    );
    return path;
  }

  #note(line: string): void {
    appendFileSync(this.#manifest, `${line}\n`);
  }
}

const [, script, mount, manifest, name] = process.argv;
if (script === import.meta.filename && mount !== undefined && manifest !== undefined && name !== undefined) {
  await new ChaosWriter(mount, manifest, name).run();
}
