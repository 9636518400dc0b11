import type { Bytes } from '../base/bytes.ts';
import type { Disk } from '../base/disk.ts';
import type { Env } from '../base/env.ts';
import type {
  AppendEntry,
  BlockSums,
  Mutation,
  ReconcileEnd,
  ReplicaState,
  VersionRecord,
} from '../core/replica-types.ts';

export interface ReplicaStoreOptions {
  readonly env: Env;
  readonly disk: Disk;
  /** Made if missing; locked while open (ALREADY_RUNNING when another has it). */
  readonly directory: string;
  /** Kept free for others: mutations that would take it are refused with NO_SPACE. */
  readonly reserveBytes?: number;
  readonly openReplicasMax?: number;
  /** A block that does not match its checksum; called once per finding. */
  readonly onCorrupt?: (finding: { readonly chunk: number; readonly blockIndex: number }) => void;
  /** A sync failed: nothing may be assumed any more, the process must end and recover. */
  readonly onFatal?: (error: unknown) => void;
}

/** Who the server is; kept in its data directory. Absent until it has joined a file system. */
export interface ServerIdentity {
  readonly filesystemId: string;
  readonly serverId: number;
}

export interface StoreSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** By replicas seen so far (all, once `states()` was called). */
  readonly usedBytes: number;
  readonly reserveBytes: number;
  readonly chunkCount: number;
}

/** All replicas of one chunkserver, in one data directory. Opened by `ReplicaStore.open(options)`. */
export interface ReplicaStore {
  readonly identity: ServerIdentity | undefined;
  setIdentity(identity: ServerIdentity): Promise<void>;
  /** Power was lost since the last run: no replica is whole (P7). */
  readonly powerLost: boolean;
  readonly corruptBlockCount: number;
  readonly chunkCount: number;
  /** Every chunk on the disk, also those whose files cannot be used. */
  chunks(): number[];
  /** States for a full chunk report; reads the disk where a replica was not used yet. Damaged ones are left out. */
  states(): AsyncIterable<ReplicaState>;
  /**
   * A replica that is not on disk before its first mutation or sync. `first`: empty, active, reconciled under its
   * version (P4). `copy`: unreconciled and not whole until `reconcileFinish` (clone, learner). EXISTS if there is one.
   */
  create(record: VersionRecord, kind: 'first' | 'copy'): Replica;
  /** Undefined: this server holds none. Throws CORRUPT when its files cannot be used (then it is lost, not absent). */
  get(chunk: number): Promise<Replica | undefined>;
  /** With its files; a missing one is fine. */
  delete(chunk: number): Promise<void>;
  space(): Promise<StoreSpace>;
  /** Syncs everything and leaves the clean mark. */
  close(): Promise<void>;
}

export interface ReadAnswer {
  readonly payload: Bytes;
  /** Of the payload, cut where blocks of the chunk begin. */
  readonly checksums: readonly number[];
  readonly chunkLength: number;
}

/**
 * One chunk's replica. Errors: VERSION_MISMATCH, NOT_READY (standing), SERIAL_GAP, SEALED, CHECKSUM_MISMATCH (fields
 * chunk, block), NO_SPACE, INVALID_ARGUMENT, IO_ERROR, NO_SUCH_CHUNK (deleted meanwhile).
 */
export interface Replica {
  readonly chunk: number;
  /** As of the last applied change. */
  readonly state: ReplicaState;
  /** The table's entry of a writer, planned mutations not included. */
  appendOf(writer: number): Promise<AppendEntry | undefined>;
  /**
   * Resolves once mutation and data are in the OS of this machine; `data` is borrowed until then. Many may be in
   * flight; they are taken in the order of the calls, which must be the order of serials. A serial that was applied
   * before is ignored (it resolves after what it repeats). After a failure all later ones fail with SERIAL_GAP.
   */
  apply(mutation: Mutation, data: Bytes): Promise<void>;
  /** Every byte is verified; shorter than asked where the chunk ends. The buffers are the caller's. */
  read(chunkOffset: number, lengthBytes: number): Promise<ReadAnswer>;
  /** Everything applied before is on disk (P14). */
  sync(): Promise<void>;
  /** Records a version durably; VERSION_MISMATCH unless it is above its own. Cuts if told (P19). */
  setVersion(record: VersionRecord): Promise<void>;
  blockChecksums(): Promise<BlockSums>;
  /** Reconcile steps carry the version; once reconciled under it, they are ignored. */
  reconcileCut(version: number, length: number): Promise<void>;
  /** `data` becomes the block's content from its start, and must reach its end or the replica's end. */
  reconcileBlock(version: number, blockIndex: number, data: Bytes, checksum: number): Promise<void>;
  /** Sets length, seal and table, syncs, is reconciled and whole from now on; serials start at 0 (P8). For the
   * primary too, with what it has. */
  reconcileFinish(version: number, end: ReconcileEnd): Promise<void>;
}
