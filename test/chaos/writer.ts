// A program on a mount: appends numbered lines to a log that others append to too and to one of its own, overwrites and
// syncs records of a file, and makes whole files. Notes in a manifest outside of the mount what it was told, in the order of
// the telling:
//   append N          write(2) returned for line N of this writer in the log
//   unknown N         it failed: the line may be there, once, or not
//   own N             write(2) returned for line N of the log of its own
//   begin INDEX C     record INDEX is about to be overwritten with counter C
//   record INDEX C    fsync(2) returned for it
//   making INDEX C    file INDEX is about to be replaced by the Cth
//   file INDEX C      fsync(2) and close(2) returned for it
//   problem TEXT      a promise was broken
// When the mount dies it waits until there is one again. Usage: writer DIRECTORY OTHER MANIFEST NAME, where OTHER is the same
// directory on the other mount.
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FILE_COUNT, fileOf, lineOf, RECORD_BYTES, RECORD_COUNT, recordOf } from './lines.ts';

/** The mount waits for the cluster by itself; this is for when there is no mount. */
const RETRY_MS = 200;
const OWN_EVERY = 4;
const OVERWRITE_EVERY = 8;
const FILE_EVERY = 64;

class ChaosWriter {
  readonly #directory: string;
  readonly #other: string;
  readonly #manifest: string;
  readonly #name: string;
  #number = 0;
  #ownNumber = 0;
  #ownBytes = 0;
  #recordCounter = 0;
  #fileCounter = 0;

  constructor(directory: string, other: string, manifest: string, name: string) {
    this.#directory = directory;
    this.#other = other;
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
    const open: number[] = [];
    const opened = (path: string, flags: string) => {
      const file = openSync(path, flags);
      open.push(file);
      return file;
    };
    try {
      const log = opened(join(this.#directory, 'log'), 'a');
      const own = opened(this.#ownPath(this.#directory), 'a');
      const records = opened(this.#recordsPath(), 'r+');
      for (;;) {
        this.#append(log);
        if (this.#number % OWN_EVERY === 0) this.#appendToOwn(own);
        if (this.#number % OVERWRITE_EVERY === 0) this.#overwrite(records);
        if (this.#number % FILE_EVERY === 0) this.#makeFile();
        await sleep(0);
      }
    } finally {
      for (const file of open) closeSync(file);
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

  /** Nobody else writes there: the other mount has to show at least what was acknowledged. */
  #appendToOwn(own: number): void {
    this.#ownNumber += 1;
    const line = lineOf(this.#name, this.#ownNumber);
    writeSync(own, line);
    this.#ownBytes += line.length;
    this.#note(`own ${this.#ownNumber}`);
    const seen = sizeOf(this.#ownPath(this.#other));
    if (seen === undefined || seen >= this.#ownBytes) return;
    this.#note(`problem stat showed ${seen} bytes when ${this.#ownBytes} were acknowledged`);
  }

  #overwrite(records: number): void {
    this.#recordCounter += 1;
    const counter = this.#recordCounter;
    const index = (counter * 97) % RECORD_COUNT;
    this.#note(`begin ${index} ${counter}`);
    writeSync(records, recordOf(this.#name, index, counter), 0, RECORD_BYTES, index * RECORD_BYTES);
    fsyncSync(records);
    this.#note(`record ${index} ${counter}`);
  }

  #makeFile(): void {
    this.#fileCounter += 1;
    const counter = this.#fileCounter;
    const index = counter % FILE_COUNT;
    this.#note(`making ${index} ${counter}`);
    const path = join(this.#directory, `file-${this.#name}-${index}`);
    writeFileSync(path, fileOf(this.#name, counter), { flush: true });
    this.#note(`file ${index} ${counter}`);
  }

  #ownPath(directory: string): string {
    return join(directory, `own-${this.#name}`);
  }

  #recordsPath(): string {
    const path = join(this.#directory, `records-${this.#name}`);
    if (existsSync(path) && readFileSync(path).length === RECORD_COUNT * RECORD_BYTES) return path;
    const fresh = Array.from({ length: RECORD_COUNT }, (_, index) => recordOf(this.#name, index, 0));
    writeFileSync(path, Buffer.concat(fresh), { flush: true });
    return path;
  }

  #note(line: string): void {
    appendFileSync(this.#manifest, `${line}\n`);
  }
}

/** Undefined: the mount cannot say now. */
function sizeOf(path: string): number | undefined {
  try {
    return statSync(path).size;
  } catch {
    return undefined;
  }
}

const [, , directory = '', other = '', manifest = '', name = ''] = process.argv;
await new ChaosWriter(directory, other, manifest, name).run();
