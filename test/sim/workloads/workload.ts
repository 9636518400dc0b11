import type { InodeId } from '../../../src/base/ids.ts';
import type { GfsClient } from '../../../src/client/gfs-client.ts';
import type { CommandBody } from '../../../src/core/metadata/commands.ts';
import type { Process } from '../node.ts';
import type { Random } from '../random.ts';
import type { Simulation } from '../simulation.ts';

/** Who does everything in these programs. */
export const ROOT = { caller: { uid: 0, gid: 0, groups: [] } };

/** What a workload knows of the run it takes part in. */
export interface Stage {
  readonly simulation: Simulation;
  /** The workload's own. */
  readonly dice: Random;
  readonly clientCount: number;
  /** Disks fill up: a write that was taken may fail before its writer is told. */
  readonly writesFail: boolean;
  /** Chunkservers lose power: what was acknowledged and not synced may be gone, if all that had it lost it (P14). */
  readonly powerFails: boolean;
  /** No fault any more: work is brought to its end. */
  readonly calm: boolean;
  readonly calmSinceMs: number | undefined;
  /** When the master's last process began. */
  readonly masterStartedMs: number;
  readonly sessionTimeoutMs: number;
}

/** What programs do on the file system, and what they then may rely on. */
export interface Workload {
  /** Nothing is left to do, and the calm has come. */
  readonly done: boolean;
  /** What one process of a client does, from its start to its death; it rejects when it found something wrong. */
  run(client: GfsClient, process: Process, clientIndex: number): Promise<void>;
  /** A chunkserver's machine lost what it had not synced. */
  powerLost(): void;
  /** A loss of power undid these commands, which were answered. */
  undone?(commands: readonly CommandBody[]): void;
  /** Now that all is quiet: all is as it was promised. Answers the files that it made. */
  verify(client: GfsClient, process: Process): Promise<readonly InodeId[]>;
}
