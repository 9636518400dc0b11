import { assert } from '../base/assert.ts';
import { type Bytes, lengthOf } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { Refusal } from '../base/result.ts';
import type { TaskGroup } from '../base/task-group.ts';
import { firstDataRun, unitStart } from '../core/data-runs.ts';
import { digestOf } from '../core/learners.ts';
import type { BaseRecord } from '../core/replica-records.ts';
import { ReplicaStanding } from '../core/replica-standing.ts';
import type {
  AppendEntry,
  BlockSums,
  LessonBlock,
  LessonStart,
  LostBlock,
  Mutation,
  ReconcileEnd,
  ReplicaState,
  SerialStream,
  TableCut,
  VersionRecord,
} from '../core/replica-types.ts';
import {
  assertTaken,
  type ChangeContext,
  planCut,
  planLength,
  planLostBlock,
  planMend,
  planMutation,
  planWrite,
  sumAfterCut,
} from './replica-changes.ts';
import { cloneReplica } from './replica-clone.ts';
import type { ReplicaPlace } from './replica-files.ts';
import { type KeeperHost, ReplicaKeeper } from './replica-keeper.ts';
import { ReplicaQueue } from './replica-queue.ts';
import { assertIsBlock, assertRange, assertReplaces } from './replica-ranges.ts';
import { corruptBlock, type ReadAnswer } from './replica-reads.ts';

/** What replicas need of the store that holds them. */
export interface ReplicaHost extends KeeperHost {
  readonly tasks: TaskGroup;
  takeSpace(bytes: number): Promise<void> | undefined;
  takeReserve(bytes: number): void;
  onCorrupt(chunk: number, blockIndex: number): void;
  /** Its content is in memory and its files are open, and it is in use now. */
  onUse(replica: Replica): void;
  /** Something of it is not known to be on disk. */
  onUnsynced(replica: Replica): void;
}

