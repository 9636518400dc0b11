import type { Disk } from '../../src/base/disk.ts';
import type { MetaStore } from '../../src/core/metadata/store.ts';
import type { MetaStoreFile, OpenMetaStore } from '../../src/storage/meta-store-files.ts';
import { memoryMetaStores } from '../../src/storage/meta-store-memory.ts';
import type { Random } from './random.ts';

/**
 * Stores that behave as a mapped file does: what a killed process wrote is there for the next one, and after a power cut
 * anything may be missing that was not synced.
 */
export class KeptStores {
  readonly #dice: Random;
  #left: KeptStore | undefined;

  constructor(dice: Random) {
    this.#dice = dice;
  }

  /** The tables of the master that runs, or ran last. */
  get current(): MetaStore | undefined {
    return this.#left;
  }

  opener(disk: Disk): OpenMetaStore {
    return async (path, source) => {
      const left = source.kind === 'left' ? this.#left : undefined;
      const store = await memoryMetaStores(disk)(path, left === undefined ? source : { kind: 'empty' });
      if (left !== undefined) copyRows(left, store);
      this.#left = new KeptStore(store, left?.synced ?? false);
      return this.#left;
    };
  }

  losePower(): void {
    const store = this.#left;
    if (store === undefined || store.synced) return;
    const loss = this.#dice.pick([0, 0.1, 1]);
    store.transaction(() => {
      for (const [key] of rowsOf(store)) if (this.#dice.chance(loss)) store.remove(key);
    });
  }
}

class KeptStore implements MetaStoreFile {
  readonly #rows: MetaStoreFile;
  #synced: boolean;

  constructor(rows: MetaStoreFile, synced: boolean) {
    this.#rows = rows;
    this.#synced = synced;
  }

  get synced(): boolean {
    return this.#synced;
  }

  get usedBytes(): number | undefined {
    return this.#rows.usedBytes;
  }

  get(key: Uint8Array): ReturnType<MetaStore['get']> {
    return this.#rows.get(key);
  }

  has(key: Uint8Array): boolean {
    return this.#rows.has(key);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#rows.put(key, value);
  }

  remove(key: Uint8Array): boolean {
    return this.#rows.remove(key);
  }

  scan(...[range, visit]: Parameters<MetaStore['scan']>): void {
    this.#rows.scan(range, visit);
  }

  transaction<T>(work: () => T): T {
    this.#synced = false;
    return this.#rows.transaction(work);
  }

  writeCheckpoint(path: string): Promise<void> {
    return this.#rows.writeCheckpoint(path);
  }

  async makeRoom(): Promise<void> {}

  async sync(): Promise<void> {
    this.#synced = true;
  }

  async close(): Promise<void> {}
}

function copyRows(from: MetaStore, to: MetaStore): void {
  to.transaction(() => {
    for (const [key, value] of rowsOf(from)) to.put(key, value);
  });
}

/** All of them, in order. */
export function rowsOf(store: MetaStore): [key: Buffer, value: Buffer][] {
  const rows: [Buffer, Buffer][] = [];
  store.scan({ from: Buffer.alloc(0), end: Buffer.alloc(64, 0xff) }, (key, value) => {
    rows.push([
      Buffer.from(key.bytes.subarray(0, key.length)),
      Buffer.from(value.bytes.subarray(0, value.length)),
    ]);
    return true;
  });
  return rows;
}
