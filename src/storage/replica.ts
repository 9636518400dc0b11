import { assert, must } from '../base/assert.ts';
import { type Bytes, lengthOf, NO_BYTES } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES, CHUNK_SIZE_BYTES_MAX } from '../base/constants.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { TaskGroup } from '../base/task-group.ts';
import { HOUR_MS } from '../base/units.ts';
import { digestOf } from '../core/learners.ts';
import { ReplicaContent } from '../core/replica-content.ts';
import type { BaseRecord } from '../core/replica-records.ts';
import type {
  BlockSums,
  LessonBlock,
  LessonStart,
  Mutation,
  ReconcileEnd,
  ReplicaState,
  SerialStream,
  Standing,
  TableCut,
  VersionRecord,
} from '../core/replica-types.ts';
import type { Rules } from '../core/rules.ts';
import {
  type ChangeContext,
  plan,
  planCut,
  planLength,
  planLostBlock,
  planMutation,
  planWrite,
  sumAfterCut,
} from './replica-changes.ts';
import { ReplicaFiles, type ReplicaPlace } from './replica-files.ts';
import { foldReplica } from './replica-fold.ts';
import { type JobKind, ReplicaQueue } from './replica-queue.ts';
import { corruptBlock, readVerified } from './replica-reads.ts';
import { recoverReplica } from './replica-recovery.ts';

/** A fragmented replica is slow to read. */
const SEGMENTS_MAX = 4096;
/** The time of the last read is remembered durably this coarsely, as with `relatime`. */
const READ_TIME_ERROR_MS_MAX = 1 * HOUR_MS;

/** What replicas need of the store that holds them. */
export interface ReplicaHost {
  readonly env: Env;
  readonly tasks: TaskGroup;
  /** See `MarkRecord`. */
  readonly epoch: string;
  /** A log is folded when it has grown by this much. */
  readonly logBytesMax: number;
  readonly withoutRules: Rules;
  takeSpace(bytes: number): Promise<void> | undefined;
  takeReserve(bytes: number): void;
  onCorrupt(chunk: number, blockIndex: number): void;
  onFatal(error: unknown): void;
  /** Its content is in memory and its files are open, and it is in use now. */
  onUse(replica: Replica): void;
  /** What it takes up on disk has changed by this much. */
  onGrowth(bytes: number): void;
  /** Something of it is not known to be on disk. */
  onUnsynced(replica: Replica): void;
}

export interface ReadAnswer {
  readonly payload: Bytes;
  /** Of the payload, cut where blocks of the chunk begin. */
  readonly checksums: readonly number[];
  readonly chunkLength: number;
}

/**
 * One chunk's replica. Changes are taken one after another from a queue; reads go beside them. Errors:
 * VERSION_MISMATCH, NOT_READY (standing), SERIAL_GAP, SEALED, CHECKSUM_MISMATCH (fields chunk, block), NO_SPACE,
 * INVALID_ARGUMENT, IO_ERROR, NO_SUCH_CHUNK (deleted meanwhile).
 *
 * Between uses it may be put away (`unload`): files closed, content forgotten, read again from the log when wanted.
 */
export class Replica {
  readonly chunk: number;
  readonly #host: ReplicaHost;
  readonly #place: ReplicaPlace;
  /** Of a replica that is not on disk yet. */
  #initial: BaseRecord | undefined;
  #loaded: { readonly content: ReplicaContent; readonly files: ReplicaFiles } | undefined;
  #loading: Promise<void> | undefined;
  #state: ReplicaState | undefined;
  #restarted: boolean;
  /** The lesson that it took to the end in this process: what clients were told meanwhile, it has (P9). */
  #learned: string | undefined;
  #unsynced: boolean;
  #readAtMs = 0;
  #deleted = false;
  #broken: GfsError | undefined;
  readonly #queue: ReplicaQueue;
  #foldFailedAtBytes = 0;
  #changedAtMs: number;

