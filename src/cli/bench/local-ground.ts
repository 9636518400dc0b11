import { isUtf8 } from 'node:buffer';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import type { Bytes } from '../../base/bytes.ts';
import { SEQUENTIAL_BYTES } from './figures.ts';
import type { Ground, GroundFile, OpenHow } from './ground.ts';

const FLAGS: Readonly<Record<OpenHow, string>> = { create: 'wx', append: 'a', read: 'r', write: 'r+' };

/** A directory: one system call after the other, as ordinary programs make them. */
export class LocalGround implements Ground {
  readonly #directory: Buffer;
  /** Undefined: no text can say it. */
  readonly #prefix: string | undefined;
  readonly #buffer = Buffer.alloc(SEQUENTIAL_BYTES);

  constructor(directory: Uint8Array) {
    this.#directory = Buffer.from(directory);
    this.#prefix = isUtf8(directory) ? `${this.#directory}/` : undefined;
  }

  makeDirectory(path: string): void {
    mkdirSync(this.#at(path));
  }

  open(path: string, how: OpenHow): GroundFile {
    return new LocalFile(openSync(this.#at(path), FLAGS[how]), this.#buffer);
  }

  stat(path: string): number | undefined {
    return statSync(this.#at(path), { throwIfNoEntry: false })?.size;
  }

  unlink(path: string): void {
    unlinkSync(this.#at(path));
  }

  /** The kernel's caches are not this client's. */
  forget(): void {}

  close(): void {}

  #at(path: string): string | Buffer {
    if (this.#prefix !== undefined) return this.#prefix + path;
    return Buffer.concat([this.#directory, Buffer.from(`/${path}`)]);
  }
}

class LocalFile implements GroundFile {
  readonly #file: number;
  readonly #buffer: Buffer;

  constructor(file: number, buffer: Buffer) {
    this.#file = file;
    this.#buffer = buffer;
  }

  read(fileOffset: number, length: number): Bytes {
    return [this.#buffer.subarray(0, readSync(this.#file, this.#buffer, 0, length, fileOffset))];
  }

  write(fileOffset: number, bytes: Buffer): void {
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(this.#file, bytes, written, bytes.length - written, fileOffset + written);
    }
  }

  /** In one call: another one would be another record. What it leaves out, the file's length shows in the end. */
  append(bytes: Buffer): void {
    writeSync(this.#file, bytes);
  }

  sync(): void {
    fsyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }
}
