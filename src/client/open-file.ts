import { assert } from '../base/assert.ts';
import { type Bytes, lengthOf, NO_BYTES } from '../base/bytes.ts';
import { MUTATION_BYTES_MAX } from '../base/constants.ts';
import { GfsError } from '../base/errors.ts';
import type { InodeId } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import { LOCK_END } from '../core/lock-ranges.ts';
import { FILE_LENGTH_MAX } from '../core/metadata/extents.ts';
import type { Attributes } from '../rpc/messages.ts';
import type {
  Allocation,
  AppendWriter,
  ConflictingLock,
  GfsFile,
  LockGrant,
  LockRange,
  LockRequest,
  NamedAppender,
  OpenMode,
  Waiting,
} from './api.ts';
import type { AppendQueue } from './append-queue.ts';
import { telling } from './applied.ts';
import type { Owner } from './dirty-ranges.ts';
import type { FileState } from './file-state.ts';
import type { FileWork } from './file-work.ts';
import type { LockPlace } from './held-locks.ts';
import type { Access } from './locations.ts';
import { isTransient, type Patience } from './patience.ts';
import type { ReadStream } from './read-stream.ts';
import { giveBack } from './write-behind.ts';

/** A reader at the end of the file asks the master for news of its length once in so long. */
const LENGTH_AGE_MS_MAX = 1 * SECOND_MS;
/** While the master does not answer in that time, the length that was known last must do. */
const LENGTH_WAIT_MS_MAX = 1 * SECOND_MS;

export interface OpenFileOptions {
  readonly work: FileWork;
  readonly state: FileState;
  readonly access: Access;
  readonly mode: OpenMode;
  readonly onClosed: () => void;
}

/** One open file: its place in a stream of reads, and which errors it was told of. */
export class OpenFile implements GfsFile {
  readonly inode: InodeId;
  readonly #work: FileWork;
  readonly #state: FileState;
  readonly #access: Access;
  readonly #mode: OpenMode;
  readonly #stream: ReadStream;
  readonly #onClosed: () => void;
  /** Errors of write-behind up to this one are told, or were before this file was opened. */
  #errorsTold: number;
  readonly #appendQueues = new Set<Pick<AppendQueue, 'close'>>();
  #ownAppends: AppendWriter | undefined;
  #closing: Promise<void> | undefined;