  private constructor(
    host: ReplicaHost,
    place: ReplicaPlace,
    chunk: number,
    from: { initial?: BaseRecord; synced: boolean },
  ) {
    this.chunk = chunk;
    this.#host = host;
    this.#place = place;
    this.#initial = from.initial;
    this.#restarted = from.initial === undefined && !host.withoutRules.has('P6');
    this.#unsynced = !from.synced;
    this.#changedAtMs = host.env.monotonicMs();
    this.#queue = new ReplicaQueue({
      tasks: host.tasks,
      prepare: () => this.#prepare(),
      plannedBytes: () => this.#plannedBytes(),
      write: () => this.#write(),
      afterwards: () => (this.#isTimeToFold() ? this.#tryToFold() : undefined),
    });
  }

  /** One that is nowhere yet. */
  static create(host: ReplicaHost, place: ReplicaPlace, initial: BaseRecord): Replica {
    const replica = new Replica(host, place, initial.record.chunk, { initial, synced: true });
    replica.#begin();
    return replica;
  }

  /** One that an earlier process left; undefined if nothing was acknowledged of it, CORRUPT if its log is damaged. */
  static async find(
    host: ReplicaHost,
    place: ReplicaPlace,
    chunk: number,
    synced: boolean,
  ): Promise<Replica | undefined> {
    const replica = new Replica(host, place, chunk, { synced });
    const found = await replica.#recover();
    return found ? replica : undefined;
  }

  /** As of the last applied change. */
  get state(): ReplicaState {
    const state = must(this.#state, 'a replica that is handed out has been read');
    const readAtMs = Math.max(this.#readAtMs, state.readAtMs);
    return { ...state, readAtMs };
  }

  /** Something applied is not known to be on disk. */
  get unsynced(): boolean {
    return this.#loaded?.files.unsynced ?? this.#unsynced;
  }
  /** False: its log cannot be read any more. All that is asked of it is refused, until the process has ended. */
  get usable(): boolean {
    return this.#broken === undefined;
  }
  get loaded(): boolean {
    return this.#loaded !== undefined;
  }
  /** Nothing waits or runs, and nothing would be lost by `unload`. */
  get idle(): boolean {
    return !this.#queue.busy && this.#loading === undefined && this.#initial === undefined;
  }
  /** Monotonic time of the last change. */
  get changedAtMs(): number {
    return this.#changedAtMs;
  }
  /**
   * Resolves once mutation and data are in the OS of this machine; `data` is borrowed until then. Many may be in
   * flight; they are taken in the order of the calls, which must be the order of serials. A serial that was applied
   * before is ignored (it resolves after what it repeats). After a failure all later ones fail with SERIAL_GAP.
   *
   * A seal, and all before it, is on disk when it resolves: what comes next begins in another chunk, at this one's true
   * length, and if the end went with the power of all members, there would be zeros in the middle of a file (P14, P16).
   *
   * `lesson`: what a learner takes orders in; a member has none.
   */
  apply(mutation: Mutation, data: Bytes, lesson?: string): Promise<void> {
    const applied = this.#enqueue('change', async () => {
      const context = this.#context();
      const standing = this.#standing(context.content);
      const isReady = standing === (lesson === undefined ? 'reconciled' : 'learning');
      if (!isReady || context.content.lesson !== lesson) {
        throw new GfsError('NOT_READY', `chunk ${hex(this.chunk)} is ${standing}`, { fields: { standing } });
      }
      const { stream, record } = context.content;
      const repeat = mutation.version === record.version && mutation.serial < stream.nextSerial;
      if (!repeat) await planMutation(context, mutation, data);
    });
    return mutation.kind === 'seal' ? Promise.all([applied, this.sync()]).then(() => undefined) : applied;
  }

  /** Every byte is verified; shorter than asked where the chunk ends. The buffers are the caller's. */
  async read(chunkOffset: number, lengthBytes: number): Promise<ReadAnswer> {
    assertRange(chunkOffset, lengthBytes);
    const found = await this.#tryRead(chunkOffset, lengthBytes);
    if (!('badBlock' in found)) return found;
    // Bytes may have changed under the read: what is bad with nobody beside it is bad.
    let again: ReadAnswer | undefined;
    await this.#enqueue('alone', async () => {
      again = await this.#readOrReport(chunkOffset, lengthBytes);
    });
    return must(again, 'it was read or an error was thrown');
  }

  /**
   * As `read`, of what is here between the changes asked for before and those asked for after; `stream` is the place
   * among the orders.
   */
  async readInTurn(
    chunkOffset: number,
    lengthBytes: number,
  ): Promise<ReadAnswer & { readonly stream: SerialStream }> {
    assertRange(chunkOffset, lengthBytes);
    let read: (ReadAnswer & { readonly stream: SerialStream }) | undefined;
    await this.#enqueue('alone', async () => {
      read = {
        ...(await this.#readOrReport(chunkOffset, lengthBytes)),
        stream: this.#context().content.stream,
      };
    });
    return must(read, 'it was read or an error was thrown');
  }

  /** Everything applied before is on disk (P14). */
  sync(): Promise<void> {
    return this.#enqueue('alone', () => this.#sync());
  }

  /** Records a version durably; VERSION_MISMATCH unless it is above its own. Cuts if told (P19). */
  setVersion(record: VersionRecord): Promise<void> {
    assert(record.chunk === this.chunk, 'the record is of this chunk');
    return this.#enqueue('alone', async () => {
      const context = this.#context();
      const { content, files } = context;
      const own = content.record.version;
      const { withoutRules } = this.#host;
      if (record.version <= own && !withoutRules.has('P2')) {
        throw new GfsError('VERSION_MISMATCH', `chunk ${hex(this.chunk)} is at version ${own}`, {
          fields: { version: String(own) },
        });
      }
      const hasLearned = content.lesson !== undefined && content.lesson === this.#learned;
      const isBehind = own < (record.cutVersion ?? 0) && !withoutRules.has('P19');
      // What a reconcile that did not end put behind the end goes in any case.
      const cutLength = Math.min(
        content.settledLength,
        (isBehind ? record.cutLength : undefined) ?? content.length,
      );
      let cut: { length: number; lastSum: number; badBlock?: number } | undefined;
      if (cutLength < content.length) {
        cut = { length: cutLength, ...(await sumAfterCut(context, cutLength)) };
      }
      // Data first: a version that is on disk must not lie behind records that a recovery cannot verify.
      await this.#synced(() => files.syncData());
      const whole = (content.whole || hasLearned) && cut?.badBlock === undefined;
      plan(context, { kind: 'version', record, epoch: this.#host.epoch, whole, cut });
      await this.#write();
      await this.#synced(() => files.syncLog());
      this.#restarted = false;
      this.#publish();
    });
  }

  /** After everything that was asked for before. */
  async blockChecksums(): Promise<BlockSums> {
    let sums: BlockSums | undefined;
    await this.#enqueue('alone', async () => {
      sums = this.#context().content.sums();
    });
    return must(sums, 'they were taken or an error was thrown');
  }

  /**
   * Reconcile steps carry the version; once reconciled under it, they are ignored. A longer replica is cut, and with
   * its bytes go the entries of the table that speak of them (P8).
   */
  reconcileCut(version: number, length: number, table: TableCut): Promise<void> {
    assertRange(0, length);
    return this.#enqueue('change', async () => {
      const context = this.#context();
      if (!this.#ignoresStep(version)) await planCut(context, length, table);
    });
  }

  /**
   * `data` becomes the block's content from its start, and must reach its end or the replica's end. What reaches
   * beyond the replica's end counts for nothing before the finish (P8).
   */
  reconcileBlock(version: number, blockIndex: number, data: Bytes, checksum: number): Promise<void> {
    assertRange(blockIndex * CHECKSUM_BLOCK_BYTES, lengthOf(data));
    return this.#enqueue('change', async () => {
      const context = this.#context();
      if (this.#ignoresStep(version)) return;
      const length = lengthOf(data);
      if (
        length === 0 ||
        length > CHECKSUM_BLOCK_BYTES ||
        length < context.content.checksums.blockLength(blockIndex)
      ) {
        throw new GfsError('INVALID_ARGUMENT', `${length} bytes do not replace block ${blockIndex}`);
      }
      const chunkOffset = blockIndex * CHECKSUM_BLOCK_BYTES;
      await planWrite(context, { serial: undefined, chunkOffset, data, checksums: [checksum] });
    });
  }

  /**
   * Becomes, durably, a learner of this version, which it is no member of (P9): with the primary's length, seal and table, and
   * its own bytes as far as there are any. Resolves to the checksums of its blocks, for the primary to see what still
   * matches. VERSION_MISMATCH unless the version is above its own, or its own in an earlier lesson.
   */
  async learn(record: VersionRecord, lesson: string, start: LessonStart): Promise<readonly number[]> {
    assert(record.chunk === this.chunk, 'the record is of this chunk');
    assertRange(0, start.length);
    let sums: readonly number[] | undefined;
    await this.#enqueue('alone', async () => {
      const context = this.#context();
      const { content, files } = context;
      const own = content.record.version;
      if (record.version < own || (record.version === own && content.lesson === undefined)) {
        throw new GfsError('VERSION_MISMATCH', `chunk ${hex(this.chunk)} is at version ${own}`, {
          fields: { version: String(own) },
        });
      }
      await this.#synced(() => files.syncData());
      await planLength(context, start.length);
      const { serial, sealed, table } = start;
      plan(context, { kind: 'learn', record, lesson, epoch: this.#host.epoch, serial, sealed, table });
      await this.#write();
      await this.#synced(() => files.syncLog());
      this.#restarted = false;
      this.#learned = undefined;
      this.#publish();
      sums = [...content.checksums.sums];
    });
    return must(sums, 'they were taken or an error was thrown');
  }

  /** A block as the primary has it before its order `serial`: the data is all that the replica holds of it (P9). */
  learnBlock(lesson: string, serial: number, { blockIndex, data, checksum }: LessonBlock): Promise<void> {
    const chunkOffset = blockIndex * CHECKSUM_BLOCK_BYTES;
    assertRange(chunkOffset, lengthOf(data));
    return this.#enqueue('change', async () => {
      const context = this.#context();
      this.#checkLesson(lesson, serial);
      const length = lengthOf(data);
      if (length === 0 || length !== context.content.checksums.blockLength(blockIndex)) {
        throw new GfsError('INVALID_ARGUMENT', `${length} bytes are not block ${blockIndex}`);
      }
      await planWrite(context, { serial: undefined, chunkOffset, data, checksums: [checksum] });
    });
  }

  /**
   * All was copied: what it holds before this order is what the primary holds. With the version that makes it a member it
   * will be whole. CHECKSUM_MISMATCH when it does not have this digest.
   */
  learned(lesson: string, serial: number, digest: number): Promise<void> {
    return this.#enqueue('alone', async () => {
      const { content } = this.#context();
      this.#checkLesson(lesson, serial);
      if (digestOf(content.sums()) !== digest) {
        throw new GfsError('CHECKSUM_MISMATCH', `chunk ${hex(this.chunk)} is not what its primary has`);
      }
      this.#learned = lesson;
    });
  }

  /** As `reconcileBlock`, of a block that nobody has any more: reads of it fail until it is overwritten (P7). */
  reconcileLostBlock(
    version: number,
    { blockIndex, length, checksum }: { blockIndex: number; length: number; checksum: number },
  ): Promise<void> {
    assertRange(blockIndex * CHECKSUM_BLOCK_BYTES, length);
    return this.#enqueue('change', async () => {
      const context = this.#context();
      if (!this.#ignoresStep(version)) await planLostBlock(context, { blockIndex, length, checksum });
    });
  }

  /**
   * Sets length, seal and table, syncs; the replica is reconciled and whole from now on, serials start at 0 (P8). For
   * the primary too, with what it has.
   */
  reconcileFinish(version: number, end: ReconcileEnd): Promise<void> {
    assertRange(0, end.length);
    return this.#enqueue('alone', async () => {
      const context = this.#context();
      const { files } = context;
      if (this.#ignoresStep(version)) return;
      await this.#synced(() => files.syncData());
      await planLength(context, end.length);
      const { sealed, table } = end;
      plan(context, { kind: 'finish', version, epoch: this.#host.epoch, sealed, table });
      await this.#write();
      await this.#synced(() => files.syncLog());
      this.#publish();
    });
  }

  /** Syncs; and if there is data in the log that belongs elsewhere, moves it there and begins a new log. */
  settle(): Promise<void> {
    return this.#enqueue('alone', async () => {
      const { content } = this.#context();
      if (content.inlineBytes > CHECKSUM_BLOCK_BYTES) await this.#tryToFold();
      else await this.#sync();
    });
  }

  /** With its files; not if by then it has recorded a higher version than this. Resolves to whether it is gone. */
  async delete(versionMax = Number.POSITIVE_INFINITY): Promise<boolean> {
    await this.#enqueue('ending', async () => {
      const version = this.#state?.record.version ?? 0;
      if (this.#deleted || version > versionMax) return;
      const files = this.#loaded?.files ?? new ReplicaFiles(this.#place, this.chunk);
      this.#deleted = true;
      this.#loaded = undefined;
      this.#unsynced = false;
      this.#host.onGrowth(-(this.#state?.diskBytes ?? 0));
      await files.removeAll();
    });
    return this.#deleted;
  }

  /** Closes its files and forgets its content until it is used again. Only when idle. */
  unload(): Promise<void> {
    assert(this.idle, 'nothing would be lost');
    return this.#enqueue('ending', () => this.#putAway());
  }

  /** Waits for everything asked for, syncs it, closes the files. */
  async close(): Promise<void> {
    await this.#enqueue('ending', async () => {
      if (this.#deleted || this.#broken !== undefined) return;
      if (this.#loaded === undefined) {
        if (!this.#unsynced) return;
        await this.#load();
      }
      await this.#noteRead();
      await this.#syncAtLast();
      await this.#putAway();
    });
  }

  /** Of one that never got to the disk nothing was acknowledged: it may go when there is no room for it. */
  async #syncAtLast(): Promise<void> {
    const wasCreated = must(this.#loaded, 'loaded before').files.created;
    try {
      await this.#sync();
    } catch (error) {
      if (wasCreated || codeOf(error) !== 'NO_SPACE') throw error;
    }
  }

  async #putAway(): Promise<void> {
    if (this.#loaded === undefined) return;
    await this.#noteRead();
    const { files } = must(this.#loaded, 'loaded before');
    this.#unsynced = files.unsynced;
    this.#loaded = undefined;
    await files.close();
  }

  /** Now and then the time of the last read gets into the log. Without space for it, it does not. */
  async #noteRead(): Promise<void> {
    const { content, files } = must(this.#loaded, 'loaded before it runs');
    const isNews = this.#readAtMs - content.readAtMs > READ_TIME_ERROR_MS_MAX;
    if (!isNews || !files.created || this.#broken !== undefined) return;
    plan({ content, files }, { kind: 'read', readAtMs: this.#readAtMs });
    try {
      await this.#write();
    } catch (error) {
      if (codeOf(error) !== 'NO_SPACE') throw error;
      this.#assertUsable();
    }
  }

  #enqueue(kind: JobKind, run: () => Promise<void>): Promise<void> {
    return this.#queue.add(kind, run);
  }

  #prepare(): Promise<void> | undefined {
    if (this.#loaded === undefined) return this.#load();
    this.#assertUsable();
    return undefined;
  }

  #plannedBytes(): number {
    if (this.#loaded === undefined) return 0;
    const { logBytes, dataBytes } = this.#loaded.files.planned;
    return logBytes + dataBytes;
  }

  /** What is planned is in the OS, or the replica is as if it had never been planned. */
  async #write(): Promise<void> {
    const { files } = must(this.#loaded, 'what plans is loaded');
    try {
      await files.writePlanned();
    } catch (error) {
      await this.#rollBack(files);
      throw error;
    }
    this.#initial = undefined;
    this.#changedAtMs = this.#host.env.monotonicMs();
    this.#publish();
  }

  /** Nobody may look at the content that was planned: reads wait until the log has been read again. */
  async #rollBack(files: ReplicaFiles): Promise<void> {
    this.#loaded = undefined;
    this.#unsynced = true;
    this.#loading = (async () => {
      try {
        const isOnDisk = await files.dropPlanned();
        await files.close();
        if (!isOnDisk) this.#begin();
        else if (!(await this.#recover())) throw new GfsError('IO_ERROR', 'the log is gone');
      } catch (error) {
        this.#break(error);
      } finally {
        this.#loading = undefined;
      }
    })();
    await this.#loading;
  }

  async #tryRead(
    chunkOffset: number,
    lengthBytes: number,
  ): Promise<ReadAnswer | { readonly badBlock: number }> {
    while (this.#loaded === undefined) await this.#load();
    this.#assertUsable();
    const { content, files } = this.#loaded;
    this.#host.onUse(this);
    this.#readAtMs = this.#host.env.nowMs();
    // What is planned but not written yet is not there for readers.
    const chunkLength = Math.min(content.length, must(this.#state, 'loaded').length);
    const end = Math.min(chunkLength, chunkOffset + lengthBytes);
    if (chunkOffset >= end) return { payload: NO_BYTES, checksums: [], chunkLength };
    const found = await readVerified(content, files, chunkOffset, end);
    if ('badBlock' in found) return found;
    return { payload: [found.bytes], checksums: found.checksums, chunkLength };
  }

  /** Alone: what does not match then is bad. */
  async #readOrReport(chunkOffset: number, lengthBytes: number): Promise<ReadAnswer> {
    const answer = await this.#tryRead(chunkOffset, lengthBytes);
    if (!('badBlock' in answer)) return answer;
    this.#host.onCorrupt(this.chunk, answer.badBlock);
    throw corruptBlock(this.chunk, answer.badBlock);
  }

  async #sync(): Promise<void> {
    const { content, files } = must(this.#loaded, 'loaded before it runs');
    if (!files.created) {
      files.plan(content.base([]), NO_BYTES);
      await this.#write();
    }
    if (!files.unsynced) return;
    await this.#synced(() => files.syncData());
    if (content.wantsMark) await this.#mark();
    // Again: a failed write of the mark had the log read anew.
    const now = must(this.#loaded, 'loaded before it runs');
    await this.#synced(() => now.files.syncLog());
  }

  /** A full disk does not keep what was acknowledged from being synced: there is no mark then. */
  async #mark(): Promise<void> {
    const loaded = must(this.#loaded, 'loaded before it runs');
    plan(loaded, { kind: 'mark', epoch: this.#host.epoch, whole: loaded.content.whole });
    try {
      await this.#write();
    } catch (error) {
      if (codeOf(error) !== 'NO_SPACE') throw error;
      this.#assertUsable();
    }
  }

  /** After a failed sync nothing may be assumed of what is on the disk: the process has to recover. */
  async #synced(sync: () => Promise<void>): Promise<void> {
    try {
      await sync();
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  #fail(error: unknown): void {
    this.#break(error);
    this.#host.onFatal(error);
  }

  #isTimeToFold(): boolean {
    if (this.#loaded === undefined || this.#broken !== undefined) return false;
    const { content, files } = this.#loaded;
    if (files.changeBytes - this.#foldFailedAtBytes > this.#host.logBytesMax) return true;
    const { segmentCount } = content.map;
    return segmentCount > SEGMENTS_MAX && content.inlineBytes > 0 && this.#foldFailedAtBytes === 0;
  }

  async #tryToFold(): Promise<void> {
    try {
      await this.#fold();
    } catch (error) {
      if (this.#broken !== undefined) return;
      const fields = { chunk: hex(this.chunk), error: messageOf(error) };
      this.#host.env.log.warn(fields, 'the log of a chunk cannot be folded now; it grows on');
      this.#foldFailedAtBytes = this.#loaded?.files.changeBytes ?? 0;
    }
  }

  async #fold(): Promise<void> {
    await this.#place.names.writable();
    await this.#sync();
    const { content, files } = must(this.#loaded, 'loaded before it runs');
    if (content.wantsMark) throw new GfsError('NO_SPACE', 'no space for a mark');
    let hasSwitched = false;
    try {
      await foldReplica(content, files, {
        synced: (sync) => this.#synced(sync),
        switched: (folded) => {
          hasSwitched = true;
          this.#loaded = { content: folded, files };
        },
      });
    } catch (error) {
      // Which of the two logs a recovery would find is not known now.
      if (hasSwitched) this.#fail(error);
      throw error;
    }
    this.#foldFailedAtBytes = 0;
    this.#publish();
  }

  #context(): ChangeContext {
    const { content, files } = must(this.#loaded, 'loaded before it runs');
    this.#host.onUse(this);
    return {
      chunk: this.chunk,
      content,
      files,
      nowMs: this.#host.env.nowMs(),
      takeSpace: (bytes) => this.#host.takeSpace(bytes),
      takeReserve: (bytes) => this.#host.takeReserve(bytes),
      onCorrupt: (blockIndex) => this.#host.onCorrupt(this.chunk, blockIndex),
    };
  }

  #checkLesson(lesson: string, serial: number): void {
    const { content } = this.#context();
    const refusal = content.refusalOfLesson(lesson, serial);
    if (refusal === undefined && !this.#restarted) return;
    const { code, message, fields } = refusal ?? { code: 'NOT_READY', message: 'its lesson was broken off' };
    throw new GfsError(code, `chunk ${hex(this.chunk)}: ${message}`, fields === undefined ? {} : { fields });
  }

  #ignoresStep(version: number): boolean {
    const { content } = must(this.#loaded, 'loaded before it runs');
    const own = content.record.version;
    if (version !== own) {
      throw new GfsError(
        'VERSION_MISMATCH',
        `chunk ${hex(this.chunk)} is at version ${own}, not ${version}`,
        {
          fields: { version: String(own) },
        },
      );
    }
    // What it was reconciled to before the restart may have grown since, on others too (P6).
    if (this.#restarted || content.lesson !== undefined)
      throw new GfsError('NOT_READY', `chunk ${hex(this.chunk)} waits for a new version`);
    return content.reconciled;
  }

  #assertUsable(): void {
    if (this.#deleted) throw new GfsError('NO_SUCH_CHUNK', `chunk ${hex(this.chunk)} was deleted`);
    if (this.#broken !== undefined) throw this.#broken;
  }

  #break(error: unknown): void {
    this.#broken ??= new GfsError('IO_ERROR', `chunk ${hex(this.chunk)}: ${messageOf(error)}`, {
      cause: error,
    });
  }

  #begin(): void {
    const initial = must(this.#initial, 'it is not on disk yet');
    const files = new ReplicaFiles(this.#place, this.chunk);
    this.#loaded = { content: new ReplicaContent(initial, 0), files };
    this.#publish();
  }

  async #load(): Promise<void> {
    this.#assertUsable();
    this.#loading ??= this.#recoverAgain();
    await this.#loading;
  }

  async #recoverAgain(): Promise<void> {
    try {
      if (await this.#recover()) return;
      throw new GfsError('IO_ERROR', `the log of chunk ${hex(this.chunk)} is gone`);
    } finally {
      this.#loading = undefined;
    }
  }

  async #recover(): Promise<boolean> {
    const { env, epoch, withoutRules } = this.#host;
    const synced = !this.#unsynced;
    const found = await recoverReplica({
      place: this.#place,
      chunk: this.chunk,
      epoch,
      synced,
      withoutRules,
    });
    if (found === undefined) return false;
    if (found.found !== 'D' && found.found !== 'G') {
      env.log.warn({ chunk: hex(this.chunk), case: found.found }, 'the log of a chunk had a broken tail');
    }
    this.#loaded = { content: found.content, files: found.files };
    this.#publish();
    this.#host.onUse(this);
    return true;
  }

  #publish(): void {
    const { content, files } = must(this.#loaded, 'loaded before it runs');
    const { diskBytes } = files;
    this.#host.onGrowth(diskBytes - (this.#state?.diskBytes ?? 0));
    if (files.unsynced) this.#host.onUnsynced(this);
    this.#state = {
      chunk: this.chunk,
      record: content.record,
      standing: this.#standing(content),
      lesson: content.lesson,
      reconciledVersion: content.reconciledVersion,
      whole: content.whole,
      length: content.settledLength,
      sealed: content.sealed,
      stream: content.stream,
      writtenAtMs: content.writtenAtMs,
      readAtMs: content.readAtMs,
      diskBytes,
    };
  }

  #standing(content: ReplicaContent): Standing {
    if (this.#restarted) return 'restarted';
    if (content.lesson !== undefined) return 'learning';
    return content.reconciled ? 'reconciled' : 'unreconciled';
  }
}

function assertRange(chunkOffset: number, lengthBytes: number): void {
  const end = chunkOffset + lengthBytes;
  if (
    Number.isSafeInteger(chunkOffset) &&
    chunkOffset >= 0 &&
    lengthBytes >= 0 &&
    end <= CHUNK_SIZE_BYTES_MAX
  ) {
    return;
  }
  throw new GfsError('INVALID_ARGUMENT', `no chunk has ${lengthBytes} bytes at ${chunkOffset}`);
}
