import type { Bytes } from '../../base/bytes.ts';
import { lengthOf } from '../../base/bytes.ts';
import type { Env } from '../../base/env.ts';
import { GfsError } from '../../base/errors.ts';
import type { FileSizes } from './arithmetic.ts';
import { type Figure, type FigureName, figureOf, SEQUENTIAL_BYTES, SMALL_BYTES } from './figures.ts';
import type { Ground, GroundFile, Maybe } from './ground.ts';

const STAMP_BYTES = 8;
const RANDOM_RANGE = 2 ** 32;
const UNMEASURED_IN_FLIGHT = 16;

/** What is measured. */
export interface Work {
  /** So many operations at most. */
  readonly count: number;
  act(index: number): Maybe<void>;
  /** Belongs to what is measured: written bytes count when they are synced. */
  finish?(): Maybe<void>;
  /** Does not. */
  after?(): Maybe<void>;
}

export interface WorkloadsInit extends FileSizes {
  readonly env: Env;
  readonly ground: Ground;
  /** Which client it is, from 0 on. */
  readonly index: number;
  /** Throws when nobody wants the figures any more. */
  readonly check: () => void;
}

/** What one client does for each figure. It has a directory of its own, and appends to a file of all. */
export class Workloads {
  readonly #init: WorkloadsInit;
  readonly #directory: string;
  readonly #large: Buffer;
  readonly #small: Buffer;
  #hasData = false;
  /** Which small files are there: from, and up to but not including. */
  #filesFrom = 0;
  #filesTo = 0;

  static async start(init: WorkloadsInit): Promise<Workloads> {
    const workloads = new Workloads(init);
    await init.ground.makeDirectory(workloads.#directory);
    return workloads;
  }

  private constructor(init: WorkloadsInit) {
    this.#init = init;
    this.#directory = `client-${init.index}`;
    // No two blocks are the same, and none can be packed.
    this.#large = Buffer.from(
      Uint32Array.from({ length: SEQUENTIAL_BYTES / 4 }, () => init.env.random() * RANDOM_RANGE).buffer,
    );
    this.#small = Buffer.from(this.#large.subarray(0, SMALL_BYTES));
  }

  /** Everything that has to be there before the clock starts. `step`: no other step has this name. */
  async prepare(name: FigureName, step: string): Promise<Work> {
    const figure = figureOf(name);
    if (['read', 'randread', 'randwrite'].includes(name)) await this.#makeData();
    if (['stat', 'open', 'remove'].includes(name)) await this.#makeFiles();
    if (name === 'create') await this.#removeFiles();
    if (figure.cold) await this.#init.ground.forget();
    switch (name) {
      case 'write':
        return await this.#write(step);
      case 'read':
      case 'randread':
        return await this.#read(figure);
      case 'randwrite':
        return await this.#randomWrite();
      case 'append':
        return await this.#append(step);
      case 'create':
        return this.#create();
      case 'stat':
        return this.#stat();
      case 'open':
        return this.#open();
      case 'remove':
        return this.#remove();
    }
  }

  async #write(step: string): Promise<Work> {
    const { ground, sizeBytes } = this.#init;
    const path = `${this.#directory}/${step}`;
    const file = await ground.open(path, 'create');
    return {
      count: sizeBytes / SEQUENTIAL_BYTES,
      act: (index) => file.write(index * SEQUENTIAL_BYTES, this.#block(index * SEQUENTIAL_BYTES)),
      finish: () => synced(file),
      after: () => ground.unlink(path),
    };
  }

  async #read({ name, operationBytes }: Figure): Promise<Work> {
    const file = await this.#init.ground.open(this.#data, 'read');
    const count = this.#init.sizeBytes / operationBytes;
    const order = name === 'randread' ? this.#shuffled(count) : undefined;
    return {
      count,
      act: (index) => {
        const fileOffset = (order?.[index] ?? index) * operationBytes;
        const bytes = file.read(fileOffset, operationBytes);
        if (!(bytes instanceof Promise)) return this.#mustHold(bytes, fileOffset, operationBytes);
        return bytes.then((read) => this.#mustHold(read, fileOffset, operationBytes));
      },
      after: () => file.close(),
    };
  }

  async #randomWrite(): Promise<Work> {
    const file = await this.#init.ground.open(this.#data, 'write');
    const count = this.#init.sizeBytes / SMALL_BYTES;
    const order = this.#shuffled(count);
    return {
      count,
      act: (index) => {
        const fileOffset = (order[index] ?? 0) * SMALL_BYTES;
        return file.write(fileOffset, this.#smallBlock(fileOffset));
      },
      finish: () => synced(file),
    };
  }

  async #append(step: string): Promise<Work> {
    const file = await this.#init.ground.open(step, 'append');
    return {
      count: this.#init.sizeBytes / SMALL_BYTES,
      act: (index) => file.append(this.#smallBlock(index)),
      finish: () => file.close(),
    };
  }

