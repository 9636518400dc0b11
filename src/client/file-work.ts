import { must } from '../base/assert.ts';
import { type Bytes, lengthOf, NO_BYTES } from '../base/bytes.ts';
import { recordBytesMax } from '../base/constants.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import type { InodeId } from '../base/ids.ts';
import { GiB } from '../base/units.ts';
import { hasSetIds } from '../core/metadata/permissions.ts';
import type { Rules } from '../core/rules.ts';
import { type Attributes, MasterDefinition } from '../rpc/messages.ts';
import type { Allocation, AttributeChanges, Waiting } from './api.ts';
import { AppendQueue } from './append-queue.ts';
import type { Appender } from './appender.ts';
import type { BlockCache } from './block-cache.ts';
import type { ChunkReader } from './chunk-reader.ts';
import { type ChunkWriter, dataOf } from './chunk-writer.ts';
import type { DataFinder } from './data-finder.ts';
import type { Owner } from './dirty-ranges.ts';
import type { Entries } from './entries.ts';
import type { ExtentSpan } from './extent-map.ts';
import { FileAllocator } from './file-allocator.ts';
import type { CopyPlace, FileCopier } from './file-copier.ts';
import { FileReports, NO_CHANGE } from './file-reports.ts';
import type { FileState } from './file-state.ts';
import type { FileStates } from './file-states.ts';
import type { Asked, KnownEntries } from './known-entries.ts';
import type { Access, Locations } from './locations.ts';
import { Locks } from './locks.ts';
import type { MasterLink } from './master-link.ts';
import { NamedAppendQueue } from './named-appender.ts';
import { NamedWriter } from './named-writer.ts';
import { Patience, within } from './patience.ts';
import type { Range, RangeZeroer } from './range-zeroer.ts';
import { type ReadaheadBudget, ReadStream } from './read-stream.ts';
import { attributesRequest } from './requests.ts';
import type { Session } from './session.ts';
import { WriteBehind, type WriteBehindShare } from './write-behind.ts';
import type { Writer, Writers } from './writers.ts';

const { setAttributes } = MasterDefinition.methods;

/**
 * Of `ioTimeoutMs`: a write may go out when a `sync` begins to wait for it, and its error has to be there before that gives
 * up by itself; else the same fault is told twice.
 */
const WRITE_BEHIND_PATIENCE = 0.9;

/** A copy that is asked for at once goes no further. */
const COPY_BYTES_MAX = 1 * GiB;

export interface FileWorkOptions {
  readonly env: Env;
  readonly ioTimeoutMs: number;
  readonly readaheadBytesMax: number;
  readonly chunkSizeBytes: number;
  readonly session: Session;
  readonly locations: Locations;
  readonly states: FileStates;
  readonly entries: Entries;
  readonly known: KnownEntries;
  readonly reader: ChunkReader;
  readonly writer: ChunkWriter;
  readonly zeroer: RangeZeroer;
  readonly finder: DataFinder;
  readonly copier: FileCopier;
  readonly appender: Appender;
  readonly writers: Writers;
  readonly withoutRules: Rules;
  readonly cache: BlockCache;
  readonly readahead: ReadaheadBudget;
  readonly share: WriteBehindShare;
  readonly link: MasterLink;
  /** Somebody else may have changed the file. */
  readonly onChanged: (inode: InodeId) => void;
}

/** What open files have done for them: their state, the cluster and the master brought together. */
export class FileWork {
  readonly locks: Locks;
  readonly reports: FileReports;
  readonly #options: FileWorkOptions;
  readonly #allocator: FileAllocator;

