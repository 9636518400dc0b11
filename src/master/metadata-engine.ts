import { assert, must } from '../base/assert.ts';
import { CHUNK_SIZE_BYTES_DEFAULT, REPLICATION_DEFAULT } from '../base/constants.ts';
import type { Disk } from '../base/disk.ts';
import type { Env, Timer } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import {
  type ChunkHandle,
  hex,
  type InodeId,
  type ServerId,
  type SessionId,
  type WriterId,
} from '../base/ids.ts';
import { type Result, refuse, unwrap } from '../base/result.ts';
import { TaskGroup } from '../base/task-group.ts';
import { MINUTE_MS, MiB } from '../base/units.ts';
import {
  type Command,
  type CommandBodies,
  type CommandBody,
  type CommandCase,
  type CommandContext,
  type CommandResult,
  type CommandResults,
  INTERNAL,
} from '../core/metadata/commands.ts';
import { isFrugal } from '../core/metadata/frugal.ts';
import { isSyncedLate } from '../core/metadata/late-sync.ts';
import type { Counters, Filesystem, Time } from '../core/metadata/rows.ts';
import type { MetadataState } from '../core/metadata/state.ts';
import { justAfter, secondsBetween, timeOfMicros } from '../core/metadata/times.ts';
import { firstNumber } from '../core/session-numbers.ts';
import type { Checkpoints } from '../storage/checkpoints.ts';
import type { MetaStoreFile, OpenMetaStore, RoomUse } from '../storage/meta-store-files.ts';
import type { Oplog } from '../storage/oplog.ts';
import { encodeCommand } from '../storage/oplog-codec.ts';
import { CommandQueue, type LastCheck } from './command-queue.ts';
import { hasRoom, type LogEntry } from './disk-room.ts';
import type { AppliedListener, Metadata } from './metadata.ts';
import { type Recovered, recover } from './metadata-recovery.ts';

export interface MetadataEngineOptions {
  readonly env: Env;
  readonly disk: Disk;
  /** The master's data directory; made if missing, locked while the engine is open. */
  readonly directory: string;
  readonly openStore: OpenMetaStore;
  /**
   * Something the engine cannot go on after, such as a failed fsync: nothing is answered any more, and the process has to
   * exit and recover.
   */
  readonly onFatal: (error: unknown) => void;
  /** Fixed at the first start: another value later is refused with CONFIG_MISMATCH. Undefined: what is stored, or the default. */
  readonly chunkSizeBytes?: number | undefined;
  readonly replication?: number | undefined;
  /** Who owns the root directory of a new file system, and its mode. */
  readonly root?: { readonly uid: number; readonly gid: number; readonly mode: number } | undefined;
  readonly checkpointIntervalMs?: number | undefined;
  readonly checkpointLogBytes?: number | undefined;
  readonly segmentBytes?: number | undefined;
  readonly fillBytes?: number | undefined;
}

const ROOT_DEFAULT = { uid: 0, gid: 0, mode: 0o755 };
/** Writers' ids are reserved in the log this many at a time; what is left of them at the end is skipped. */
const WRITERS_RESERVED = 16 * 1024;
/** More than were dealt in any tail of a log that a disk can lose; ids are below 2^53. Of servers there are fewer. */
const IDS_SKIPPED = 2 ** 24;
const SERVER_IDS_SKIPPED = 1000;
/** Clocks are corrected by less than this without anybody noticing; more is somebody who sets them. */
const CLOCK_BACK_SECONDS_MAX = 1;
const CHECKPOINT_INTERVAL_MS = 5 * MINUTE_MS;
const CHECKPOINT_LOG_BYTES = 64 * MiB;
/** What needs no sync of its own waits so long for somebody's. */
const LATE_SYNC_MS = 50;

/**
 * The master's durable metadata: recovers it at the start, then checks, logs, syncs and applies commands (design,
 * section 4), and writes checkpoints beside.
 */