  constructor({ work, state, access, mode, onClosed }: OpenFileOptions) {
    this.inode = state.inode;
    this.#work = work;
    this.#state = state;
    this.#access = access;
    this.#mode = mode;
    this.#onClosed = onClosed;
    this.#errorsTold = state.errorCount;
    this.#stream = work.newStream(state, access);
    state.streams.add(this.#stream);
  }

  async read(fileOffset: number, length: number, waiting?: Waiting): Promise<Bytes> {
    this.#checkOpen();
    checkRange(fileOffset, length);
    const bytes = await this.#read(fileOffset, length, this.#work.patience(waiting));
    // If the session ended meanwhile, what was written here went with it: what the cluster has would deny it.
    this.#work.mustHold(this.#access);
    return bytes;
  }

  async write(fileOffset: number, bytes: Bytes, waiting?: Waiting): Promise<void> {
    let taken = 0;
    try {
      this.#checkWritable(fileOffset, lengthOf(bytes));
      for (const buffer of bytes) {
        await this.#take(fileOffset + taken, buffer, undefined, waiting, (count) => {
          taken += count;
        });
      }
    } catch (error) {
      throw telling(error, taken === 0 ? 'no' : 'unknown');
    }
  }

  async writeTaken(fileOffset: number, bytes: Bytes, release: () => void, waiting?: Waiting): Promise<void> {
    const owner: Owner = { remainingBytes: lengthOf(bytes), release };
    let taken = 0;
    try {
      this.#checkWritable(fileOffset, owner.remainingBytes);
      if (owner.remainingBytes === 0) release();
      for (const buffer of bytes) {
        await this.#take(fileOffset + taken, buffer, owner, waiting, (count) => {
          taken += count;
        });
      }
    } catch (error) {
      // What was taken before goes its way; the rest is given back now.
      const rest = lengthOf(bytes) - taken;
      if (rest > 0) giveBack(owner, rest);
      throw telling(error, taken === 0 ? 'no' : 'unknown');
    }
  }

  async append(bytes: Bytes, waiting?: Waiting): Promise<number> {
    this.#ownAppends ??= this.newAppendWriter();
    return await this.#ownAppends.append(bytes, waiting);
  }

  newAppendWriter(): AppendWriter {
    this.#checkOpen();
    const queue = this.#work.newAppendQueue(this.#state, this.#access);
    this.#appendQueues.add(queue);
    return {
      append: async (bytes, waiting) => {
        try {
          this.#checkWritable(0, lengthOf(bytes));
          return await queue.append(bytes, this.#work.patience(waiting));
        } catch (error) {
          throw telling(error, 'no');
        }
      },
      close: async () => {
        await queue.close();
        this.#appendQueues.delete(queue);
      },
    };
  }

  async appender(name: Uint8Array, waiting?: Waiting): Promise<NamedAppender> {
    this.#checkWritable(0, 0);
    const patience = this.#work.patience(waiting);
    const queue = await this.#work.newNamedQueue(this.#state, this.#access, Buffer.from(name), patience);
    this.#checkWritable(0, 0);
    this.#appendQueues.add(queue);
    return {
      append: async (sequence, bytes, waiting, onFailure) => {
        try {
          this.#checkWritable(0, lengthOf(bytes));
          return await queue.append(sequence, bytes, this.#work.patience(waiting), onFailure);
        } catch (error) {
          throw telling(error, 'no');
        }
      },
      close: async () => {
        await queue.close();
        this.#appendQueues.delete(queue);
      },
    };
  }

  async truncate(length: number, waiting?: Waiting): Promise<void> {
    this.#checkWritable(length, 0);
    const patience = this.#work.patience(waiting);
    await this.#work.setLength(this.#state, this.#access, { length }, true, patience);
  }

  dropSetIds(waiting?: Waiting): Promise<void> | undefined {
    if (this.#state.setIds.state === 'none') return undefined;
    return this.#work.dropSetIds(this.#state, this.#access, this.#work.patience(waiting));
  }

  async allocate(fileOffset: number, length: number, how: Allocation = {}, waiting?: Waiting): Promise<void> {
    this.#checkWritable(fileOffset, 0);
    if (!Number.isSafeInteger(length) || length <= 0) {
      throw new GfsError('INVALID_ARGUMENT', `a range of ${length} bytes`);
    }
    const end = fileOffset + length;
    if (end > FILE_LENGTH_MAX) throw new GfsError('FILE_TOO_LARGE', `a range that ends at ${end}`);
    const range = { start: fileOffset, end };
    await this.#work.allocate(this.#state, this.#access, range, how, this.#work.patience(waiting));
  }

  async copyFrom(
    source: GfsFile,
    { sourceOffset, fileOffset, length }: { sourceOffset: number; fileOffset: number; length: number },
    waiting?: Waiting,
  ): Promise<number> {
    this.#checkWritable(fileOffset, length);
    checkRange(sourceOffset, length);
    if (!(source instanceof OpenFile) || source.#work !== this.#work) {
      throw new GfsError('CROSS_DEVICE', 'the source is a file of another client');
    }
    source.#checkOpen();
    if (!source.#mode.read) throw new GfsError('BAD_FILE', 'the source is not open for reading');
    const from = { state: source.#state, access: source.#access, start: sourceOffset };
    const to = { state: this.#state, access: this.#access, start: fileOffset };
    return await this.#work.copy(from, to, length, this.#work.patience(waiting));
  }

  async seek(fileOffset: number, kind: 'data' | 'hole', waiting?: Waiting): Promise<number | undefined> {
    this.#checkOpen();
    checkRange(fileOffset, 0);
    return await this.#work.seek(this.#state, this.#access, fileOffset, kind, this.#work.patience(waiting));
  }

  async attributes(waiting?: Waiting): Promise<Attributes> {
    this.#checkOpen();
    return await this.#work.attributes(this.#state, this.#access, this.#work.patience(waiting));
  }

  async flush(waiting?: Waiting): Promise<void> {
    this.#checkOpen();
    if (!this.#mayWrite) return;
    const patience = this.#work.patience(waiting);
    await this.#work.drained(this.#state, patience);
    this.#tellError();
    await this.#work.reports.commit(this.#state, this.#access, patience);
  }

  async sync(waiting?: Waiting): Promise<void> {
    this.#checkOpen();
    const patience = this.#work.patience(waiting);
    await this.#work.drained(this.#state, patience);
    this.#tellError();
    await Promise.all([
      this.#work.sync(this.#state, this.#access, patience),
      this.#work.reports.commit(this.#state, this.#access, patience),
    ]);
    // Of writes that were acknowledged and lost since.
    this.#tellError();
  }

  async lock(lock: LockRequest, waiting?: Waiting): Promise<LockGrant> {
    this.#checkOpen();
    const { kind, exclusive, wait = false, pid = 0 } = lock;
    if (kind === 'range' && !(exclusive ? this.#mayWrite : this.#mode.read)) {
      const way = exclusive ? 'writing' : 'reading';
      throw new GfsError('BAD_FILE', `the file is not open for ${way}, as such a lock wants it`);
    }
    const { ownerWaits = kind === 'range' } = lock;
    const wish = { exclusive, wait, ownerWaits, pid };
    return await this.#work.locks.lock(this.#state, this.#access, this.#placeOf(lock), wish, waiting);
  }

  async unlock(range: LockRange, waiting?: Waiting): Promise<void> {
    this.#checkOpen();
    await this.#work.locks.unlock(this.#state, this.#access, this.#placeOf(range), waiting);
  }

  isSettled(range: LockRange): boolean {
    this.#checkOpen();
    const { isIdle, isUncommitted, errorCount } = this.#state;
    if (this.#mayWrite && (!isIdle || isUncommitted || this.#errorsTold < errorCount)) return false;
    return !this.#work.locks.isHeld(this.#placeOf(range));
  }

  async conflictingLock(lock: LockRequest, waiting?: Waiting): Promise<ConflictingLock | undefined> {
    this.#checkOpen();
    const place = this.#placeOf(lock);
    return await this.#work.locks.conflict(this.#access, place, lock.exclusive, waiting);
  }

  close(waiting?: Waiting): Promise<void> {
    this.#closing ??= this.#close(waiting);
    return this.#closing;
  }

  async #close(waiting: Waiting | undefined): Promise<void> {
    const state = this.#state;
    const patience = this.#work.patience(waiting);
    let given: Promise<void> | undefined;
    try {
      await Promise.all([...this.#appendQueues].map((queue) => queue.close()));
      if (this.#mayWrite) await this.#work.drained(state, patience);
      await this.#work.settleLocked(state, this.#access, patience);
      given = this.#work.reports.close(state, this.#access, this.#mayWrite, patience);
    } finally {
      state.streams.delete(this.#stream);
      this.#stream.close();
      this.#onClosed();
      // The caller's patience is over, some writes may still arrive: the turn as a writer ends behind them (P21).
      if (given === undefined) this.#work.closeLater(state, this.#access, this.#mayWrite);
    }
    await given;
    this.#tellError();
  }

  #placeOf({ kind, owner, start = 0, end = LOCK_END }: LockRange): LockPlace {
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
      throw new GfsError('INVALID_ARGUMENT', `bytes ${start} to ${end} cannot be locked`);
    }
    return { inode: this.inode, kind, owner, start, end };
  }

  get #mayWrite(): boolean {
    return this.#mode.write === true || this.#mode.append === true;
  }

  /** If the master tells it: what is read may be at the chunkservers whatever becomes of the master. */
  async #learnLength({ deadlineMs, signal, requestId }: Patience): Promise<void> {
    const limitMs = Math.min(deadlineMs, this.#work.nowMs() + LENGTH_WAIT_MS_MAX);
    try {
      const patience = this.#work.patience({ deadlineMs: limitMs, signal, requestId });
      await this.#work.attributes(this.#state, this.#access, patience);
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
  }

  /** What was written here, and what the cluster has. */
  async #read(fileOffset: number, length: number, patience: Patience): Promise<Bytes> {
    const state = this.#state;
    const wanted = fileOffset + length;
    const age = this.#work.nowMs() - state.lengthLearntAtMs;
    if (state.lengthIsOld || (wanted > state.length && age > LENGTH_AGE_MS_MAX)) {
      await this.#learnLength(patience);
    }
    const end = Math.min(wanted, state.length);
    if (end <= fileOffset) return NO_BYTES;
    const overlay = state.writeBehind?.overlay(fileOffset, end);
    if (overlay === undefined || overlay.length === 0)
      return await this.#readStored(fileOffset, end, patience);
    const parts: Promise<Bytes>[] = [];
    let position = fileOffset;
    for (const piece of overlay) {
      if (piece.start > position) parts.push(this.#readStored(position, piece.start, patience));
      parts.push(Promise.resolve(piece.bytes));
      position = piece.end;
    }
    if (position < end) parts.push(this.#readStored(position, end, patience));
    return (await Promise.all(parts)).flat();
  }

  /** What the cluster has of [start, end). */
  async #readStored(start: number, end: number, patience: Patience): Promise<Bytes> {
    return await this.#stream.read(start, end, (fileOffset, length, sequential) =>
      this.#work.read(this.#state, this.#access, fileOffset, length, patience, !sequential),
    );
  }

  /** Takes one buffer, in pieces that each get their room in the budget. */
  async #take(
    fileOffset: number,
    buffer: Uint8Array,
    owner: Owner | undefined,
    waiting: Waiting | undefined,
    onTaken?: (count: number) => void,
  ): Promise<void> {
    for (let done = 0; done < buffer.length; ) {
      const count = Math.min(buffer.length - done, MUTATION_BYTES_MAX);
      const piece = count === buffer.length ? buffer : buffer.subarray(done, done + count);
      const room = this.#work.takeRoom(count, waiting);
      if (room !== undefined) await room;
      this.#work.accept(this.#state, this.#access, fileOffset + done, piece, owner, waiting);
      onTaken?.(count);
      done += count;
    }
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new GfsError('BAD_FILE', 'the file is closed');
    this.#work.mustHold(this.#access);
  }

  #checkWritable(fileOffset: number, length: number): void {
    this.#checkOpen();
    if (!this.#mayWrite) throw new GfsError('BAD_FILE', 'the file is not open for writing');
    checkRange(fileOffset, length);
    // No use in taking more of what may not arrive; `flush` or `sync` tells it, and then writing goes on.
    if (this.#errorsTold < this.#state.errorCount) throw this.#errorToTell();
  }

  /** Throws what went wrong with writes since this was last asked. */
  #tellError(): void {
    if (!this.#mayWrite || this.#errorsTold >= this.#state.errorCount) return;
    const error = this.#errorToTell();
    this.#errorsTold = this.#state.errorCount;
    // Of all that was taken since it was last told, some may have arrived.
    throw telling(error, 'unknown');
  }

  #errorToTell(): unknown {
    assert(this.#state.errorCount > 0, 'there was an error');
    return this.#state.lastError;
  }
}

/** Refuses what is no part of a file. */
function checkRange(fileOffset: number, length: number): void {
  const valid =
    Number.isSafeInteger(fileOffset) &&
    Number.isSafeInteger(length) &&
    fileOffset >= 0 &&
    length >= 0 &&
    Number.isSafeInteger(fileOffset + length);
  if (!valid) {
    throw new GfsError('INVALID_ARGUMENT', `${length} bytes at offset ${fileOffset} are no part of a file`);
  }
}
