import type { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { open, type RootDatabase } from 'lmdb';
import { assert } from '../base/assert.ts';
import type { Disk } from '../base/disk.ts';
import { GfsError, messageOf } from '../base/errors.ts';
import { KiB, MiB } from '../base/units.ts';
import type { RowBytes, ScanRange } from '../core/metadata/store.ts';
import { extendFile } from './extend-file.ts';
import type { MetaStoreFile, MetaStoreSource, OpenMetaStore, RoomUse } from './meta-store-files.ts';

/** The file is filled with zeros ahead of the pages in use, this far at a time; this much of it is spare. */
const FILL_BYTES = 1 * MiB;
const SPARE_BYTES = 512 * KiB;

/** Stores of LMDB, on the real machine's files: `disk` is a `NodeDisk`. */
export function lmdbMetaStores(disk: Disk): OpenMetaStore {
  return (path, source) => LmdbMetaStore.open(disk, path, source);
}

/**
 * A store in a mapped file: memory speed, larger than memory, there again after a restart without loading. It is not
 * synced transaction by transaction, because the operation log is the truth: after a crash of the process the file is
 * whole, after a crash of the machine it has to be thrown away (`master/store-mark.ts` tells which it was).
 * All tables lie in one tree: a transaction then touches fewer pages.
 */
class LmdbMetaStore implements MetaStoreFile {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #database: RootDatabase<Buffer, Uint8Array>;
  readonly #key: { bytes: Uint8Array; length: number } = { bytes: new Uint8Array(0), length: 0 };
  readonly #value: { bytes: Uint8Array; length: number } = { bytes: new Uint8Array(0), length: 0 };
  #writing = false;
  #filling = false;
  /** The file is at least so long: nothing makes it shorter. */
  #filled = 0;
  /** At least so much of the file lies behind the pages in use. */
  #roomBytes = 0;

  /** The directory has to be there. */
  static async open(disk: Disk, path: string, source: MetaStoreSource): Promise<LmdbMetaStore> {
    if (source.kind !== 'left') {
      await disk.remove(path);
      await disk.remove(lockPath(path));
    }
    try {
      if (source.kind === 'checkpoint') await copyFile(source.path, path, constants.COPYFILE_FICLONE);
      return new LmdbMetaStore(disk, path);
    } catch (cause) {
      throw new GfsError('IO_ERROR', `metadata store ${path}: ${messageOf(cause)}`, { cause });
    }
  }

  private constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
    this.#database = open<Buffer, Uint8Array>({
      path,
      noSubdir: true,
      keyEncoding: 'binary',
      encoding: 'binary',
      noSync: true,
      overlappingSync: false,
      eventTurnBatching: false,
      maxDbs: 1,
    });
  }

  get(key: Uint8Array): RowBytes | undefined {
    const found = this.#database.getBinaryFast(key);
    if (found === undefined) return undefined;
    // The buffer is the database's own, shared by all reads.
    this.#value.bytes = found;
    this.#value.length = found.length;
    return this.#value;
  }

  has(key: Uint8Array): boolean {
    return this.#database.getBinaryFast(key) !== undefined;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    assert(this.#writing, 'rows are written within a transaction');
    this.#database.putSync(key, value as Buffer);
  }

  remove(key: Uint8Array): boolean {
    assert(this.#writing, 'rows are written within a transaction');
    return this.#database.removeSync(key);
  }

  scan({ from, end, reverse = false }: ScanRange, visit: (key: RowBytes, value: RowBytes) => boolean): void {
    // Going backwards, lmdb's start is where it begins: included there, while `end` here is not.
    const range = reverse
      ? { start: end, end: from, reverse, exclusiveStart: true, inclusiveEnd: true }
      : { start: from, end };
    for (const { key, value } of this.#database.getRange(range)) {
      this.#key.bytes = key;
      this.#key.length = key.length;
      this.#value.bytes = value;
      this.#value.length = value.length;
      if (!visit(this.#key, this.#value)) return;
    }
  }

  transaction<T>(work: () => T): T {
    assert(!this.#writing, 'transactions do not nest');
    assert(!this.#filling, 'zeros that are being written would cover its pages');
    this.#writing = true;
    try {
      return this.#database.transactionSync(work);
    } finally {
      this.#writing = false;
    }
  }

  async writeCheckpoint(path: string): Promise<void> {
    await this.#disk.remove(path);
    try {
      await this.#database.backup(path, false);
    } catch (cause) {
      throw new GfsError('IO_ERROR', `checkpoint ${path}: ${messageOf(cause)}`, { cause });
    }
    await syncFile(this.#disk, path);
  }

  get usedBytes(): number {
    const { lastPageNumber, pageSize } = this.#database.getStats() as PageCounts;
    return (lastPageNumber + 1) * pageSize;
  }

  async makeRoom(bytes: number, use: RoomUse): Promise<void> {
    const needed = bytes + (use === 'ordinary' ? SPARE_BYTES : 0);
    // Pages that transactions gave back are used first: there is more room than was counted.
    if (this.#roomBytes < needed) await this.#extend(needed);
    this.#roomBytes -= bytes;
  }

  async #extend(roomBytes: number): Promise<void> {
    assert(!this.#writing && !this.#filling, 'one at a time');
    const { usedBytes } = this;
    // Most of the time what was counted was not used, and the file needs no look.
    this.#roomBytes = this.#filled - usedBytes;
    if (this.#roomBytes >= roomBytes) return;
    this.#filling = true;
    const file = await this.#disk.open(this.#path, 'existing');
    try {
      this.#filled = Math.max(await file.size(), usedBytes);
      this.#roomBytes = this.#filled - usedBytes;
      const neededBytes = roomBytes - this.#roomBytes;
      if (neededBytes <= 0) return;
      this.#filled = await extendFile(file, this.#filled, { neededBytes, wantedBytes: FILL_BYTES });
      this.#roomBytes = this.#filled - usedBytes;
    } finally {
      this.#filling = false;
      await file.close();
    }
  }

  async sync(): Promise<void> {
    await syncFile(this.#disk, this.#path);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

/** Of what `getStats` tells, which its types do not. */
interface PageCounts {
  readonly lastPageNumber: number;
  readonly pageSize: number;
}

function lockPath(path: string): string {
  return `${path}-lock`;
}

async function syncFile(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, 'existing');
  try {
    await file.dataSync();
  } finally {
    await file.close();
  }
}
