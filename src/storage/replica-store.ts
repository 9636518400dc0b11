import type { Disk } from '../base/disk.ts';
import type { Env, Timer } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { Semaphore } from '../base/mutex.ts';
import { TaskGroup } from '../base/task-group.ts';
import { MiB, SECOND_MS } from '../base/units.ts';
import type { BaseRecord } from '../core/replica-records.ts';
import type { ReplicaState, VersionRecord } from '../core/replica-types.ts';
import { NO_RULES } from '../core/rules.ts';
import { Replica, type ReplicaHost } from './replica.ts';
import { ReplicaDirectory, type ServerIdentity } from './replica-directory.ts';
import { ReplicaFiles, type ReplicaPlace, replicaPaths } from './replica-files.ts';
import type { ReplicaStoreOptions, StoreSpace } from './replica-store-options.ts';
import { SpaceGuard } from './space-guard.ts';

export type { ReadInTurn, Replica } from './replica.ts';
export type { ServerIdentity } from './replica-directory.ts';
export type { ReadAnswer } from './replica-reads.ts';
export type { ReplicaStoreOptions, StoreSpace } from './replica-store-options.ts';

export const OPEN_REPLICAS_MAX_DEFAULT = 500;
export const LOG_BYTES_MAX_DEFAULT = 8 * MiB;

/** What nobody has changed for this long is put in order in the background: synced, its log folded. */
const QUIET_MS = 15 * SECOND_MS;
const UPKEEP_INTERVAL_MS = 5 * SECOND_MS;
/** After each replica the disk is left to others for so many times as long as that took, but for no longer than this. */
const UPKEEP_PAUSE_FACTOR = 9;
const UPKEEP_PAUSE_MS_MAX = 200;
const CLOSES_AT_A_TIME_MAX = 16;
/** A scan of all replicas lets others in after this many. */
const SCAN_STEP = 32;

/**
 * All replicas of one chunkserver, in one data directory. A replica that was used once stays known with its state;
 * content and open files are kept of the most recently used ones only.
 */
export class ReplicaStore {
  readonly #env: Env;
  readonly #disk: Disk;
  readonly #directory: ReplicaDirectory;
  readonly #options: ReplicaStoreOptions;
  readonly #space: SpaceGuard;
  readonly #tasks: TaskGroup;
  readonly #host: ReplicaHost;
  /** On disk, not used yet by this process. */
  readonly #unseen: Set<number>;
  readonly #replicas = new Map<number, Replica>();
  readonly #finding = new Map<number, Promise<Replica | undefined>>();
  /** The most recently used one is last. */
  readonly #open = new Set<Replica>();
  readonly #unsynced = new Set<Replica>();
  #upkeep: Timer | undefined;
  #upkeepRuns = false;
  #usedBytes = 0;
  #corruptBlockCount = 0;
  #failed = false;
  #closing: Promise<void> | undefined;

