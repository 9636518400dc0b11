import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { flock, preadNowait, punchHole } from '../../native/index.ts';
import { assert } from '../base/assert.ts';
import { lengthOf } from '../base/bytes.ts';
import type { Disk, DiskFile, DiskLock, DiskSpace, OpenMode } from '../base/disk.ts';
import type { Env } from '../base/env.ts';
import { type ErrorCode, GfsError, messageOf } from '../base/errors.ts';
import type { Metrics } from '../base/metrics.ts';
import { KiB } from '../base/units.ts';
import { DiskFigures } from './disk-figures.ts';

const { COPYFILE_EXCL, COPYFILE_FICLONE, O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = fs.constants;

const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  existing: O_RDWR,
  create: O_RDWR | O_CREAT,
  exclusive: O_RDWR | O_CREAT | O_EXCL,
};

/**
 * Writes up to this size go to the page cache on the spot: a memory copy of a few microseconds, where the way to libuv's
 * pool and back takes ten times as long (measured: 6.6 µs against 73). Larger ones are worth a thread of their own.
 */
const SYNC_WRITE_BYTES_MAX = 128 * KiB;

/**
 * Calls that may wait for the disk go through libuv's pool, so that a slow one does not stop the event loop; what only
 * copies from or to the page cache is done on the spot.
 */
export class NodeDisk implements Disk {
  readonly #figures: DiskFigures | undefined;

