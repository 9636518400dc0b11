/** What replicas of chunks are spoken of in: shapes only. They match the contract's messages field by field. */

import type { Bytes } from '../base/bytes.ts';

/** A server that holds, or shall hold, a replica. */
export interface Member {
  readonly server: number;
  readonly address: string;
  readonly rack: string;
  /** In a chunk's first record: the process that may begin the replica. It is not kept. */
  readonly incarnation?: string | undefined;
}

/** What the master logged for a chunk at a version (P1), as a replica records it. */
export interface VersionRecord {
  readonly chunk: number;
  readonly version: number;
  readonly members: readonly Member[];
  readonly primary: number;
  /** A truncation repeated by each replica whose own version is lower than `cutVersion` (P19). */
  readonly cutVersion?: number | undefined;
  readonly cutLength?: number | undefined;
  /** The highest version whose unsynced acknowledgements may have been lost (P7, P14); 0: none. */
  readonly loss: number;
  /** Its primary orders no mutations (P20). It is not kept: a role ends with its process. */
  readonly frozen?: boolean | undefined;
}

/** The highest append of a writer that a replica holds (P15). */
export interface AppendEntry {
  readonly writer: number;
  readonly number: number;
  readonly chunkOffset: number;
  readonly length: number;
  readonly checksum: number;
  /**
   * Of a writer whose records are numbered one by one: where the latest lie, the last one being the one with `number`. They stay
   * when bytes are cut off: what was appended once is not appended again.
   */
  readonly records?: readonly RecordPlace[];
}

export interface RecordPlace {
  readonly chunkOffset: number;
  readonly length: number;
}

/** More writers than this in one chunk, and it is sealed (P16). */
export const APPEND_ENTRIES_MAX = 10_000;

/** One ordered change of a replica (P11). */
export type Mutation = WriteMutation | ZeroMutation | AppendMutation | SealMutation | CutMutation;

interface MutationOrder {
  readonly version: number;
  /** From 0 on in each version, without gaps. */
  readonly serial: number;
}
export interface WriteMutation extends MutationOrder {
  readonly kind: 'write';
  readonly chunkOffset: number;
  /** CRC-32 of each part of the data, as `checksumsOf(data, chunkOffset)` cuts it. */
  readonly checksums: readonly number[];
}
/** Bytes that the chunk has become zeros; there is no data. */
export interface ZeroMutation extends MutationOrder {
  readonly kind: 'zero';
  readonly chunkOffset: number;
  readonly length: number;
}
export interface AppendMutation extends MutationOrder {
  readonly kind: 'append';
  /** Chosen by the primary: the chunk's length. */
  readonly chunkOffset: number;
  readonly checksums: readonly number[];
  readonly writer: number;
  readonly number: number;
  /** Of the whole record; kept in the table of appends. */
  readonly recordChecksum: number;
  /** It is a batch of numbered records that are so long, and `number` the last one's. */
  readonly recordLengths?: readonly number[];
}
export interface SealMutation extends MutationOrder {
  readonly kind: 'seal';
  /** The chunk's from now on; a shorter replica gets zeros up to there. */
  readonly length: number;
}
export interface CutMutation extends MutationOrder {
  readonly kind: 'cut';
  /** A shorter chunk stays as it is. */
  readonly length: number;
}

/**
 * Serials count under one version. Two whole replicas with equal streams are identical (P8). `version` 0: the content
 * is a mixture (a reconcile began and did not end), equal to nobody's.
 */
export interface SerialStream {
  readonly version: number;
  readonly nextSerial: number;
}

/**
 * Whether a replica takes orders.
 * - `restarted`: what it recorded comes from an earlier process: it refuses orders and reconcile steps until a higher
 *   version is recorded (P6);
 * - `unreconciled`: the version is recorded in this process; it takes reconcile steps only (P8);
 * - `reconciled`: under its version; it takes mutations;
 * - `learning`: it is no member: it takes the steps and orders of its lesson (P9).
 */
export type Standing = 'restarted' | 'unreconciled' | 'reconciled' | 'learning';

/** What a replica knows of itself; everything but `restarted` is true after any crash too. */
export interface ReplicaState {
  readonly chunk: number;
  readonly record: VersionRecord;
  readonly standing: Standing;
  /**
   * What it learns in: its record's version has members, and it is none of them yet (P9). It is not whole, whatever it
   * holds, and nobody's source before it recorded a version as a member.
   */
  readonly lesson: string | undefined;
  /** The version under which it was last reconciled, durably; 0: never. A restart does not change it. */
  readonly reconciledVersion: number;
  /**
   * Nothing acknowledged is missing; false after power was lost (P7) or its files were found damaged: it may then be
   * shorter or older than it was, so nobody but a reconcile should read from it.
   */
  readonly whole: boolean;
  readonly length: number;
  readonly sealed: boolean;
  readonly stream: SerialStream;
  /** Of the last mutation and the last read; 0: never. Reads are remembered lazily. */
  readonly writtenAtMs: number;
  readonly readAtMs: number;
  /** Taken up on disk by its files. */
  readonly diskBytes: number;
}

/** What a primary compares (P8). */
export interface BlockSums {
  readonly length: number;
  readonly sealed: boolean;
  readonly stream: SerialStream;
  /** CRC-32 of each 64 KiB block, the last one's up to `length`. */
  readonly checksums: readonly number[];
  readonly table: readonly AppendEntry[];
}

/**
 * What a reconcile takes from a member's table of appends together with the bytes (P8): entries of records that its
 * primary lacks. They were never acknowledged, as all members have what was; left behind when the reconcile is
 * interrupted, they would tell a retry that its record is there.
 */
export interface TableCut {
  /** The primary's entries, of writers whose highest append it does not have. */
  readonly lowered: readonly AppendEntry[];
  /** Writers of whom it has none. */
  readonly dropped: readonly number[];
}

/** Where a lesson begins (P9): what the primary holds before its order `serial`, but for the bytes. */
export interface LessonStart {
  readonly serial: number;
  readonly length: number;
  readonly sealed: boolean;
  readonly table: readonly AppendEntry[];
}

/** A block as a primary has it, all of it. */
export interface LessonBlock {
  readonly blockIndex: number;
  readonly data: Bytes;
  readonly checksum: number;
}

/** A block whose bytes no member has any more: as long, and with the checksum that they should have. */
export interface LostBlock {
  readonly blockIndex: number;
  readonly length: number;
  readonly checksum: number;
}

/** Setting the end of a reconcile (P8). */
export interface ReconcileEnd {
  readonly length: number;
  readonly sealed: boolean;
  readonly table: readonly AppendEntry[];
}