  #create(): Work {
    return {
      count: this.#init.fileCount,
      act: (index) => {
        const made = this.#makeFile(index);
        this.#filesTo = index + 1;
        return made;
      },
    };
  }

  #stat(): Work {
    const { ground, fileCount } = this.#init;
    return {
      count: fileCount,
      act: (index) => {
        const path = this.#file(index);
        const length = ground.stat(path);
        if (!(length instanceof Promise)) return mustBeLong(path, length);
        return length.then((found) => mustBeLong(path, found));
      },
    };
  }

  #open(): Work {
    const { ground, fileCount } = this.#init;
    return {
      count: fileCount,
      act: async (index) => {
        const file = await ground.open(this.#file(index), 'read');
        this.#mustHold(await file.read(0, SMALL_BYTES), 0, SMALL_BYTES);
        await file.close();
      },
    };
  }

  #remove(): Work {
    const { ground, fileCount } = this.#init;
    return {
      count: fileCount,
      act: (index) => {
        this.#filesFrom = index + 1;
        return ground.unlink(this.#file(index));
      },
    };
  }

  /** The file that is read, and overwritten. */
  get #data(): string {
    return `${this.#directory}/data`;
  }

  #file(index: number): string {
    return `${this.#directory}/file-${index}`;
  }

  async #makeData(): Promise<void> {
    if (this.#hasData) return;
    const file = await this.#init.ground.open(this.#data, 'create');
    for (let at = 0; at < this.#init.sizeBytes; at += SEQUENTIAL_BYTES) {
      this.#init.check();
      await file.write(at, this.#block(at));
    }
    await synced(file);
    this.#hasData = true;
  }

  async #makeFiles(): Promise<void> {
    const { fileCount } = this.#init;
    if (this.#filesFrom === this.#filesTo) this.#filesFrom = this.#filesTo = 0;
    const missing = [...indexes(0, this.#filesFrom), ...indexes(this.#filesTo, fileCount)];
    await this.#forEach(missing, (index) => this.#makeFile(index));
    this.#filesFrom = 0;
    this.#filesTo = fileCount;
  }

  async #makeFile(index: number): Promise<void> {
    const file = await this.#init.ground.open(this.#file(index), 'create');
    await file.write(0, this.#smallBlock(0));
    await file.close();
  }

  async #removeFiles(): Promise<void> {
    const { ground } = this.#init;
    await this.#forEach(indexes(this.#filesFrom, this.#filesTo), (index) => ground.unlink(this.#file(index)));
    this.#filesFrom = this.#filesTo = 0;
  }

  /** Nobody measures this, so it goes as fast as it can. */
  async #forEach(all: readonly number[], work: (index: number) => Maybe<void>): Promise<void> {
    const rest = all.values();
    const lane = async () => {
      for (const index of rest) {
        this.#init.check();
        await work(index);
      }
    };
    await Promise.all(Array.from({ length: UNMEASURED_IN_FLIGHT }, lane));
  }

  /** Each 4 KiB begin with their place in the file. */
  #block(fileOffset: number): Buffer {
    for (let at = 0; at < SEQUENTIAL_BYTES; at += SMALL_BYTES) {
      this.#large.writeDoubleLE(stampAt(fileOffset + at), at);
    }
    return this.#large;
  }

  #smallBlock(fileOffset: number): Buffer {
    this.#small.writeDoubleLE(stampAt(fileOffset));
    return this.#small;
  }

  #mustHold(bytes: Bytes, fileOffset: number, length: number): void {
    const read = lengthOf(bytes);
    const [first] = bytes;
    const stamp =
      first === undefined || first.length < STAMP_BYTES
        ? Number.NaN
        : new DataView(first.buffer, first.byteOffset, STAMP_BYTES).getFloat64(0, true);
    if (read === length && stamp === stampAt(fileOffset)) return;
    const what = read === length ? 'other bytes than were written' : `${read} bytes`;
    throw new GfsError('CORRUPT', `a read of ${length} bytes at ${fileOffset} brought ${what}`);
  }

  #shuffled(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, index) => index);
    for (let index = count - 1; index > 0; index -= 1) {
      const other = Math.floor(this.#init.env.random() * (index + 1));
      const value = order[index] ?? 0;
      order[index] = order[other] ?? 0;
      order[other] = value;
    }
    return order;
  }
}

function indexes(from: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - from) }, (_, index) => from + index);
}

/** Not 0: a hole is no place. */
function stampAt(fileOffset: number): number {
  return fileOffset + 1;
}

function mustBeLong(path: string, length: number | undefined): void {
  if (length === SMALL_BYTES) return;
  const found = length === undefined ? 'is not there' : `has ${length} bytes`;
  throw new GfsError('CORRUPT', `${path}, which was written with ${SMALL_BYTES} bytes, ${found}`);
}

async function synced(file: GroundFile): Promise<void> {
  await file.sync();
  await file.close();
}