export class MetadataEngine implements Metadata {
  readonly state: MetadataState;
  readonly #env: Env;
  readonly #oplog: Oplog;
  readonly #store: MetaStoreFile;
  readonly #checkpoints: Checkpoints;
  readonly #recovered: Recovered;
  readonly #onFatal: (error: unknown) => void;
  readonly #queue: CommandQueue;
  readonly #tasks: TaskGroup;
  readonly #checkpointIntervalMs: number;
  readonly #checkpointLogBytes: number;
  /** Ids dealt but perhaps not yet logged are below these. */
  readonly #next: Counters;
  /** Of the last command's time: milliseconds, and nanoseconds past them. */
  #lastTime: Time = { seconds: 0, nanos: 0 };
  #writersNext = 0;
  #writersEnd = 0;
  #writersComing: Promise<void> | undefined;
  #onApplied: AppliedListener = () => undefined;
  #checkpointPosition: number;
  #checkpointTimer: Timer | undefined;
  #syncTimer: Timer | undefined;
  #checkpointing = false;
  #checkpointedLogBytes = 0;
  #checkpointedAtMs: number | undefined;
  #fatal: unknown;
  #closing: Promise<void> | undefined;

  /**
   * Recovers what is there, or creates a file system. ALREADY_RUNNING: another process has the directory;
   * CONFIG_MISMATCH; CORRUPT, with the file and what is wrong with it.
   */
  static async start(options: MetadataEngineOptions): Promise<MetadataEngine> {
    const recovered = await recover(options);
    try {
      const engine = new MetadataEngine(options, recovered);
      await engine.#format(options);
      if (recovered.mayLackEnd) await engine.#standInForLost();
      engine.#scheduleCheckpoint();
      return engine;
    } catch (error) {
      await recovered.close();
      throw error;
    }
  }