export type ReadInTurn = { readonly stream: SerialStream } & (ReadAnswer | { readonly badBlock: LostBlock });

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
  readonly #keeper: ReplicaKeeper;
  readonly #standing: ReplicaStanding;
  readonly #queue: ReplicaQueue;

  private constructor(
    host: ReplicaHost,
    place: ReplicaPlace,
    { chunk, initial, synced }: { chunk: number; initial?: BaseRecord; synced: boolean },
  ) {
    this.chunk = chunk;
    this.#host = host;
    const owner = { onUse: () => host.onUse(this), onUnsynced: () => host.onUnsynced(this) };
    this.#keeper = new ReplicaKeeper(host, owner, place, { chunk, initial, synced });
    const { withoutRules } = host;
    this.#standing = new ReplicaStanding({ restarted: initial === undefined, withoutRules });
    this.#queue = new ReplicaQueue({
      tasks: host.tasks,
      prepare: () => this.#keeper.prepare(),
      plannedBytes: () => this.#keeper.plannedBytes,
      write: () => this.#keeper.write(),
      afterwards: () => (this.#keeper.isTimeToFold ? this.#keeper.tryToFold() : undefined),
    });
  }

  /** One that is nowhere yet. */
  static create(host: ReplicaHost, place: ReplicaPlace, initial: BaseRecord): Replica {
    const replica = new Replica(host, place, { chunk: initial.record.chunk, initial, synced: true });
    replica.#keeper.begin();
    return replica;
  }

  /** One that an earlier process left; undefined if nothing was acknowledged of it, CORRUPT if its log is damaged. */
  static async find(
    host: ReplicaHost,
    place: ReplicaPlace,
    chunk: number,
    synced: boolean,
  ): Promise<Replica | undefined> {
    const replica = new Replica(host, place, { chunk, synced });
    const found = await replica.#keeper.recover();
    return found ? replica : undefined;
  }

  /** As of the last applied change. */
  get state(): ReplicaState {
    const { state, readAtMs } = this.#keeper;
    return { ...state, readAtMs, standing: this.#standing.of(state) };
  }

  /** Something applied is not known to be on disk. */
  get unsynced(): boolean {
    return this.#keeper.unsynced;
  }
  /** False: its log cannot be read any more. All that is asked of it is refused, until the process has ended. */
  get usable(): boolean {
    return this.#keeper.usable;
  }
  get loaded(): boolean {
    return this.#keeper.loaded;
  }
  /** Nothing waits or runs, and nothing would be lost by `unload`. */
  get idle(): boolean {
    return !this.#queue.busy && this.#keeper.idle;
  }
  /** Monotonic time of the last change. */
  get changedAtMs(): number {
    return this.#keeper.changedAtMs;
  }

  /**
   * Resolves once mutation and data are in the OS of this machine; `data` is borrowed until then. Many may be in
   * flight; they are taken in the order of the calls, which must be the order of serials. A serial that was applied
   * before is ignored (it resolves after what it repeats). After a failure all later ones fail with SERIAL_GAP.
   *
   * A seal, and all before it, is on disk when it resolves: what comes next begins in another chunk, at this one's true
   * length, and if the end went with the power of all members, there would be zeros in the middle of a file (P14, P16).
   *
   * `lesson`: what a learner takes orders in; a member has none. Resolves to how many bytes were data and are zeros now.
   */
  apply(mutation: Mutation, data: Bytes, lesson?: string): Promise<number> {
    const applied = this.#queue.add('change', async () => {
      const context = this.#context();
      this.#check(this.#standing.refusalOfOrder(context.content, lesson));
      const { stream, record } = context.content;
      const repeat = mutation.version === record.version && mutation.serial < stream.nextSerial;
      return repeat ? 0 : await planMutation(context, mutation, data);
    });
    return mutation.kind === 'seal' ? Promise.all([applied, this.sync()]).then(() => 0) : applied;
  }

  /** Every byte is verified; shorter than asked where the chunk ends. The buffers are the caller's. */
  async read(chunkOffset: number, lengthBytes: number): Promise<ReadAnswer> {
    assertRange(chunkOffset, lengthBytes);
    const found = await this.#keeper.read(chunkOffset, lengthBytes);
    if (!('badBlock' in found)) return found;
    // Bytes may have changed under the read: what is bad with nobody beside it is bad.
    return this.#queue.add('alone', () => this.#readOrReport(chunkOffset, lengthBytes));
  }

  /** The first run of data that reaches beyond `start`, as `firstDataRun` tells it, after all that was asked for before. */
  findData(start: number, end: number): Promise<{ start: number; end: number } | undefined> {
    return this.#queue.add('alone', async () => {
      const { map, length } = this.#keeper.use().content;
      return firstDataRun(map.within(unitStart(start), Math.min(end, length)));
    });
  }

  /**
   * As `read`, of what is here between the changes asked for before and those asked for after; `stream` is the place
   * among the orders. The first bad block is an answer, not an error.
   */
  async readInTurn(chunkOffset: number, lengthBytes: number): Promise<ReadInTurn> {
    assertRange(chunkOffset, lengthBytes);
    return this.#queue.add('alone', async () => {
      const found = await this.#keeper.read(chunkOffset, lengthBytes);
      const { stream, checksums } = this.#keeper.use().content;
      if (!('badBlock' in found)) return { stream, ...found };
      const { badBlock: blockIndex } = found;
      this.#host.onCorrupt(this.chunk, blockIndex);
      const length = checksums.blockLength(blockIndex);
      return { stream, badBlock: { blockIndex, length, checksum: checksums.at(blockIndex) } };
    });
  }

  /**
   * Puts right a block that is bad on this disk, with what another replica has of it from its start on. Whether the block
   * matches its checksum now. Nothing but the bytes on the disk changes, in any standing; a change of the block
   * that was asked for before wins. With `settle` it gets out of the way of a restart.
   */
  mendBlock(blockIndex: number, data: Bytes): Promise<boolean> {
    assertRange(blockIndex * CHECKSUM_BLOCK_BYTES, lengthOf(data));
    return this.#queue.add('change', () => planMend(this.#context(), blockIndex, data));
  }

  /** Everything applied before is on disk (P14). */
  sync(): Promise<void> {
    return this.#queue.add('alone', () => this.#keeper.sync());
  }

  /** Records a version durably; VERSION_MISMATCH unless it is above its own. Cuts if told (P19). */
  setVersion(record: VersionRecord): Promise<void> {
    assert(record.chunk === this.chunk, 'the record is of this chunk');
    return this.#queue.add('alone', async () => {
      const context = this.#context();
      const { content } = context;
      this.#check(this.#standing.refusalOfVersion(content, record));
      const length = this.#standing.lengthUnder(content, record);
      const isShorter = length < content.length;
      const cut = isShorter ? { length, ...(await sumAfterCut(context, length)) } : undefined;
      await this.#keeper.syncData();
      const whole = this.#standing.isWhole(content) && cut?.badBlock === undefined;
      await this.#keeper.commit({ kind: 'version', record, epoch: this.#host.epoch, whole, cut });
      this.#standing.noteVersion();
    });
  }

  /** After everything that was asked for before. */
  blockChecksums(): Promise<BlockSums> {
    return this.#queue.add('alone', async () => this.#keeper.use().content.sums());
  }

  /** What the table of appends says of a writer, after everything that was asked for before. */
  appendOf(writer: number): Promise<AppendEntry | undefined> {
    return this.#queue.add('alone', async () => this.#keeper.use().content.appendOf(writer));
  }

  /**
   * Reconcile steps carry the version; once reconciled under it, they are ignored. A longer replica is cut, and with
   * its bytes go the entries of the table that speak of them (P8).
   */
  reconcileCut(version: number, length: number, table: TableCut): Promise<void> {
    assertRange(0, length);
    return this.#queue.add('change', async () => {
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
    return this.#queue.add('change', async () => {
      const context = this.#context();
      if (this.#ignoresStep(version)) return;
      const length = lengthOf(data);
      assertReplaces(context.content, blockIndex, length);
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
    return this.#queue.add('alone', async () => {
      const context = this.#context();
      const { content } = context;
      this.#check(this.#standing.refusalOfLearning(content, record));
      await this.#keeper.syncData();
      await planLength(context, start.length);
      const { serial, sealed, table } = start;
      const { epoch } = this.#host;
      await this.#keeper.commit({ kind: 'learn', record, lesson, epoch, serial, sealed, table });
      this.#standing.noteLessonBegun();
      return [...content.checksums.sums];
    });
  }

  /** A block as the primary has it before its order `serial`: the data is all that the replica holds of it (P9). */
  learnBlock(lesson: string, serial: number, { blockIndex, data, checksum }: LessonBlock): Promise<void> {
    const chunkOffset = blockIndex * CHECKSUM_BLOCK_BYTES;
    assertRange(chunkOffset, lengthOf(data));
    return this.#queue.add('change', async () => {
      const context = this.#context();
      this.#checkLessonBlock(context, lesson, serial, { blockIndex, length: lengthOf(data) });
      await planWrite(context, { serial: undefined, chunkOffset, data, checksums: [checksum] });
    });
  }

  /**
   * All was copied: what it holds before this order is what the primary holds. With the version that makes it a member it
   * will be whole. CHECKSUM_MISMATCH when it does not have this digest.
   */
  learned(lesson: string, serial: number, digest: number): Promise<void> {
    return this.#queue.add('alone', async () => {
      const { content } = this.#context();
      this.#check(this.#standing.refusalOfLesson(content, lesson, serial));
      if (digestOf(content.sums()) !== digest) {
        throw new GfsError('CHECKSUM_MISMATCH', `chunk ${hex(this.chunk)} is not what its primary has`);
      }
      this.#standing.noteLessonEnded(lesson);
    });
  }

  /** As `reconcileBlock`, of a block that nobody has any more: reads of it fail until it is overwritten (P7). */
  reconcileLostBlock(version: number, block: LostBlock): Promise<void> {
    assertRange(block.blockIndex * CHECKSUM_BLOCK_BYTES, block.length);
    return this.#queue.add('change', async () => {
      const context = this.#context();
      if (!this.#ignoresStep(version)) await planLostBlock(context, block);
    });
  }

  /** As `learnBlock`, of a block that no member has any more. */
  learnLostBlock(lesson: string, serial: number, block: LostBlock): Promise<void> {
    assertRange(block.blockIndex * CHECKSUM_BLOCK_BYTES, block.length);
    return this.#queue.add('change', async () => {
      const context = this.#context();
      this.#checkLessonBlock(context, lesson, serial, block);
      await planLostBlock(context, block);
    });
  }

  /**
   * Sets length, seal and table, syncs; the replica is reconciled and whole from now on, serials start at 0 (P8). For
   * the primary too, with what it has.
   */
  reconcileFinish(version: number, end: ReconcileEnd): Promise<void> {
    assertRange(0, end.length);
    return this.#queue.add('alone', async () => {
      const context = this.#context();
      if (this.#ignoresStep(version)) return;
      await this.#keeper.syncData();
      await planLength(context, end.length);
      const { sealed, table } = end;
      await this.#keeper.commit({ kind: 'finish', version, epoch: this.#host.epoch, sealed, table });
    });
  }

  /**
   * Makes, durably, a replica of another chunk from it, with this record: of the same version, as no other is to know what
   * this one has (P20). NOT_READY unless it is what all members have.
   */
  cloneTo(place: ReplicaPlace, record: VersionRecord): Promise<void> {
    return this.#queue.add('alone', async () => {
      const { content } = this.#context();
      this.#check(this.#standing.refusalOfCloning(content, record.version));
      await this.#keeper.sync();
      const kept = this.#keeper.use();
      await this.#host.takeSpace(kept.files.diskBytes);
      await cloneReplica(kept, place, record);
    });
  }

  /** Syncs; and if there is data in the log that belongs elsewhere, or was bad there, moves it and begins a new log. */
  settle(): Promise<void> {
    return this.#queue.add('alone', async () => {
      const { content } = this.#context();
      if (content.mended || content.inlineBytes > CHECKSUM_BLOCK_BYTES) await this.#keeper.tryToFold();
      else await this.#keeper.sync();
    });
  }

  /** With its files; not if by then it has recorded a higher version than this. Resolves to whether it is gone. */
  async delete(versionMax = Number.POSITIVE_INFINITY): Promise<boolean> {
    await this.#queue.add('ending', async () => {
      const { deleted, state } = this.#keeper;
      if (!deleted && state.record.version <= versionMax) await this.#keeper.remove();
    });
    return this.#keeper.deleted;
  }

  /** Closes its files and forgets its content until it is used again. Only when idle. */
  unload(): Promise<void> {
    assert(this.idle, 'nothing would be lost');
    return this.#queue.add('ending', () => this.#keeper.putAway());
  }

  /** Waits for everything asked for, syncs it, closes the files. */
  close(): Promise<void> {
    return this.#queue.add('ending', () => this.#keeper.close());
  }

  /** Alone: what does not match then is bad. */
  async #readOrReport(chunkOffset: number, lengthBytes: number): Promise<ReadAnswer> {
    const answer = await this.#keeper.read(chunkOffset, lengthBytes);
    if (!('badBlock' in answer)) return answer;
    this.#host.onCorrupt(this.chunk, answer.badBlock);
    throw corruptBlock(this.chunk, answer.badBlock);
  }

  #context(): ChangeContext {
    return {
      chunk: this.chunk,
      ...this.#keeper.use(),
      nowMs: this.#host.env.nowMs(),
      takeSpace: (bytes) => this.#host.takeSpace(bytes),
      takeReserve: (bytes) => this.#host.takeReserve(bytes),
      onCorrupt: (blockIndex) => this.#host.onCorrupt(this.chunk, blockIndex),
    };
  }

  #checkLessonBlock(
    { content }: ChangeContext,
    lesson: string,
    serial: number,
    { blockIndex, length }: Pick<LostBlock, 'blockIndex' | 'length'>,
  ): void {
    this.#check(this.#standing.refusalOfLesson(content, lesson, serial));
    assertIsBlock(content, blockIndex, length);
  }

  #ignoresStep(version: number): boolean {
    const { content } = this.#keeper.use();
    this.#check(this.#standing.refusalOfReconcileStep(content, version));
    return content.reconciled;
  }

  #check(refusal: Refusal | undefined): void {
    assertTaken(this.chunk, refusal);
  }
}
