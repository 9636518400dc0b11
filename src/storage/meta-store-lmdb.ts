import type { Buffer } from 'node:buffer';
import { open, type RootDatabase } from 'lmdb';
import { assert } from '../base/assert.ts';
import type { MetaStore, RowBytes, ScanRange } from '../core/metadata/store.ts';

/**
 * A store in a mapped file: memory speed, larger than memory, there again after a restart without loading. It is not
 * synced transaction by transaction, because the operation log is the truth: after a crash of the process the file is
 * whole, after a crash of the machine it has to be thrown away (`storage/meta-store-files.ts` tells which it was).
 * All tables lie in one tree: a transaction then touches fewer pages.
 */
export class LmdbMetaStore implements MetaStore {
  readonly #database: RootDatabase<Buffer, Uint8Array>;
  readonly #key: { bytes: Uint8Array; length: number } = { bytes: new Uint8Array(0), length: 0 };
  readonly #value: { bytes: Uint8Array; length: number } = { bytes: new Uint8Array(0), length: 0 };
  #writing = false;

  /** Makes the file if it is missing; its directory has to be there. */
  static open(path: string): LmdbMetaStore {
    const database = open<Buffer, Uint8Array>({
      path,
      noSubdir: true,
      keyEncoding: 'binary',
      encoding: 'binary',
      noSync: true,
      overlappingSync: false,
      eventTurnBatching: false,
      maxDbs: 1,
    });
    return new LmdbMetaStore(database);
  }

  private constructor(database: RootDatabase<Buffer, Uint8Array>) {
    this.#database = database;
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
    this.#writing = true;
    try {
      return this.#database.transactionSync(work);
    } finally {
      this.#writing = false;
    }
  }

  /** A copy of the whole as it is now, made beside later writes. Not synced. */
  async copyTo(path: string): Promise<void> {
    await this.#database.backup(path, false);
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}
