import type { Disk } from '../base/disk.ts';
import type { Env } from '../base/env.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Rules } from '../core/rules.ts';
import type { Network } from '../rpc/network.ts';
import type { OpenMetaStore } from '../storage/meta-store-files.ts';

/** What `MasterServer.start` takes. */
export interface MasterOptions {
  readonly env: Env;
  readonly disk: Disk;
  readonly network: Network;
  /** The tables: LMDB in a real master, memory in a simulated one. */
  readonly openStore: OpenMetaStore;
  /** Oplog, checkpoints and tables; locked while the master runs. */
  readonly dataDirectory: string;
  /** "host:port"; port 0 lets the kernel choose. */
  readonly listen: string;
  /**
   * Fixed in the store at the first start. Absent: what the store says, or at a first start the default. Another value
   * than the store's refuses the start with CONFIG_MISMATCH.
   */
  readonly chunkSizeBytes?: number | undefined;
  readonly replication?: number | undefined;
  readonly heartbeatIntervalMs?: number | undefined;
  readonly sessionTimeoutMs?: number | undefined;
  readonly leaseDurationMs?: number | undefined;
  /** Silence after which a chunkserver counts as gone; a broken connection is noticed at once. */
  readonly serverSilenceMs?: number | undefined;
  /** A chunk is not written with fewer members, or all of a lower goal; default 2. It may change with each start. */
  readonly minReplicas?: number | undefined;
  /** How long a chunkserver may be away before its chunks are copied to others; default 30 s. It may change with each start. */
  readonly repairGraceMs?: number | undefined;
  /** What chunkservers have after the master's start to find it, before they count as gone. */
  readonly serversReturnMs?: number | undefined;
  /** How many things a long command does in one step, while all others wait; default 128, a millisecond or two. */
  readonly longStepCount?: number | undefined;
  /** Who owns the root directory of a new file system, and its mode; default root and 0755. */
  readonly root?: { readonly uid: number; readonly gid: number; readonly mode: number } | undefined;
  readonly withoutRules?: Rules | undefined;
  /** Is told how the master's figures are read. */
  readonly metrics?: Metrics | undefined;
  /** For `gfs status`. */
  readonly programVersion?: string | undefined;
  readonly pid?: number | undefined;
  /**
   * Called once when the master cannot go on, such as after a failed fsync of the oplog: the process should end and
   * recover. Nothing is answered from then on.
   */
  readonly onFatal: (error: unknown) => void;
}

/** What `MasterServer.start` resolves to. */
export interface RunningMaster extends AsyncDisposable {
  /** "host:port" with the real port. */
  readonly address: string;
  readonly filesystemId: string;
  readonly chunkSizeBytes: number;
  readonly replication: number;
  /** Lets calls in flight finish, writes a clean mark, releases the data directory. Safe to call twice. */
  close(): Promise<void>;
}