  private constructor(options: MetadataEngineOptions, recovered: Recovered) {
    this.#env = options.env;
    this.#recovered = recovered;
    this.state = recovered.state;
    this.#oplog = recovered.oplog;
    this.#store = recovered.store;
    this.#checkpoints = recovered.checkpoints;
    this.#checkpointPosition = recovered.checkpointPosition;
    this.#onFatal = options.onFatal;
    this.#checkpointIntervalMs = options.checkpointIntervalMs ?? CHECKPOINT_INTERVAL_MS;
    this.#checkpointLogBytes = options.checkpointLogBytes ?? CHECKPOINT_LOG_BYTES;
    const { nextInode, nextChunk, nextServer, nextSession } = recovered.state.progress;
    const { env } = options;
    const first = firstNumber({ next: nextSession, nowMs: env.nowMs(), random: env.random() });
    this.#next = { nextInode, nextChunk, nextServer, nextSession: first };
    this.#tasks = new TaskGroup((error) => this.#fail(error));
    this.#queue = new CommandQueue({
      write: (commands) => this.#write(commands),
      run: (work) => this.#tasks.run(work),
    });
  }

  get filesystem(): Filesystem {
    const { filesystem } = this.state;
    assert(filesystem !== undefined, 'the engine starts with a file system');
    return filesystem;
  }

  get checkpointPosition(): number {
    return this.#checkpointPosition;
  }

  /** `checkpointedAtMs` is on the wall clock, undefined until one is written; the log's bytes count since the start. */
  get footprint() {
    const { usedBytes: storeBytes } = this.#store;
    return { loggedBytes: this.#oplog.appendedBytes, storeBytes, checkpointedAtMs: this.#checkpointedAtMs };
  }

  async execute<K extends CommandCase>(
    context: CommandContext,
    $case: K,
    body: CommandBodies[K],
    precheck?: () => Result<never> | undefined,
    lastCheck?: LastCheck,
  ): Promise<Result<CommandResults[K]>> {
    this.#mustRun();
    const command: Command = { context, time: this.#now(), body: { $case, value: body } as CommandBody };
    const result = this.state.remembered(command) ?? this.#queue.waiting(command);
    const answer =
      result ?? precheck?.() ?? this.state.refusalOf(command) ?? this.#queue.add(command, lastCheck);
    return (await answer) as Result<CommandResults[K]>;
  }

  onApplied(listener: AppliedListener): void {
    this.#onApplied = listener;
  }

  dealInode(): InodeId {
    return this.#next.nextInode++ as InodeId;
  }
  dealChunk(): ChunkHandle {
    return this.#next.nextChunk++ as ChunkHandle;
  }
  dealServer(): ServerId {
    return this.#next.nextServer++ as ServerId;
  }
  dealSession(): SessionId {
    return this.#next.nextSession++ as SessionId;
  }

  skipIds(unknown: ChunkHandle): void {
    const { nextInode, nextChunk, nextServer } = this.#next;
    if (unknown < nextChunk) return;
    this.#next.nextChunk = unknown + IDS_SKIPPED;
    this.#next.nextInode = nextInode + IDS_SKIPPED;
    this.#next.nextServer = nextServer + SERVER_IDS_SKIPPED;
    this.#env.log
      .of('metadata')
      .error(
        { chunk: hex(unknown), next: hex(nextChunk) },
        "a server has a chunk that the master's log lost: ids far above are dealt from now on; what was lost is not deleted",
      );
  }

  async dealWriters(count: number): Promise<WriterId> {
    assert(count <= WRITERS_RESERVED, 'a reservation is enough for an answer');
    // What is left of a reservation and does not suffice is skipped.
    while (this.#writersEnd - this.#writersNext < count) {
      this.#writersComing ??= this.#reserveWriters().finally(() => {
        this.#writersComing = undefined;
      });
      await this.#writersComing;
    }
    const first = this.#writersNext;
    this.#writersNext += count;
    return first as WriterId;
  }

  async #reserveWriters(): Promise<void> {
    const first = this.#next.nextSession;
    const end = first + WRITERS_RESERVED;
    this.#next.nextSession = end;
    unwrap(await this.execute(INTERNAL, 'reserveWriters', { end }));
    this.#writersNext = first;
    this.#writersEnd = end;
  }

  async synced(): Promise<void> {
    try {
      await this.#oplog.sync();
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  /** Copies the store beside what goes on, and deletes the log that the older checkpoint makes superfluous. */
  async checkpoint(): Promise<void> {
    if (this.state.position === this.#checkpointPosition) return;
    assert(!this.#checkpointing, 'one checkpoint at a time');
    this.#checkpointing = true;
    this.#checkpointedLogBytes = this.#oplog.appendedBytes;
    try {
      // From here on nothing is applied before it is on the disk, so the copy has nothing that the log may lose.
      await this.synced();
      const { position } = this.state;
      const startedMs = this.#env.monotonicMs();
      await this.#checkpoints.write(this.#store, position);
      this.#checkpointPosition = position;
      this.#checkpointedAtMs = this.#env.nowMs();
      const kept = await this.#checkpoints.list();
      const oldest = kept.at(-1);
      // With a single checkpoint the log from its very begin stays: it is what to fall back on.
      if (kept.length > 1 && oldest !== undefined) await this.#oplog.removeBefore(oldest.position + 1);
      const durationMs = Math.round(this.#env.monotonicMs() - startedMs);
      this.#env.log.of('metadata').info({ position, durationMs }, 'checkpoint written');
    } finally {
      this.#checkpointing = false;
    }
  }

  /** Finishes what was given, syncs the store and marks it clean, so that the next start need not replay. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#checkpointTimer?.cancel();
    this.#syncTimer?.cancel();
    await this.#tasks.drain();
    try {
      if (this.#fatal === undefined) {
        await this.#oplog.sync();
        await this.#store.sync();
        await this.#markClean();
      }
    } finally {
      await this.#recovered.close();
    }
  }

  /** Without the mark, the store is good for as long as the machine is not booted, and rebuilt after that. */
  async #markClean(): Promise<void> {
    try {
      await this.#recovered.mark.clean();
    } catch (error) {
      if (codeOf(error) !== 'NO_SPACE') throw error;
      this.#env.log.of('metadata').warn({}, 'no room to mark the metadata store as clean');
    }
  }

  // --- commands ---

  /** Logs and applies a batch, and syncs it between if a command of it wants that; on a full disk, those of it that need no more room (NO_SPACE for the others). */
  async #write(commands: readonly Command[]): Promise<Result<CommandResult>[]> {
    const entries = commands.map((command) => ({ command, record: encodeCommand(command) }));
    if (await this.#hasRoom(entries, 'ordinary')) return await this.#logAndApply(entries);
    const results: Result<CommandResult>[] = [];
    for (const entry of entries) {
      const mayGo = await this.#hasRoom([entry], isFrugal(entry.command.body.$case) ? 'spare' : 'ordinary');
      if (mayGo) results.push(...(await this.#logAndApply([entry])));
      else results.push(refuse('NO_SPACE', "the master's disk is full"));
    }
    return results;
  }

  #hasRoom(entries: readonly LogEntry[], use: RoomUse): Promise<boolean> {
    return hasRoom({ oplog: this.#oplog, store: this.#store }, entries, use);
  }

  async #logAndApply(entries: readonly LogEntry[]): Promise<Result<CommandResult>[]> {
    const commands = entries.map(({ command }) => command);
    const position = await this.#oplog.append(entries.map(({ record }) => record));
    const isLate = !this.#checkpointing && commands.every(({ body }) => isSyncedLate(body.$case));
    if (isLate) this.#syncSoon();
    else await this.#oplog.sync();
    const results = this.state.apply(commands, position);
    for (const [index, command] of commands.entries()) {
      this.#onApplied(command, must(results[index], 'a result each'));
    }
    if (this.#oplog.appendedBytes - this.#checkpointedLogBytes >= this.#checkpointLogBytes)
      this.#checkpointSoon();
    return results;
  }

  #syncSoon(): void {
    this.#syncTimer ??= this.#env.setTimer(LATE_SYNC_MS, () => {
      this.#syncTimer = undefined;
      this.#tasks.run(() => this.#oplog.sync());
    });
  }

  /**
   * The time of a command: no two have the same, so that whoever knows a file's ctime knows whether it was changed since.
   * After a clock was set back, times go on from there.
   */
  #now(): Time {
    const time = timeOfMicros(this.#env.nowMicros());
    const back = secondsBetween(time, this.#lastTime);
    this.#lastTime = back >= 0 && back < CLOCK_BACK_SECONDS_MAX ? justAfter(this.#lastTime) : time;
    return this.#lastTime;
  }

  #mustRun(): void {
    if (this.#fatal !== undefined) {
      throw new GfsError('UNAVAILABLE', `the master is stopping: ${messageOf(this.#fatal)}`, {
        cause: this.#fatal,
      });
    }
    if (this.#closing !== undefined) throw new GfsError('UNAVAILABLE', 'the master is stopping');
  }

  #fail(error: unknown): void {
    if (this.#fatal !== undefined) return;
    this.#fatal = error;
    this.#checkpointTimer?.cancel();
    this.#syncTimer?.cancel();
    this.#env.log.of('metadata').error({ error: messageOf(error) }, 'metadata can no longer be written');
    this.#onFatal(error);
  }

  // --- start ---

  async #format(options: MetadataEngineOptions): Promise<void> {
    const { chunkSizeBytes, replication, root = ROOT_DEFAULT } = options;
    const { filesystem } = this.state;
    if (filesystem !== undefined) {
      mustBeTheSame('chunk-size', filesystem.chunkSizeBytes, chunkSizeBytes);
      mustBeTheSame('replication', filesystem.replication, replication);
      return;
    }
    const filesystemId = this.#oplog.filesystemId;
    assert(filesystemId !== undefined, 'the log has begun');
    const made = await this.execute(INTERNAL, 'format', {
      filesystemId,
      chunkSizeBytes: chunkSizeBytes ?? CHUNK_SIZE_BYTES_DEFAULT,
      replication: replication ?? REPLICATION_DEFAULT,
      ...root,
    });
    unwrap(made);
    this.#next.nextInode = this.state.progress.nextInode;
  }

  /**
   * A session that is in no client's hands: it tells nothing, and ends by its time-out. Until then any file may be under the
   * pen of a session that the log lost, and whatever it left is found out then, as of any session that this master's
   * predecessor knew (P21). It is logged, for a master that starts within that time knows of no loss of power.
   */
  async #standInForLost(): Promise<void> {
    const session = this.dealSession();
    const description = { session, host: '', program: 'sessions that the log may have lost' };
    unwrap(await this.execute(INTERNAL, 'openSession', { ...description, kernelWalksPaths: false }));
  }

  // --- checkpoints ---

  #scheduleCheckpoint(): void {
    this.#checkpointTimer = this.#env.setTimer(this.#checkpointIntervalMs, () => {
      this.#checkpointSoon();
      this.#scheduleCheckpoint();
    });
  }

  #checkpointSoon(): void {
    if (this.#checkpointing || this.#fatal !== undefined || this.#closing !== undefined) return;
    this.#tasks.run(() => this.#tryCheckpoint());
  }

  /** Without a checkpoint, the log only grows: a full disk here is no reason to stop yet. */
  async #tryCheckpoint(): Promise<void> {
    try {
      await this.checkpoint();
    } catch (error) {
      if (!(error instanceof GfsError)) throw error;
      this.#env.log.of('metadata').error({ error: error.message }, 'a checkpoint could not be written');
    }
  }
}

function mustBeTheSame(key: string, stored: number, given: number | undefined): void {
  if (given === undefined || given === stored) return;
  throw new GfsError(
    'CONFIG_MISMATCH',
    `${key} was fixed at ${stored} when the file system was created; ${given} was given now`,
    { fields: { key, stored: String(stored), given: String(given) } },
  );
}
