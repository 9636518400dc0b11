/**
 * Ordered rows of bytes: what the tables stand on. Synchronous, one writer. Two implementations, one compliance suite:
 * `storage/meta-store-lmdb.ts` (mapped, survives the process) and `storage/meta-store-memory.ts` (simulation).
 * Keys are ordered byte by byte, at most 500 bytes long, never empty.
 */
export interface MetaStore {
  /** The value, in a buffer that is overwritten by the next call on the store: decode it at once. */
  get(key: Uint8Array): RowBytes | undefined;
  has(key: Uint8Array): boolean;
  /** Only within a transaction. Key and value are copied before it returns. */
  put(key: Uint8Array, value: Uint8Array): void;
  /** Only within a transaction. Whether it was there. */
  remove(key: Uint8Array): boolean;
  /**
   * Shows rows in order until `visit` returns false or the range ends. Nothing else may be asked of the store, and
   * nothing written, meanwhile; the bytes shown are overwritten by the next row.
   */
  scan(range: ScanRange, visit: (key: RowBytes, value: RowBytes) => boolean): void;
  /** All of it becomes visible at its end. When `work` throws, nothing does. Transactions do not nest. */
  transaction<T>(work: () => T): T;
}

export interface ScanRange {
  /** First key wanted, included. */
  readonly from: Uint8Array;
  /** Not included. */
  readonly end: Uint8Array;
  /** From the last row before `end` down to `from`. */
  readonly reverse?: boolean;
}

/** Bytes that may lie in a larger buffer: read the first `length` and no more. */
export interface RowBytes {
  readonly bytes: Uint8Array;
  readonly length: number;
}
