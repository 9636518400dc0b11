import type { MetaStore } from '../core/metadata/store.ts';

/** What room on the disk is wanted for: `spare` is room that ordinary use leaves, for what gives space back. */
export type RoomUse = 'ordinary' | 'spare';

/** A store that lies at a path, and can be copied while it is written to. */
export interface MetaStoreFile extends MetaStore {
  /**
   * A durable copy of the whole, of some state between the call's begin and its end, as a file at `path` (whose
   * name is not yet durable). Writes go on meanwhile.
   */
  writeCheckpoint(path: string): Promise<void>;
  /**
   * After it, transactions that take up to so many bytes need no more of the disk than the store has taken. NO_SPACE: there
   * is no room, and nothing was changed. Ordinary use leaves the spare. Not beside a transaction.
   */
  makeRoom(bytes: number, use: RoomUse): Promise<void>;
  /** What its rows take of the disk; undefined: it does not lie there. */
  readonly usedBytes: number | undefined;
  /** Everything written is durable. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/**
 * What is wanted at the path: what the last process left there (nothing is fine), nothing, or what a checkpoint holds.
 * In the last two cases what was there is thrown away.
 */
export type MetaStoreSource =
  | { readonly kind: 'left' }
  | { readonly kind: 'empty' }
  | { readonly kind: 'checkpoint'; readonly path: string };

/** The choice of store, made by whoever starts the master: `lmdbMetaStores` or `memoryMetaStores`. */
export type OpenMetaStore = (path: string, source: MetaStoreSource) => Promise<MetaStoreFile>;
