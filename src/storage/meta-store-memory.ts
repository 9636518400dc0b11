import { Buffer } from 'node:buffer';
import BTreeModule from 'sorted-btree';
import { assert } from '../base/assert.ts';
import type { Disk } from '../base/disk.ts';
import { GfsError } from '../base/errors.ts';
import { MiB } from '../base/units.ts';
import { RowReader, RowWriter } from '../core/metadata/codec.ts';
import type { RowBytes, ScanRange } from '../core/metadata/store.ts';
import type { MetaStoreFile, OpenMetaStore } from './meta-store-files.ts';

// The package is CommonJS with a `default` of its own.
const BTree = BTreeModule.default;
type Rows = InstanceType<typeof BTree<string, Uint8Array>>;

/** Stores that end with their process; only their checkpoints are on the disk. For simulation. */
export function memoryMetaStores(disk: Disk): OpenMetaStore {
  return async (_, source) => {
    const rows = source.kind === 'checkpoint' ? await readCheckpoint(disk, source.path) : emptyRows();
    return new MemoryMetaStore(disk, rows);
  };
}

/** Keys are latin1 strings, which sort as their bytes do. */
class MemoryMetaStore implements MetaStoreFile {
  readonly #disk: Disk;
  #rows: Rows;
  #writing = false;

  constructor(disk: Disk, rows: Rows) {
    this.#disk = disk;
    this.#rows = rows;
  }

  get(key: Uint8Array): RowBytes | undefined {
    const bytes = this.#rows.get(latin1(key));
    return bytes && { bytes, length: bytes.length };
  }

  has(key: Uint8Array): boolean {
    return this.#rows.has(latin1(key));
  }

  put(key: Uint8Array, value: Uint8Array): void {
    assert(this.#writing, 'rows are written within a transaction');
    this.#rows.set(latin1(key), Uint8Array.from(value));
  }

  remove(key: Uint8Array): boolean {
    assert(this.#writing, 'rows are written within a transaction');
    return this.#rows.delete(latin1(key));
  }

  scan({ from, end, reverse = false }: ScanRange, visit: (key: RowBytes, value: RowBytes) => boolean): void {
    const first = latin1(from);
    const last = latin1(end);
    const pairs = reverse ? this.#rows.entriesReversed(last, [], true) : this.#rows.entries(first, []);
    for (const [key, bytes] of pairs) {
      if (reverse ? key < first : key >= last) return;
      const keyBytes = Buffer.from(key, 'latin1');
      if (!visit({ bytes: keyBytes, length: keyBytes.length }, { bytes, length: bytes.length })) return;
    }
  }

  transaction<T>(work: () => T): T {
    assert(!this.#writing, 'transactions do not nest');
    // The copy shares all nodes until rows are written.
    const before = this.#rows.clone();
    this.#writing = true;
    try {
      return work();
    } catch (error) {
      this.#rows = before;
      throw error;
    } finally {
      this.#writing = false;
    }
  }

  async writeCheckpoint(path: string): Promise<void> {
    await writeCheckpoint(this.#disk, path, this.#rows.clone());
  }

  readonly usedBytes = undefined;

  async makeRoom(): Promise<void> {}

  async sync(): Promise<void> {}

  async close(): Promise<void> {}
}

/*
 * A checkpoint: for each row the key and the value, each with its length before it (a varint); then an empty key.
 * Whether it is whole, the checksum in its name tells (`checkpoints.ts`).
 */
async function writeCheckpoint(disk: Disk, path: string, rows: Rows): Promise<void> {
  await disk.remove(path);
  const file = await disk.open(path, 'exclusive');
  try {
    const row = new RowWriter();
    let pieces: Uint8Array[] = [];
    let piecesBytes = 0;
    let position = 0;
    const add = (piece: Uint8Array) => {
      pieces.push(Uint8Array.from(piece));
      piecesBytes += piece.length;
    };
    for (const [key, value] of rows.entries()) {
      add(row.begin().bytes(Buffer.from(key, 'latin1')).bytes(value).finish());
      if (piecesBytes < MiB) continue;
      await file.write(pieces, position);
      position += piecesBytes;
      pieces = [];
      piecesBytes = 0;
    }
    add(row.begin().number(0).finish());
    await file.write(pieces, position);
    await file.dataSync();
  } finally {
    await file.close();
  }
}

async function readCheckpoint(disk: Disk, path: string): Promise<Rows> {
  const file = await disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(await file.size());
    const length = await file.read(bytes, 0);
    const reader = new RowReader().begin({ bytes, length });
    const rows = emptyRows();
    for (let key = reader.bytes(); key.length > 0; key = reader.bytes()) {
      rows.set(key.toString('latin1'), Uint8Array.from(reader.bytes()));
    }
    if (!reader.atEnd) throw new GfsError('CORRUPT', `checkpoint ${path} goes on behind its end`);
    return rows;
  } finally {
    await file.close();
  }
}

function emptyRows(): Rows {
  return new BTree<string, Uint8Array>(undefined, (a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

function latin1(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
