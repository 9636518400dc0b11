import { must } from '../base/assert.ts';
import { NO_BYTES } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { HOUR_MS } from '../base/units.ts';
import { ReplicaContent } from '../core/replica-content.ts';
import type { BaseRecord, ChangeRecord } from '../core/replica-records.ts';
import type { ReplicaState } from '../core/replica-types.ts';
import type { Rules } from '../core/rules.ts';
import { plan } from './replica-changes.ts';
import { ReplicaFiles, type ReplicaPlace } from './replica-files.ts';
import { foldReplica, isTimeToFold } from './replica-fold.ts';
import { type ReadAnswer, readVerified } from './replica-reads.ts';
import { recoverReplica } from './replica-recovery.ts';

/** The time of the last read is remembered durably this coarsely, as with `relatime`. */
const READ_TIME_ERROR_MS_MAX = 1 * HOUR_MS;

/** What keepers need of the store that holds the replicas. */
export interface KeeperHost {
  readonly env: Env;
  /** See `MarkRecord`. */
  readonly epoch: string;
  /** A log is folded when it has grown by this much. */
  readonly logBytesMax: number;
  readonly withoutRules: Rules;
  onFatal(error: unknown): void;
  /** The disk had no room for something. */
  onNoSpace(): void;
  /** What a replica takes up on disk has changed by this much. */
  onGrowth(bytes: number): void;
}

/** What it tells the replica that it keeps. */
export interface KeeperOwner {
  /** Content is in memory and files are open, and they are in use now. */
  onUse(): void;
  /** Something is not known to be on disk. */
  onUnsynced(): void;
}

export interface Kept {
  readonly content: ReplicaContent;
  readonly files: ReplicaFiles;
}

/** What a replica knows of itself but for its standing, as of the last change that was written; `readAtMs` is the log's. */
export type KeptState = Omit<ReplicaState, 'standing'>;

/**
 * Keeps one replica's content in memory and its files in step: what is planned on both is written or taken back, synced,
 * folded, put away and read again when wanted. It does not ask what changes mean. One caller at a time, but for `read`.
 *
 * After a failed sync, or when the log cannot be read any more, all is refused until the process has ended.
 */
export class ReplicaKeeper {
  readonly chunk: number;
  readonly #host: KeeperHost;
  readonly #owner: KeeperOwner;
  readonly #place: ReplicaPlace;
  /** Of a replica that is not on disk yet. */
  #initial: BaseRecord | undefined;
  #loaded: Kept | undefined;
  #loading: Promise<void> | undefined;
  #state: KeptState | undefined;
  #unsynced: boolean;
  #readAtMs = 0;
  #deleted = false;
  #broken: GfsError | undefined;
  #foldFailedAtBytes = 0;
  #changedAtMs: number;

  /** `initial`: of a replica that is to be begun; without it, `recover` comes first. */
  constructor(
    host: KeeperHost,
    owner: KeeperOwner,
    place: ReplicaPlace,
    { chunk, initial, synced }: { chunk: number; initial: BaseRecord | undefined; synced: boolean },
  ) {
    this.chunk = chunk;
    this.#host = host;
    this.#owner = owner;
    this.#place = place;
    this.#initial = initial;
    this.#unsynced = !synced;
    this.#changedAtMs = host.env.monotonicMs();
  }

