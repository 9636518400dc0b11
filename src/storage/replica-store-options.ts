import type { Disk } from '../base/disk.ts';
import type { Env } from '../base/env.ts';
import type { Rules } from '../core/rules.ts';

export interface ReplicaStoreOptions {
  readonly env: Env;
  readonly disk: Disk;
  /** Made if missing; locked while open (ALREADY_RUNNING when another has it). */
  readonly directory: string;
  /**
   * Kept free for others, and for what has to be written on a full disk too: versions, seals, marks, and what makes a member
   * equal to the others again. Mutations that would take it are refused with NO_SPACE.
   */
  readonly reserveBytes?: number | undefined;
  readonly withoutRules?: Rules | undefined;
  /** Replicas with open files (two each) and their records in memory. */
  readonly openReplicasMax?: number | undefined;
  /** A replica's log is folded when it has grown by this much. */
  readonly logBytesMax?: number | undefined;
  /** A block that does not match its checksum; called once per finding. */
  readonly onCorrupt?:
    | ((finding: { readonly chunk: number; readonly blockIndex: number }) => void)
    | undefined;
  /** A sync failed, or a bug: nothing may be assumed any more, the process must end and recover. */
  readonly onFatal?: ((error: unknown) => void) | undefined;
}

export interface StoreSpace {
  readonly device: number;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** By replicas seen so far (all, once `states()` was called). */
  readonly usedBytes: number;
  readonly reserveBytes: number;
  readonly chunkCount: number;
}