  constructor(options: FileWorkOptions) {
    this.#options = options;
    const { env, link, session, states, share, onChanged } = options;
    this.reports = new FileReports(options);
    this.#allocator = new FileAllocator({
      ...options,
      reports: this.reports,
      attributes: (state, access, patience) => this.attributes(state, access, patience),
    });
    this.locks = new Locks({
      ...{ env, link, session, states, onChanged, tasks: share.tasks },
      patience: (waiting) => this.patience(waiting),
      settle: (state, access, patience) => this.#settle(state, access, patience),
    });
  }

  nowMs(): number {
    return this.#options.env.monotonicMs();
  }

  patience(waiting: Waiting | undefined): Patience {
    return new Patience(this.#options.env, waiting, this.#options.ioTimeoutMs);
  }

  newStream(state: FileState, access: Access): ReadStream {
    return new ReadStream({
      readaheadBytesMax: this.#options.readaheadBytesMax,
      budget: this.#options.readahead,
      fetch: (fileOffset, length) =>
        this.read(state, access, fileOffset, length, this.patience(undefined), false),
      fileLength: () => state.length,
    });
  }

  /** What the cluster has, all of which the file is known to have. `keep`: it may be asked for again. */
  async read(
    state: FileState,
    access: Access,
    fileOffset: number,
    length: number,
    patience: Patience,
    keep: boolean,
  ): Promise<Bytes> {
    const { cache, reader } = this.#options;
    const cached = cache.find(state, fileOffset, fileOffset + length);
    if (cached !== undefined) return cached;
    const { changeCount } = state;
    const bytes = await reader.read(access, fileOffset, length, state.grewAtMs, patience);
    // If something was written meanwhile, this may be older than that.
    if (keep && state.changeCount === changeCount) cache.keep(state, fileOffset, bytes, state.length);
    return bytes;
  }

  /** SESSION_EXPIRED: the open file was its session's, which ended. */
  mustHold({ openId }: Access): void {
    this.#options.session.mustHold(openId);
  }

  takeRoom(bytes: number, waiting: Waiting | undefined): Promise<void> | undefined {
    return this.#options.share.budget.take(bytes, waiting);
  }

  /** Takes a write that has its room. */
  accept(
    state: FileState,
    access: Access,
    fileOffset: number,
    bytes: Uint8Array,
    owner: Owner | undefined,
    waiting: Waiting | undefined,
  ): void {
    state.writeBehind ??= this.#newWriteBehind(state);
    if (state.writeAccess !== access) this.#dropUnheld(state);
    // It may add an extent behind the one that was the last.
    state.appendedTo = undefined;
    // The latest writer's right is good: an open file's writes are out before it is given back.
    state.writeAccess = access;
    state.untold.by(access.caller);
    state.wrote(fileOffset, fileOffset + bytes.length);
    state.writeBehind.accept(fileOffset, bytes, owner, waiting);
  }

  /** All writes that were taken so far are at the cluster, or their error is known. */
  async drained(state: FileState, patience: Patience): Promise<void> {
    if (state.writeBehind === undefined || state.writeBehind.isIdle) return;
    await within(this.#options.env, state.writeBehind.drained(), patience, 'data was not written');
  }

  /** What was written here is at the cluster, and the master was told how long the file is. */
  async #settle(state: FileState, access: Access, patience: Patience): Promise<void> {
    await this.drained(state, patience);
    await this.reports.commit(state, access, patience);
  }

  /** By this open file something is locked, which closing it unlocks: what was written before is to be where others look. */
  async settleLocked(state: FileState, access: Access, patience: Patience): Promise<void> {
    const { session } = this.#options;
    if (session.locks.isHeldBy(state.inode, access.openId)) await this.#settle(state, access, patience);
  }

  /** The appends of another writer of this open file. */
  newAppendQueue(state: FileState, access: Access): AppendQueue {
    const { env, chunkSizeBytes, writers } = this.#options;
    return new AppendQueue({
      env,
      recordBytesMax: recordBytesMax(chunkSizeBytes),
      takeWriter: (patience) => writers.take(patience),
      giveBack: (writer) => writers.giveBack(writer),
      append: (writer, bytes, patience) => this.#append(state, access, writer, bytes, patience),
    });
  }

  /** The appends of this open file by a name that the file knows. */
  async newNamedQueue(
    state: FileState,
    access: Access,
    name: Uint8Array,
    patience: Patience,
  ): Promise<NamedAppendQueue> {
    const { env, chunkSizeBytes } = this.#options;
    let { truncations } = state;
    let end = 0;
    const onAppended = (span: ExtentSpan, fileOffset: number, bytes: Bytes) => {
      state.unsynced.acknowledged(span);
      // One writer's records follow one another.
      if (fileOffset < end) state.cutElsewhere(fileOffset);
      end = fileOffset + lengthOf(bytes);
      state.untold.by(access.caller);
      state.appended(fileOffset, bytes, truncations);
    };
    const onFound = (span: ExtentSpan, foundEnd: number) => onAppended(span, foundEnd, NO_BYTES);
    const writer = new NamedWriter({ ...this.#options, access, name, onFound });
    await writer.name(patience);
    return new NamedAppendQueue({
      env,
      recordBytesMax: recordBytesMax(chunkSizeBytes),
      writer,
      pass: async (work, patience) => {
        // Writes of this client may lie at the end of the file.
        if (!state.isIdle) await this.drained(state, patience);
        ({ truncations } = state);
        await state.appends.pass(work);
      },
      onAppended,
    });
  }

  async #append(
    state: FileState,
    access: Access,
    writer: Writer,
    bytes: Bytes,
    patience: Patience,
  ): Promise<number> {
    // Writes of this client may lie at the end of the file.
    if (!state.isIdle) await this.drained(state, patience);
    const record = { id: { writer: writer.id, number: writer.nextNumber() }, bytes };
    const { truncations } = state;
    const { appender } = this.#options;
    const fileOffset = await state.appends.pass(() => appender.append(access, state, record, patience));
    // One writer's records follow one another.
    if (fileOffset < writer.endIn(state.inode)) state.cutElsewhere(fileOffset);
    writer.appendedTo(state.inode, fileOffset + lengthOf(bytes));
    state.untold.by(access.caller);
    state.appended(fileOffset, bytes, truncations);
    return fileOffset;
  }

  /** All members of all chunks with unsynced mutations of this client sync them. */
  async sync(state: FileState, access: Access, patience: Patience): Promise<void> {
    using _ = await state.syncing.acquire();
    const results = await Promise.allSettled(
      [...state.unsynced.take()].map(async (unsynced) => {
        try {
          await this.#options.writer.sync(access, unsynced, patience);
        } catch (error) {
          if (codeOf(error) !== 'WRITES_LOST') {
            state.unsynced.add(unsynced);
            throw error;
          }
          // Told once to each open file, as any write that failed after it was taken.
          state.failed(error);
        }
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Sets the length, and what else is asked, with nothing of this file on its way meanwhile. */
  async setLength(
    state: FileState,
    access: Access,
    changes: AttributeChanges,
    byOpenFile: boolean,
    patience: Patience,
  ): Promise<Attributes> {
    using _ = await state.truncating.acquire();
    await this.drained(state, patience);
    using _hold = state.writeBehind?.hold();
    // The master cuts the chunks of a file as long as it knows it to be.
    await this.reports.commit(state, access, patience);
    const { attributes, asked } = await this.#setAtMaster(access, changes, byOpenFile, patience);
    state.truncated(attributes);
    this.#options.known.changed(attributes, asked);
    return state.attributesSet(attributes, changes.mtime !== undefined);
  }

  /** As a write by somebody without privileges does it. */
  async dropSetIds(state: FileState, access: Access, patience: Patience): Promise<void> {
    if (state.setIds.state === 'unknown') await this.attributes(state, access, patience);
    if (state.setIds.state === 'none') return;
    await this.setAttributes(state, access, { dropSetIds: true }, true, patience);
  }

  /**
   * Set-id bits or capabilities are about to be given. A write takes them away, and so does the word of one that the master has not
   * been told of: it comes first.
   */
  async tellBeforeRights(state: FileState | undefined, access: Access, patience: Patience): Promise<void> {
    if (state?.isUncommitted) await this.#settle(state, access, patience);
  }

  /** All but the length of what is known here: that is for `setLength`. */
  async setAttributes(
    state: FileState | undefined,
    access: Access,
    changes: AttributeChanges,
    byOpenFile: boolean,
    patience: Patience,
  ): Promise<Attributes> {
    const { mode } = changes;
    if (mode !== undefined && hasSetIds({ mode })) await this.tellBeforeRights(state, access, patience);
    const { attributes, asked } = await this.#setAtMaster(access, changes, byOpenFile, patience);
    this.#options.known.changed(attributes, asked);
    return state?.attributesSet(attributes, changes.mtime !== undefined) ?? attributes;
  }

  /** What it answers is for the caller to make known. */
  async #setAtMaster(
    { inode, caller, openId }: Access,
    changes: AttributeChanges,
    byOpenFile: boolean,
    patience: Patience,
  ): Promise<{ attributes: Attributes; asked: Asked }> {
    const { session, entries, known } = this.#options;
    const request = attributesRequest(inode, changes, byOpenFile);
    const asked = known.asking();
    const answer = await session.command(setAttributes, request, caller, patience, true, openId);
    return { attributes: await entries.exact(answer, caller, patience), asked };
  }

  /** A range becomes zeros, or the file longer, or both, with nothing of this file on its way meanwhile. */
  async allocate(
    state: FileState,
    access: Access,
    range: Range,
    how: Allocation,
    patience: Patience,
  ): Promise<void> {
    using _ = await state.truncating.acquire();
    while (!state.isIdle) await this.drained(state, patience);
    state.writeBehind ??= this.#newWriteBehind(state);
    using _hold = state.writeBehind.hold();
    await this.reports.commit(state, access, patience);
    await this.#allocator.allocate(state, access, range, how, patience);
  }

  /** Copies some of the range to the target, behind all that was written to both; as far as the source reaches. */
  async copy(source: CopyPlace, target: CopyPlace, length: number, patience: Patience): Promise<number> {
    await this.drained(source.state, patience);
    const { length: sourceLength } = await this.attributes(source.state, source.access, patience);
    const wanted = Math.min(length, COPY_BYTES_MAX, sourceLength - source.start);
    if (wanted <= 0) return 0;
    const { state, access } = target;
    if (source.state === state && Math.abs(source.start - target.start) < wanted) {
      throw new GfsError('INVALID_ARGUMENT', 'ranges of one file overlap');
    }
    using _ = await state.truncating.acquire();
    while (!state.isIdle) await this.drained(state, patience);
    state.writeBehind ??= this.#newWriteBehind(state);
    using _hold = state.writeBehind.hold();
    // It may add an extent behind the one that was the last.
    state.appendedTo = undefined;
    const commit = () => this.reports.commit(state, access, patience);
    const copied = await this.#options.copier.copy(source, target, wanted, patience, commit);
    const { length: copiedLength, zeroedBytes, endsInHole } = copied;
    if (endsInHole || zeroedBytes > 0) {
      const change = { ...NO_CHANGE, length: endsInHole ? target.start + copiedLength : 0, zeroedBytes };
      await this.reports.allocated(state, access, change, 0, patience);
    }
    return copiedLength;
  }

  /** Of what was taken here, too: it is at the cluster first. */
  async seek(
    state: FileState,
    access: Access,
    start: number,
    kind: 'data' | 'hole',
    patience: Patience,
  ): Promise<number | undefined> {
    await this.drained(state, patience);
    const { length: fileLength } = await this.attributes(state, access, patience);
    if (start >= fileLength) return undefined;
    const found = await this.#options.finder.find(access, { start, fileLength }, kind, patience);
    return kind === 'data' && found === fileLength ? undefined : found;
  }

  async attributes(state: FileState, access: Access, patience: Patience): Promise<Attributes> {
    const askedAt = this.#options.states.now;
    const attributes = await this.#options.entries.attributes(state.inode, access.caller, patience);
    return state.observe(attributes, askedAt);
  }

  /** Gives the open file back, in the background, when all its writes have arrived or were given up. */
  closeLater(state: FileState, access: Access, mayWrite: boolean): void {
    this.#options.share.tasks.run(async () => {
      try {
        await this.drained(state, this.patience(undefined));
      } finally {
        await this.reports.close(state, access, mayWrite, this.patience(undefined));
      }
    });
  }

  /** What was taken by an open file whose session ended is not written by the right of the next one: others had their turn. */
  #dropUnheld({ writeAccess, writeBehind }: FileState): void {
    if (writeAccess === undefined) return;
    try {
      this.mustHold(writeAccess);
    } catch (error) {
      writeBehind?.dropWaiting(error);
    }
  }

  #newWriteBehind(state: FileState): WriteBehind {
    const { writer, share, chunkSizeBytes } = this.#options;
    return new WriteBehind({
      share,
      chunkSizeBytes,
      write: async (fileOffset, bytes, requestId) => {
        const access = must(state.writeAccess, 'somebody wrote');
        this.mustHold(access);
        const { env, ioTimeoutMs } = this.#options;
        const patience = new Patience(env, { requestId }, ioTimeoutMs * WRITE_BEHIND_PATIENCE);
        await writer.write(access, fileOffset, dataOf(bytes), patience, (span) =>
          state.unsynced.acknowledged(span),
        );
      },
      onWritten: (start, bytes) => state.written(start, bytes),
      onFailed: (error) => state.failed(error),
    });
  }
}