  private constructor(
    options: ReplicaStoreOptions,
    found: { directory: ReplicaDirectory; chunks: Set<number>; space: SpaceGuard },
  ) {
    this.#options = options;
    this.#env = options.env;
    this.#disk = options.disk;
    this.#directory = found.directory;
    this.#unseen = found.chunks;
    this.#space = found.space;
    this.#tasks = new TaskGroup((error) => this.#fail(error));
    this.#host = {
      env: this.#env,
      tasks: this.#tasks,
      epoch: found.directory.epoch,
      logBytesMax: options.logBytesMax ?? LOG_BYTES_MAX_DEFAULT,
      withoutRules: options.withoutRules ?? NO_RULES,
      takeSpace: (bytes) => this.#space.take(bytes),
      takeReserve: (bytes) => this.#space.takeFromReserve(bytes),
      onCorrupt: (chunk, blockIndex) => this.#noteCorrupt(chunk, blockIndex),
      onFatal: (error) => this.#fail(error),
      onNoSpace: () => this.#space.forget(),
      onUse: (replica) => this.#noteUse(replica),
      onGrowth: (bytes) => {
        this.#usedBytes += bytes;
      },
      onUnsynced: (replica) => this.#noteUnsynced(replica),
    };
  }

  static async open(options: ReplicaStoreOptions): Promise<ReplicaStore> {
    const { env, disk } = options;
    const directory = await ReplicaDirectory.open(env, disk, options.directory);
    try {
      const chunks = await directory.listChunks();
      const space = await SpaceGuard.open(env, disk, directory.path, options.reserveBytes ?? 0);
      return new ReplicaStore(options, { directory, chunks, space });
    } catch (error) {
      await directory.close({ clean: false });
      throw error;
    }
  }

  get identity(): ServerIdentity | undefined {
    return this.#directory.identity;
  }
  /** Power was lost since the last run: no replica is whole (P7). */
  get powerLost(): boolean {
    return this.#directory.powerLost;
  }
  get corruptBlockCount(): number {
    return this.#corruptBlockCount;
  }
  get chunkCount(): number {
    return this.#unseen.size + this.#replicas.size;
  }

  setIdentity(identity: ServerIdentity): Promise<void> {
    return this.#directory.setIdentity(identity);
  }

  /** Every chunk on the disk, also those whose files cannot be used. */
  chunks(): number[] {
    return [...this.#replicas.keys(), ...this.#unseen].sort((a, b) => a - b);
  }

  /** States for a full chunk report; reads the disk where a replica was not used yet. Those that cannot be used are left out. */
  async *states(): AsyncGenerator<ReplicaState> {
    let count = 0;
    for (const chunk of this.chunks()) {
      const replica = await this.#getUnlessDamaged(chunk);
      if (replica !== undefined) yield replica.state;
      count += 1;
      if (count % SCAN_STEP === 0) await this.#env.sleep(0);
    }
  }

  /**
   * A replica that is not on disk before its first mutation or sync. `first`: empty, active, reconciled under its
   * version (P4). `copy`: unreconciled and not whole until `reconcileFinish` (clone). `learner`: of a lesson that `learn`
   * begins (P9). EXISTS if there is one.
   */
  create(record: VersionRecord, kind: 'first' | 'copy' | 'learner'): Replica {
    this.#assertOpen();
    const { chunk, version } = record;
    if (this.#unseen.has(chunk) || this.#replicas.has(chunk)) throw alreadyThere(chunk);
    const isFirst = kind === 'first';
    const initial: BaseRecord = {
      kind: 'base',
      record,
      reconciledVersion: isFirst ? version : 0,
      whole: isFirst,
      lesson: kind === 'learner' ? '' : undefined,
      epoch: this.#directory.epoch,
      stream: { version: isFirst ? version : 0, nextSerial: 0 },
      sealed: false,
      writtenAtMs: this.#env.nowMs(),
      readAtMs: 0,
      length: 0,
      settledLength: 0,
      sums: [],
      segments: [],
      table: [],
    };
    const replica = Replica.create(this.#host, this.#placeOf(chunk), initial);
    this.#replicas.set(chunk, replica);
    return replica;
  }

  /**
   * A replica of another chunk with what this one has, on disk when it resolves. It is as one that an earlier process left:
   * a higher version has to be recorded before it takes orders (P6). EXISTS if there is one; otherwise as
   * `Replica.cloneTo`.
   */
  async clone(source: Replica, record: VersionRecord): Promise<void> {
    this.#assertOpen();
    const { chunk } = record;
    if (this.#unseen.has(chunk) || this.#replicas.has(chunk)) throw alreadyThere(chunk);
    await source.cloneTo(this.#placeOf(chunk), record);
    this.#unseen.add(chunk);
  }

  /** Undefined: this server holds none. Throws CORRUPT when its files cannot be used (then it is lost, not absent). */
  async get(chunk: number): Promise<Replica | undefined> {
    this.#assertOpen();
    const replica = this.#replicas.get(chunk);
    if (replica !== undefined) return replica;
    return this.#unseen.has(chunk) ? await this.#find(chunk) : undefined;
  }

  /** With its files; a missing one is fine. */
  async delete(chunk: number): Promise<void> {
    const replica = await this.#getUnlessDamaged(chunk);
    if (replica !== undefined) {
      await replica.delete();
      this.#forget(replica);
    } else if (this.#unseen.has(chunk)) {
      await new ReplicaFiles(this.#placeOf(chunk), chunk).removeAll();
      this.#unseen.delete(chunk);
    }
  }

  /** NO_SPACE unless a mutation of this size fits besides the reserve. Nearly always nothing to wait for. */
  checkRoom(bytes: number): Promise<void> | undefined {
    return this.#space.check(bytes);
  }

  /** As `delete`, unless it has recorded a higher version than this when its turn comes. Whether it is gone. */
  async deleteUpTo(chunk: number, version: number): Promise<boolean> {
    const replica = await this.#getUnlessDamaged(chunk);
    if (replica === undefined || !(await replica.delete(version))) return false;
    this.#forget(replica);
    return true;
  }

  /** Versions can be recorded. */
  hasRoomForRecords(): Promise<boolean> {
    return this.#space.hasReserve();
  }

  async space(): Promise<StoreSpace> {
    const { device, totalBytes, freeBytes } = await this.#disk.space(this.#directory.path);
    const reserveBytes = this.#options.reserveBytes ?? 0;
    return {
      ...{ device, totalBytes, freeBytes, reserveBytes },
      usedBytes: this.#usedBytes,
      chunkCount: this.chunkCount,
    };
  }

  /** Lets what is in flight finish, syncs everything and leaves the clean mark. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#upkeep?.cancel();
    await this.#tasks.drain();
    // After an unclean start nobody knows what of the old files is on disk.
    if (!this.#directory.clean) {
      for (const chunk of this.#unseen) await this.#findUnlessDamaged(chunk);
    }
    const limit = new Semaphore(CLOSES_AT_A_TIME_MAX);
    const closes = [...new Set([...this.#unsynced, ...this.#open])].map(async (replica) => {
      using _ = await limit.acquire();
      await replica.close();
    });
    const settled = await Promise.allSettled(closes);
    await this.#tasks.drain();
    for (const end of settled) if (end.status === 'rejected') this.#fail(end.reason);
    const isSynced = !this.#failed;
    await this.#directory.close({ clean: isSynced });
  }

  /** One search of a chunk at a time: a recovery writes to its files, and two replicas of them would be one too many. */
  #find(chunk: number): Promise<Replica | undefined> {
    let finding = this.#finding.get(chunk);
    if (finding === undefined) {
      finding = this.#recover(chunk).finally(() => this.#finding.delete(chunk));
      this.#finding.set(chunk, finding);
    }
    return finding;
  }

  async #recover(chunk: number): Promise<Replica | undefined> {
    const replica = await Replica.find(this.#host, this.#placeOf(chunk), chunk, this.#directory.clean);
    this.#unseen.delete(chunk);
    if (replica !== undefined) this.#replicas.set(chunk, replica);
    return replica;
  }

  async #getUnlessDamaged(chunk: number): Promise<Replica | undefined> {
    return this.#replicas.get(chunk) ?? (await this.#findUnlessDamaged(chunk));
  }

  async #findUnlessDamaged(chunk: number): Promise<Replica | undefined> {
    try {
      return await (this.#unseen.has(chunk) ? this.#find(chunk) : undefined);
    } catch (error) {
      this.#env.log
        .of('storage')
        .error({ chunk: hex(chunk), error: messageOf(error) }, 'the files of a replica cannot be used');
      // NO_SPACE: of a log that is to be rewritten first; once there is room, the replica is found.
      if (codeOf(error) === 'CORRUPT' || codeOf(error) === 'NO_SPACE') return undefined;
      throw error;
    }
  }

  #placeOf(chunk: number): ReplicaPlace {
    const paths = replicaPaths(this.#directory.chunks, chunk);
    return { disk: this.#disk, names: this.#directory, paths };
  }

  #forget(replica: Replica): void {
    this.#replicas.delete(replica.chunk);
    this.#open.delete(replica);
    this.#unsynced.delete(replica);
  }

  #noteUse(replica: Replica): void {
    this.#open.delete(replica);
    this.#open.add(replica);
    let excess = this.#open.size - (this.#options.openReplicasMax ?? OPEN_REPLICAS_MAX_DEFAULT);
    if (excess <= 0) return;
    for (const oldest of this.#open) {
      if (excess <= 0 || oldest === replica) return;
      if (!oldest.idle) continue;
      this.#open.delete(oldest);
      excess -= 1;
      this.#tasks.run(() => oldest.unload());
    }
  }

  #noteUnsynced(replica: Replica): void {
    this.#unsynced.add(replica);
    if (this.#upkeepRuns || this.#closing !== undefined) return;
    this.#upkeep ??= this.#env.setTimer(UPKEEP_INTERVAL_MS, () => this.#tasks.run(() => this.#keepUp()));
  }

  /** One at a time and with pauses, so that those who wait for the disk come first. */
  async #keepUp(): Promise<void> {
    this.#upkeep = undefined;
    this.#upkeepRuns = true;
    try {
      const quietSince = this.#env.monotonicMs() - QUIET_MS;
      for (const replica of [...this.#unsynced]) {
        if (this.#closing !== undefined) return;
        // It may have been deleted while others were settled.
        if (!this.#unsynced.has(replica)) continue;
        if (replica.changedAtMs > quietSince || !replica.idle) continue;
        const startedMs = this.#env.monotonicMs();
        await this.#settle(replica);
        if (!replica.unsynced || !replica.usable) this.#unsynced.delete(replica);
        const tookMs = this.#env.monotonicMs() - startedMs;
        await this.#env.sleep(Math.min(tookMs * UPKEEP_PAUSE_FACTOR, UPKEEP_PAUSE_MS_MAX));
      }
    } finally {
      this.#upkeepRuns = false;
    }
    const [left] = this.#unsynced;
    if (left !== undefined) this.#noteUnsynced(left);
  }

  /** One that turns out to be unusable is lost, and the others are not. (After a failed sync the server has failed already.) */
  async #settle(replica: Replica): Promise<void> {
    try {
      await replica.settle();
    } catch (error) {
      if (replica.usable) throw error;
      const fields = { chunk: hex(replica.chunk), error: messageOf(error) };
      this.#env.log.of('storage').error(fields, 'the files of a replica cannot be used any more');
    }
  }

  #noteCorrupt(chunk: number, blockIndex: number): void {
    this.#corruptBlockCount += 1;
    this.#env.log
      .of('storage')
      .error({ chunk: hex(chunk), block: blockIndex }, 'a block does not match its checksum');
    this.#options.onCorrupt?.({ chunk, blockIndex });
  }

  #fail(error: unknown): void {
    this.#failed = true;
    this.#env.log.of('storage').error({ error: messageOf(error) }, 'the storage of replicas failed');
    this.#options.onFatal?.(error);
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new GfsError('UNAVAILABLE', 'the storage of replicas is closing');
  }
}

function alreadyThere(chunk: number): GfsError {
  return new GfsError('EXISTS', `there is a replica of chunk ${hex(chunk)}`);
}
