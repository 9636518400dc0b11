import type { Segment } from './replica-map.ts';
import type { AppendEntry, SerialStream, TableCut, VersionRecord } from './replica-types.ts';

/**
 * What a chunk's log is made of: one base, then changes in the order in which they happened. Replaying them through
 * `ReplicaContent` gives the replica. All but `write` with place `log` are small.
 */
export type ReplicaRecord = BaseRecord | ChangeRecord;
export type ChangeRecord =
  | WriteRecord
  | SealRecord
  | CutRecord
  | MendRecord
  | VersionRecordRecord
  | FinishRecord
  | LearnRecord
  | MarkRecord
  | ReadRecord;

/** The whole replica at the time when the log was begun. */
export interface BaseRecord {
  readonly kind: 'base';
  readonly record: VersionRecord;
  readonly reconciledVersion: number;
  readonly whole: boolean;
  /** See `ReplicaState`. */
  readonly lesson: string | undefined;
  /** Of the store, see `MarkRecord`. */
  readonly epoch: string;
  readonly stream: SerialStream;
  readonly sealed: boolean;
  readonly writtenAtMs: number;
  readonly readAtMs: number;
  readonly length: number;
  /** Of a mixture: below `length` where a reconcile's blocks lie behind it, see `ReplicaContent`. */
  readonly settledLength: number;
  readonly sums: readonly number[];
  /** Those with source `log` lie behind the base, in this order. */
  readonly segments: readonly Segment[];
  readonly table: readonly AppendEntry[];
}

export interface WriteRecord {
  readonly kind: 'write';
  /**
   * Undefined: a step of a reconcile, which leaves the replica a mixture until it is finished; or of a lesson, between two
   * orders.
   */
  readonly serial: number | undefined;
  readonly chunkOffset: number;
  /** 0: only extends the replica to `chunkOffset`, with zeros. */
  readonly length: number;
  /** Where the data is: behind this record; in the data file, written before this record was; or nowhere, being zeros. */
  readonly place: 'log' | 'data' | 'zero';
  /** Of all blocks that the write touches, as they are after it. */
  readonly sums: readonly number[];
  /** With the places of its own records alone. */
  readonly append: AppendEntry | undefined;
  readonly writtenAtMs: number;
}

export interface SealRecord {
  readonly kind: 'seal';
  readonly serial: number;
  /** Of the replica from then on: as it was, or longer with zeros. */
  readonly length: number;
  readonly writtenAtMs: number;
}

export interface CutRecord {
  readonly kind: 'cut';
  readonly serial: number | undefined;
  readonly length: number;
  /** Of the last block that is left, if it is partial. */
  readonly lastSum: number;
  /** Of a step of a reconcile (P8). */
  readonly table: TableCut | undefined;
  readonly writtenAtMs: number;
}

/** Bytes that were bad on the disk are here again, as they were: nothing else of the replica changes. Behind it: the bytes. */
export interface MendRecord {
  readonly kind: 'mend';
  readonly chunkOffset: number;
  readonly length: number;
}

/** A version was recorded. It is a mark too: all data before it is on disk. */
export interface VersionRecordRecord {
  readonly kind: 'version';
  readonly record: VersionRecord;
  readonly epoch: string;
  readonly whole: boolean;
  /** This version's cut, where it applied (P19). */
  readonly cut: { readonly length: number; readonly lastSum: number } | undefined;
}

/** A reconcile ended: the replica is reconciled under its version, and whole. A mark too. */
export interface FinishRecord {
  readonly kind: 'finish';
  readonly version: number;
  readonly epoch: string;
  readonly sealed: boolean;
  readonly table: readonly AppendEntry[];
}

/** A lesson began: from now on the replica learns to be a member of this version (P9). A mark too. */
export interface LearnRecord {
  readonly kind: 'learn';
  readonly record: VersionRecord;
  readonly lesson: string;
  readonly epoch: string;
  /** The order that comes next. */
  readonly serial: number;
  readonly sealed: boolean;
  readonly table: readonly AppendEntry[];
}

/**
 * All data that earlier records have in the data file is on disk. `epoch` changes whenever this machine lost power:
 * records behind the last mark of another epoch need their data verified, and the replica is not whole (P7).
 */
export interface MarkRecord {
  readonly kind: 'mark';
  readonly epoch: string;
  readonly whole: boolean;
}

/** The replica was read; written now and then, and never waited for. */
export interface ReadRecord {
  readonly kind: 'read';
  readonly readAtMs: number;
}
