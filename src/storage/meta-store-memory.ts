import { Buffer } from 'node:buffer';
import BTreeModule from 'sorted-btree';
import { assert } from '../base/assert.ts';
import type { MetaStore, RowBytes, ScanRange } from '../core/metadata/store.ts';

// The package is CommonJS with a `default` of its own.
const BTree = BTreeModule.default;

/**
 * A store in memory, for tests and simulation; gone with the process. Keys are latin1 strings, which sort as
 * their bytes do.
 */
export class MemoryMetaStore implements MetaStore {
  #rows = new BTree<string, Uint8Array>(undefined, (a, b) => (a < b ? -1 : a > b ? 1 : 0));
  #writing = false;

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
    // The tree shares its nodes with the copy, so this costs nothing until rows are written.
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
}

function latin1(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
