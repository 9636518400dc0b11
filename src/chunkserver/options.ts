import type { Disk } from '../base/disk.ts';
import type { Env } from '../base/env.ts';
import type { Metrics } from '../base/metrics.ts';
import { HOUR_MS, MiB } from '../base/units.ts';
import type { Rules } from '../core/rules.ts';
import type { Network } from '../rpc/network.ts';
import type { SystemReporter } from './system-reporter.ts';

/** What `ChunkServer.start` needs: the world it lives in, and its configuration. */
export interface ChunkServerOptions {
  readonly env: Env;
  readonly disk: Disk;
  readonly network: Network;
  /** Holds replicas and the server's identity; locked while the server runs. */
  readonly dataDirectory: string;
  /** Addresses tried in turn. */
  readonly masters: readonly string[];
  /** "host:port"; port 0 lets the kernel choose. */
  readonly listen: string;
  /** Where others reach this server, when that is not the address it listens on; port 0 means the real one. */
  readonly advertise?: string | undefined;
  readonly rack?: string | undefined;
  /** Bytes of the disk that stay free for others, `RESERVE_BYTES_MIN` at least: pushes and mutations beyond it are refused. */
  readonly reserveBytes?: number | undefined;
  /** Between full chunk reports from a scan of the disk. */
  readonly reportIntervalMs?: number | undefined;
  /** Bound of the memory that pushed, not yet used data takes. */
  readonly pushBufferBytes?: number | undefined;
  /** Absent (in simulation): heartbeats carry no system report. */
  readonly systemReporter?: SystemReporter | undefined;
  /** Is told how the server's figures are read. */
  readonly metrics?: Metrics | undefined;
  /** For the simulator alone. */
  readonly withoutRules?: Rules | undefined;
  /** Shown to people in `gfs servers`. */
  readonly host?: string | undefined;
  readonly pid?: number | undefined;
  /**
   * Called once when the server cannot go on: WRONG_FILESYSTEM, ALREADY_RUNNING, WRONG_SERVICE from the master, a
   * failed disk, a bug. The owner closes it and ends the process.
   */
  readonly onFatal: (error: unknown) => void;
}

/** Whatever is configured: on a disk that takes no more data, versions and seals of its chunks must be recorded still. */
export const RESERVE_BYTES_MIN = 1 * MiB;
export const REPORT_INTERVAL_MS_DEFAULT = 1 * HOUR_MS;
/** A few writers of a few pushes each (1 MiB) on every chunk that is written at a time. */
export const PUSH_BUFFER_BYTES_DEFAULT = 64 * MiB;

/** What `ChunkServer.start` resolves to, as soon as the server listens; the master may still be away. */
export interface RunningChunkServer {
  /** As advertised, with the real port. */
  readonly address: string;
  /** Undefined until the master has dealt one to a new server; a server that had one knows it from its disk. */
  readonly serverId: number | undefined;
  /** A master has it, and the tie to it holds. */
  readonly isRegistered: boolean;
  /** Resolves at the first registration of this process; rejects when the server ends before. */
  registered(): Promise<number>;
  /** Says goodbye to the master, lets requests in flight finish, closes the files. Safe to call twice. */
  close(): Promise<void>;
}
