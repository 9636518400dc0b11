import type { ChunkHandle, InodeId, ServerId, SessionId, WriterId } from '../base/ids.ts';
import type { Result } from '../base/result.ts';
import type {
  Command,
  CommandBodies,
  CommandCase,
  CommandContext,
  CommandResult,
  CommandResults,
} from '../core/metadata/commands.ts';
import type { MetadataState } from '../core/metadata/state.ts';

import type { LastCheck } from './command-queue.ts';

export type AppliedListener = (command: Command, result: Result<CommandResult>) => void;

/**
 * The durable half of the master, as its services use it: look-ups on `state` at once, changes by `execute`.
 * `MetadataEngine` is the implementation.
 */
export interface Metadata {
  /** What was applied so far. Never written to by hand. */
  readonly state: MetadataState;

  /**
   * Checks, logs, waits for the disk, applies, answers; removals do not wait (`core/metadata/late-sync.ts`). Refusals are results (NO_SPACE: the disk has no room for what is
   * not frugal); it rejects only when the master is
   * stopping (UNAVAILABLE), and then the command may or may not have been carried out. Commands given in one turn share one
   * fsync. A (session, number) that was seen before gets its first answer. The time is that of the call.
   * `precheck` refuses by what is known beside the state, as the command is given: it is asked for no retry, and not
   * again when the command is applied. `lastCheck` is, right before: no other command comes in between.
   */
  execute<K extends CommandCase>(
    context: CommandContext,
    $case: K,
    body: CommandBodies[K],
    precheck?: () => Result<never> | undefined,
    lastCheck?: LastCheck,
  ): Promise<Result<CommandResults[K]>>;

  /** Resolves when a loss of power takes nothing of what was applied before. */
  synced(): Promise<void>;

  /** Called for each command in the order in which they are applied, before any of a batch is answered. */
  onApplied(listener: AppliedListener): void;

  // Ids for the next command, never dealt twice; one that is not used is skipped. Numbers of sessions and writers jump with each
  // start (`core/session-numbers.ts`).
  dealInode(): InodeId;
  dealChunk(): ChunkHandle;
  dealServer(): ServerId;
  dealSession(): SessionId;
  /**
   * So many consecutive ids; the first is answered. A writer's id outlives the master's memory of it (P15), so it is
   * reserved in the log first, with many others: nearly always it is dealt at once.
   */
  dealWriters(count: number): Promise<WriterId>;

  /**
   * A server holds a chunk that no log has: if its handle was not dealt yet, the log lost its end (P25), and there may be
   * inodes, chunks and servers that it does not know of. Far higher ids are dealt from now on.
   */
  skipIds(unknown: ChunkHandle): void;

  /** The position of the newest checkpoint; 0: none yet. */
  readonly checkpointPosition: number;
}