  constructor(watched?: { readonly env: Env; readonly metrics: Metrics }) {
    if (watched === undefined) return;
    this.#figures = new DiskFigures(watched.env);
    watched.metrics.add(this.#figures.figures());
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    return new NodeDiskFile(openFile(path, OPEN_FLAGS[mode]), path, this.#figures);
  }

  rename(from: string, to: string): Promise<void> {
    return finished(`rename to ${to}`, from, (done) => fs.rename(from, to, done));
  }

  copy(from: string, to: string): Promise<void> {
    const mode = COPYFILE_EXCL | COPYFILE_FICLONE;
    return finished(`copy to ${to}`, from, (done) => fs.copyFile(from, to, mode, done));
  }

  async remove(path: string): Promise<void> {
    await unlessMissing(finished('remove', path, (done) => fs.unlink(path, done)));
  }

  async list(directory: string): Promise<string[]> {
    const names = await resultOf<string[]>('list', directory, (done) => fs.readdir(directory, done));
    return names.sort();
  }

  async makeDirectory(path: string): Promise<void> {
    await resultOf<string | undefined>('make directory', path, (done) =>
      fs.mkdir(path, { recursive: true }, done),
    );
  }

  removeDirectory(path: string): Promise<void> {
    return finished('remove directory', path, (done) => fs.rmdir(path, done));
  }

  async syncDirectory(path: string): Promise<void> {
    const fd = openFile(path, O_RDONLY | fs.constants.O_DIRECTORY);
    try {
      await finished('sync directory', path, (done) => fs.fsync(fd, done));
    } finally {
      closeFile(fd, path);
    }
  }

  async exists(path: string): Promise<boolean> {
    const found = await unlessMissing(resultOf<fs.Stats>('stat', path, (done) => fs.stat(path, done)));
    return found !== undefined;
  }

  async space(path: string): Promise<DiskSpace> {
    const stats = await resultOf<fs.StatsFs>('statfs', path, (done) => fs.statfs(path, done));
    const { dev } = await resultOf<fs.Stats>('stat', path, (done) => fs.stat(path, done));
    return {
      device: dev,
      totalBytes: stats.blocks * stats.bsize,
      // What root alone may use is nobody's to plan with.
      freeBytes: stats.bavail * stats.bsize,
      inodeCount: stats.files,
      inodeCountFree: stats.ffree,
    };
  }

  /**
   * The file stays when the lock goes: removing it would let two processes hold locks on two files of one name.
   */
  async lock(path: string): Promise<DiskLock> {
    const fd = openFile(path, O_RDWR | O_CREAT);
    let held = false;
    try {
      held = flock(fd);
    } catch (error) {
      throw diskError('lock', path, error);
    } finally {
      if (!held) closeFile(fd, path);
    }
    if (!held) throw new GfsError('ALREADY_RUNNING', `${dirname(path)} is in use: ${path} is locked`);
    let open = true;
    return {
      close: async () => {
        if (open) closeFile(fd, path);
        open = false;
      },
    };
  }

  async bootId(): Promise<string> {
    const path = '/proc/sys/kernel/random/boot_id';
    const text = await resultOf<string>('read', path, (done) => fs.readFile(path, 'latin1', done));
    return text.trim();
  }
}

/**
 * An open file by its descriptor: `fs` with callbacks costs half of what a `FileHandle` does (measured: 7 µs against
 * 17 for a 4 KiB write with 16 in flight).
 */
class NodeDiskFile implements DiskFile {
  readonly #fd: number;
  readonly #path: string;
  readonly #figures: DiskFigures | undefined;
  #inFlight = 0;
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(fd: number, path: string, figures: DiskFigures | undefined) {
    this.#fd = fd;
    this.#path = path;
    this.#figures = figures;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    this.#begin();
    try {
      let filled = 0;
      while (filled < into.length) {
        // Asked again after a short answer: then it knows that the file ends there, and nobody has to wait for that.
        const count =
          this.#readCached(into.subarray(filled), position + filled) ??
          (await this.#readSome(into, filled, position + filled));
        if (count === 0) break;
        filled += count;
      }
      if (this.#figures !== undefined) this.#figures.readBytes += filled;
      return filled;
    } finally {
      this.#end();
    }
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    this.#begin();
    try {
      let rest = buffers;
      let at = position;
      while (rest.length > 0) {
        const count =
          lengthOf(rest) <= SYNC_WRITE_BYTES_MAX ? this.#writeNow(rest, at) : await this.#writeSome(rest, at);
        at += count;
        rest = without(rest, count);
      }
      if (this.#figures !== undefined) this.#figures.writtenBytes += at - position;
    } finally {
      this.#end();
    }
  }

  async size(): Promise<number> {
    this.#begin();
    try {
      const stats = await resultOf<fs.Stats>('stat', this.#path, (done) => fs.fstat(this.#fd, done));
      return stats.size;
    } finally {
      this.#end();
    }
  }

  async truncate(lengthBytes: number): Promise<void> {
    this.#begin();
    try {
      await finished('truncate', this.#path, (done) => fs.ftruncate(this.#fd, lengthBytes, done));
    } finally {
      this.#end();
    }
  }

  async punch(position: number, lengthBytes: number): Promise<void> {
    this.#begin();
    try {
      await punchHole(this.#fd, position, lengthBytes);
    } catch (error) {
      if (errnoOf(error) !== 'EOPNOTSUPP') throw diskError('punch', this.#path, error);
    } finally {
      this.#end();
    }
  }

  async dataSync(): Promise<void> {
    this.#begin();
    try {
      const synced = finished('sync', this.#path, (done) => fs.fdatasync(this.#fd, done));
      await (this.#figures?.timedSync(synced) ?? synced);
    } finally {
      this.#end();
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeWhenIdle();
    return this.#closing;
  }

  async #closeWhenIdle(): Promise<void> {
    // A descriptor closed under a running call may by then be another file's.
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    closeFile(this.#fd, this.#path);
  }

  #begin(): void {
    assert(this.#closing === undefined, `${this.#path} is used after close`);
    this.#inFlight += 1;
  }

  #end(): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#onIdle?.();
  }

  /** What the page cache holds from `position` on, up to the first page that it does not. Undefined: only the disk can tell. */
  #readCached(into: Uint8Array, position: number): number | undefined {
    try {
      return preadNowait(this.#fd, into, position);
    } catch (error) {
      throw diskError('read', this.#path, error);
    }
  }

  #writeNow(buffers: readonly Uint8Array[], position: number): number {
    try {
      return fs.writevSync(this.#fd, buffers, position);
    } catch (error) {
      throw diskError('write', this.#path, error);
    }
  }

  #readSome(into: Uint8Array, offset: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.#fd, into, offset, into.length - offset, position, (error, count) => {
        if (error) reject(diskError('read', this.#path, error));
        else resolve(count);
      });
    });
  }

  #writeSome(buffers: readonly Uint8Array[], position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | null, count: number) => {
        if (error) reject(diskError('write', this.#path, error));
        else resolve(count);
      };
      const [first] = buffers;
      if (first !== undefined && buffers.length === 1) {
        fs.write(this.#fd, first, 0, first.length, position, settle);
      } else {
        fs.writev(this.#fd, buffers, position, settle);
      }
    });
  }
}

/** What is left of the buffers when `count` bytes of them are written. Empty buffers go too: nothing moves on them. */
function without(buffers: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count;
  for (const [index, buffer] of buffers.entries()) {
    if (left < buffer.length) return [buffer.subarray(left), ...buffers.slice(index + 1)];
    left -= buffer.length;
  }
  return [];
}

/**
 * On the spot, as `closeFile` is: names are in memory but for the first time, and a new small replica is then made in
 * 30 µs instead of 250.
 */
function openFile(path: string, flags: number): number {
  try {
    return fs.openSync(path, flags, 0o644);
  } catch (error) {
    throw diskError('open', path, error);
  }
}

function closeFile(fd: number, path: string): void {
  try {
    fs.closeSync(fd);
  } catch (error) {
    throw diskError('close', path, error);
  }
}

function resultOf<T>(
  operation: string,
  path: string,
  start: (done: (error: Error | null, value: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error) reject(diskError(operation, path, error));
      else resolve(value);
    });
  });
}

function finished(
  operation: string,
  path: string,
  start: (done: (error: Error | null) => void) => void,
): Promise<void> {
  return resultOf<void>(operation, path, (done) => start((error) => done(error, undefined)));
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof GfsError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'NOT_FOUND',
  EEXIST: 'EXISTS',
  ENOSPC: 'NO_SPACE',
  EDQUOT: 'NO_SPACE',
};

function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function diskError(operation: string, path: string, cause: unknown): GfsError {
  return new GfsError(CODES[errnoOf(cause)] ?? 'IO_ERROR', `${operation} ${path}: ${messageOf(cause)}`, {
    cause,
  });
}