  get state(): KeptState {
    return must(this.#state, 'a replica that is handed out has been read');
  }
  get readAtMs(): number {
    return Math.max(this.#readAtMs, this.#state?.readAtMs ?? 0);
  }
  get unsynced(): boolean {
    return this.#loaded?.files.unsynced ?? this.#unsynced;
  }
  get usable(): boolean {
    return this.#broken === undefined;
  }
  get deleted(): boolean {
    return this.#deleted;
  }
  get loaded(): boolean {
    return this.#loaded !== undefined;
  }
  /** Nothing would be lost by putting it away. */
  get idle(): boolean {
    return this.#loading === undefined && this.#initial === undefined;
  }
  /** Monotonic time of the last change. */
  get changedAtMs(): number {
    return this.#changedAtMs;
  }
  /** Of the log and the data file. */
  get plannedBytes(): number {
    if (this.#loaded === undefined) return 0;
    const { logBytes, dataBytes } = this.#loaded.files.planned;
    return logBytes + dataBytes;
  }

  /** Of one that is nowhere yet: it gets to the disk with its first change or sync. */
  begin(): void {
    const initial = must(this.#initial, 'it is not on disk yet');
    const files = new ReplicaFiles(this.#place, this.chunk);
    this.#loaded = { content: new ReplicaContent(initial, 0), files };
    this.#publish();
  }

  /** Reads the log. False: there is nothing of which anything was acknowledged. CORRUPT if the log is damaged. */
  async recover(): Promise<boolean> {
    const { env, epoch, withoutRules } = this.#host;
    const [place, chunk, synced] = [this.#place, this.chunk, !this.#unsynced];
    const found = await recoverReplica({ place, chunk, epoch, synced, withoutRules });
    if (found === undefined) return false;
    if (found.found !== 'D' && found.found !== 'G') {
      env.log
        .of('storage')
        .warn({ chunk: hex(this.chunk), case: found.found }, 'the log of a chunk had a broken tail');
    }
    this.#loaded = { content: found.content, files: found.files };
    this.#publish();
    this.#owner.onUse();
    return true;
  }

  /** Content and files are there when it resolves; NO_SUCH_CHUNK when deleted. Nearly always nothing to wait for. */
  prepare(): Promise<void> | undefined {
    if (this.#loaded === undefined) return this.#load();
    this.#assertUsable();
    return undefined;
  }

  /** For whoever has prepared it. */
  use(): Kept {
    const kept = this.#kept();
    this.#owner.onUse();
    return kept;
  }

  /** Verified, or the first block that does not match; shorter than asked where the chunk ends. Loads it if need be. */
  async read(chunkOffset: number, lengthBytes: number): Promise<ReadAnswer | { readonly badBlock: number }> {
    while (this.#loaded === undefined) await this.#load();
    this.#assertUsable();
    const { content, files } = this.#loaded;
    this.#owner.onUse();
    this.#readAtMs = this.#host.env.nowMs();
    // What is planned but not written yet is not there for readers.
    const chunkLength = Math.min(content.length, must(this.#state, 'loaded').length);
    const end = Math.min(chunkLength, chunkOffset + lengthBytes);
    if (chunkOffset >= end) return { payload: NO_BYTES, checksums: [], chunkLength };
    const found = await readVerified(content, files, chunkOffset, end);
    if ('badBlock' in found) return found;
    return { payload: [found.bytes], checksums: found.checksums, chunkLength };
  }

  /** What is planned is in the OS, or the replica is as if it had never been planned. */
  async write(): Promise<void> {
    const { files } = this.#kept();
    try {
      await files.writePlanned();
    } catch (error) {
      if (codeOf(error) === 'NO_SPACE') this.#host.onNoSpace();
      await this.#rollBack(files);
      throw error;
    }
    this.#initial = undefined;
    this.#changedAtMs = this.#host.env.monotonicMs();
    this.#publish();
  }

  /** Data that was written before is on disk: a record that is to be synced must not lie behind bytes that may get lost. */
  syncData(): Promise<void> {
    const { files } = this.#kept();
    return this.#synced(() => files.syncData());
  }

  /** The record is on disk when it resolves, and what was planned before it. */
  async commit(record: ChangeRecord): Promise<void> {
    const kept = this.#kept();
    plan(kept, record);
    await this.write();
    await this.#synced(() => kept.files.syncLog());
  }

  /** Everything written before is on disk (P14). */
  async sync(): Promise<void> {
    const { content, files } = this.#kept();
    if (!files.created) {
      files.plan(content.base([]), NO_BYTES);
      await this.write();
    }
    if (!files.unsynced) return;
    await this.#synced(() => files.syncData());
    const { epoch } = this.#host;
    if (content.wantsMark) await this.#writeIfRoom({ kind: 'mark', epoch, whole: content.whole });
    // Again: a failed write of the mark had the log read anew.
    const now = this.#kept();
    await this.#synced(() => now.files.syncLog());
  }

  get isTimeToFold(): boolean {
    if (this.#loaded === undefined || this.#broken !== undefined) return false;
    const { content, files } = this.#loaded;
    const { logBytesMax } = this.#host;
    return isTimeToFold(content, files, { logBytesMax, failedAtBytes: this.#foldFailedAtBytes });
  }

  /** Moves the log's data to where it belongs, and begins a new log. When that fails, the log grows on. */
  async tryToFold(): Promise<void> {
    try {
      await this.#fold();
    } catch (error) {
      if (this.#broken !== undefined) return;
      const fields = { chunk: hex(this.chunk), error: messageOf(error) };
      this.#host.env.log.of('storage').warn(fields, 'the log of a chunk cannot be folded now; it grows on');
      this.#foldFailedAtBytes = this.#loaded?.files.changeBytes ?? 0;
    }
  }

  /** With its files; for good. */
  async remove(): Promise<void> {
    const files = this.#loaded?.files ?? new ReplicaFiles(this.#place, this.chunk);
    this.#deleted = true;
    this.#loaded = undefined;
    this.#unsynced = false;
    this.#host.onGrowth(-(this.#state?.diskBytes ?? 0));
    await files.removeAll();
  }

  /** Closes the files and forgets the content until it is used again. */
  async putAway(): Promise<void> {
    if (this.#loaded === undefined) return;
    await this.#noteRead();
    const { files } = this.#kept();
    this.#unsynced = files.unsynced;
    this.#loaded = undefined;
    await files.close();
  }

  /** Syncs what was written, closes the files. */
  async close(): Promise<void> {
    if (this.#deleted || this.#broken !== undefined) return;
    if (this.#loaded === undefined) {
      if (!this.#unsynced) return;
      await this.#load();
    }
    await this.#noteRead();
    await this.#syncAtLast();
    await this.putAway();
  }

  /** Of one that never got to the disk nothing was acknowledged: it may go when there is no room for it. */
  async #syncAtLast(): Promise<void> {
    const wasCreated = this.#kept().files.created;
    try {
      await this.sync();
    } catch (error) {
      if (wasCreated || codeOf(error) !== 'NO_SPACE') throw error;
    }
  }

  /** Now and then the time of the last read gets into the log. */
  async #noteRead(): Promise<void> {
    const { content, files } = this.#kept();
    const isNews = this.#readAtMs - content.readAtMs > READ_TIME_ERROR_MS_MAX;
    if (!isNews || !files.created || this.#broken !== undefined) return;
    await this.#writeIfRoom({ kind: 'read', readAtMs: this.#readAtMs });
  }

  /** What is good to have, but for which a full disk does not keep what was acknowledged from being synced. */
  async #writeIfRoom(record: ChangeRecord): Promise<void> {
    plan(this.#kept(), record);
    try {
      await this.write();
    } catch (error) {
      if (codeOf(error) !== 'NO_SPACE') throw error;
      this.#assertUsable();
    }
  }

  /** Nobody may look at the content that was planned: reads wait until the log has been read again. */
  async #rollBack(files: ReplicaFiles): Promise<void> {
    this.#loaded = undefined;
    this.#unsynced = true;
    this.#loading = (async () => {
      try {
        const isOnDisk = await files.dropPlanned();
        await files.close();
        if (!isOnDisk) this.begin();
        else if (!(await this.recover())) throw new GfsError('IO_ERROR', 'the log is gone');
      } catch (error) {
        this.#break(error);
      } finally {
        this.#loading = undefined;
      }
    })();
    await this.#loading;
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

  async #fold(): Promise<void> {
    await this.#place.names.writable();
    await this.sync();
    const { content, files } = this.#kept();
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

  #kept(): Kept {
    return must(this.#loaded, 'loaded before it runs');
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

  async #load(): Promise<void> {
    this.#assertUsable();
    this.#loading ??= this.#recoverAgain();
    await this.#loading;
  }

  async #recoverAgain(): Promise<void> {
    try {
      if (await this.recover()) return;
      throw new GfsError('IO_ERROR', `the log of chunk ${hex(this.chunk)} is gone`);
    } finally {
      this.#loading = undefined;
    }
  }

  #publish(): void {
    const { content, files } = this.#kept();
    const { diskBytes } = files;
    this.#host.onGrowth(diskBytes - (this.#state?.diskBytes ?? 0));
    if (files.unsynced) this.#owner.onUnsynced();
    this.#state = {
      chunk: this.chunk,
      record: content.record,
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
}
