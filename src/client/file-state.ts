import { type Bytes, lengthOf } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import type { InodeId } from '../base/ids.ts';
import { Mutex } from '../base/mutex.ts';
import { laterTime, sameTime, timeOfMicros } from '../core/metadata/times.ts';
import { type Attributes, type CommitLengthResponse, FileType, type LengthCommit } from '../rpc/messages.ts';
import type { AccessTimes } from './access-times.ts';
import type { Identity } from './api.ts';
import { AppendGate } from './append-gate.ts';
import { type BlockCache, type Contents, PAGE_BYTES } from './block-cache.ts';
import type { ChangeClock } from './change-clock.ts';
import type { Access } from './locations.ts';
import type { ReadStream } from './read-stream.ts';
import { SetIdBits } from './set-id-bits.ts';
import { UnsyncedChunks } from './unsynced-chunks.ts';
import { UntoldWrites } from './untold-writes.ts';
import type { WriteBehind } from './write-behind.ts';

/** By what one sees whether somebody else changed a file. */
type Stamp = Pick<Attributes, 'length' | 'mtime' | 'ctime'>;

/** The master's answer to a commit. */
type Committed = Pick<CommitLengthResponse, 'attributes' | 'previousCtime'>;

/** A chunk at a version, which an append at another version or to another chunk does not take for the file's last one. */
export interface LastExtent {
  readonly start: number;
  readonly chunk: number;
  readonly version: number;
  readonly learntAtMs: number;
}

export interface FileStateOptions {
  readonly env: Env;
  readonly clock: ChangeClock;
  readonly cache: BlockCache;
  readonly accessTimes: AccessTimes;
  /** What is known of the file's chunks is old. */
  readonly forgetLocations: (inode: InodeId) => void;
}

/**
 * What this client knows of one file: shared by all its open files, and kept for a while after the last is closed, so
 * that the next `open` can tell whether what is cached is still good.
 */
export class FileState implements Contents {
  readonly inode: InodeId;
  /** Made by the first write. */
  writeBehind: WriteBehind | undefined;
  /** By what right the last write was taken. */
  writeAccess: Access | undefined;
  /** Readers of open files: what they fetched ahead goes when it is overwritten. */
  readonly streams = new Set<ReadStream>();
  /** Of this client's. */
  readonly untold = new UntoldWrites();
  readonly unsynced = new UnsyncedChunks();
  readonly setIds = new SetIdBits();
  /** Open files of this client. */
  openCount = 0;
  /** The extent that this client's last append went to, and when it learnt that it is the last one. */
  appendedTo: LastExtent | undefined;
  /** One truncation, one commit, one sync at a time. */
  readonly truncating = new Mutex();
  readonly committing = new Mutex();
  readonly syncing = new Mutex();
  readonly appends = new AppendGate();

  readonly #options: FileStateOptions;
  #generation = 0;
  #length = 0;
  #lengthLearntAtMs = 0;
  #lengthIsOld = false;
  #grewAtMs = 0;
  /** When the file was last cut, on the change clock. */
  #cutAt = 0;
  /** As the master said last. */
  #masterLength = 0;
  #stamp: Stamp | undefined;
  /** When this client last changed the file, on its change clock. */
  #changedAt = 0;
  #changeCount = 0;
  #truncations = 0;
  #errorCount = 0;
  #lastError: unknown;

  constructor(inode: InodeId, options: FileStateOptions) {
    this.inode = inode;
    this.#options = options;
  }

  get generation(): number {
    return this.#generation;
  }

  /** As far as this client knows, its own writes included. */
  get length(): number {
    return this.#length;
  }

  get lengthLearntAtMs(): number {
    return this.#lengthLearntAtMs;
  }

  /** The file may have another length by now: the master said so. */
  get lengthIsOld(): boolean {
    return this.#lengthIsOld;
  }

  /** How often the file was truncated, as far as this client knows. */
  get truncations(): number {
    return this.#truncations;
  }

  /** When the length last became another by what others did: what was known of the file's chunks may be old since. */
  get grewAtMs(): number {
    return this.#grewAtMs;
  }

  /** Rises whenever contents change here: what was asked for before may be old. */
  get changeCount(): number {
    return this.#changeCount;
  }

  /**
   * How many writes a commit now speaks for: while some are on their way it speaks for their part alone, and another
   * one has to follow.
   */
  get writesToTell(): number {
    return this.isIdle ? this.untold.count : 0;
  }

  get errorCount(): number {
    return this.#errorCount;
  }

  get lastError(): unknown {
    return this.#lastError;
  }

  get isIdle(): boolean {
    return this.writeBehind === undefined || this.writeBehind.isIdle;
  }

  /** The master has not been told of all writes. */
  get isUncommitted(): boolean {
    return this.untold.areThere;
  }

  /** This client has changed the file since that tick, or has changes that the master was not told of. */
  changedSince(tick: number): boolean {
    return this.#changedAt > tick || !this.isIdle || this.isUncommitted;
  }

  /** Since these attributes are what they are, what the master was not told of yet may have been cut off. */
  mayBeCut({ truncations }: Attributes): boolean {
    return this.isUncommitted && truncations > this.untold.truncations;
  }

  /**
   * The file is opened, with these attributes. Answers whether its contents are as this client last knew them; if not,
   * what was cached is dropped.
   */
  opened(attributes: Attributes, askedAt: number): boolean {
    this.openCount += 1;
    const { generation } = this;
    const known = this.#stamp !== undefined;
    this.observe(attributes, askedAt);
    const unchanged = known && this.#generation === generation;
    if (!unchanged) this.#options.forgetLocations(this.inode);
    return unchanged;
  }

  /** Attributes came from the master, asked for at that tick: answers what they are with this client's writes and reads. */
  observe(answered: Attributes, askedAt: number): Attributes {
    const attributes = this.#options.accessTimes.observed(answered);
    if (attributes.type !== FileType.FILE_TYPE_REGULAR) return attributes;
    this.#truncations = Math.max(this.#truncations, attributes.truncations);
    this.setIds.observe(attributes, askedAt);
    if (this.#changedAt > askedAt) {
      // What we did meanwhile only made it longer, unless it was cut: so long it is at least, by what others did.
      if (this.#cutAt <= askedAt) this.#grow(attributes.length);
      return this.#merged(attributes);
    }
    if (!this.isIdle || this.isUncommitted) {
      this.#setLength(Math.max(this.#length, attributes.length));
      return this.#merged(attributes);
    }
    if (this.#stamp === undefined || !sameStamp(this.#stamp, attributes)) {
      this.#contentsChanged();
      if (this.#stamp !== undefined) this.#options.forgetLocations(this.inode);
    }
    this.#stamp = attributes;
    this.#masterLength = attributes.length;
    this.#setLength(attributes.length);
    return attributes;
  }

  /** Somebody else changed the file: what is cached of it is old. */
  changedElsewhere(): void {
    this.appendedTo = undefined;
    this.modeMayHaveChanged();
    this.mayHaveChanged();
    this.#stamp = undefined;
    this.#contentsChanged();
    this.#options.forgetLocations(this.inode);
  }

  /** Somebody else may have changed the file, or not: the next look tells. */
  mayHaveChanged(): void {
    this.#lengthIsOld = true;
  }

  modeMayHaveChanged(): void {
    this.setIds.mayHaveChanged(this.#options.clock.advance());
  }

  /** A write was taken. */
  wrote(start: number, end: number): void {
    this.#taken();
    this.#length = Math.max(this.#length, end);
    this.#changed(start, end);
  }

  /**
   * A record is at the cluster, that was sent when so many truncations were known. Where it did not go to the end that was
   * known here, others wrote what lies before it.
   */
  appended(start: number, bytes: Bytes, truncations: number): void {
    this.#grow(start);
    this.wrote(start, start + lengthOf(bytes));
    this.untold.sentAfter(truncations);
    this.written(start, bytes);
  }

  /** Bytes are at the cluster. A reader may have been given what lay there before, up to this moment. */
  written(start: number, bytes: Bytes): void {
    const end = start + lengthOf(bytes);
    this.untold.arrived(end, lengthOf(bytes));
    this.#changed(start, end);
    // A small file is often read soon after it was written, and its copy costs nothing.
    if (start === 0 && end === this.#length && end <= PAGE_BYTES) {
      this.#options.cache.keep(this, start, bytes, this.#length);
    }
  }

  /**
   * A range is to become zeros, or a copy: from now on bytes may have changed that the master was not told of. Returns how many
   * changes it knows of when it hears of this one alone; records may be appended meanwhile, and their length is told by a commit.
   */
  overwriting(start: number, end: number, writer: Identity): number {
    const isNext = !this.isUncommitted;
    this.untold.by(writer);
    this.#taken();
    this.#changed(start, end);
    return isNext ? this.untold.count : 0;
  }

  /** A range has changed at the cluster. A reader may have been given what lay there before, up to this moment. */
  overwritten(start: number, end: number): void {
    this.#changed(start, end);
  }

  /** A range is at the cluster that was copied there, when so many truncations were known. */
  copied(start: number, end: number, truncations: number): void {
    this.wrote(start, end);
    this.untold.sentAfter(truncations);
    this.untold.arrived(end, end - start);
  }

  /** Somebody cut the file: what this client wrote behind this offset is not there any more. */
  cutElsewhere(length: number): void {
    this.#cutAt = this.#options.clock.advance();
    this.#masterLength = Math.min(this.#masterLength, length);
    this.#length = Math.max(length, this.writeBehind?.end ?? 0);
    this.#contentsChanged();
    this.#options.forgetLocations(this.inode);
  }

  /**
   * The file was truncated while this commit was to be told. These attributes were asked for afterwards, and their length has all
   * that was acknowledged here before and is still there. Where more was acknowledged meanwhile, they do not tell.
   */
  truncatedElsewhere({ length, truncations, mtime }: Attributes, untold: LengthCommit): void {
    this.#truncations = Math.max(this.#truncations, truncations);
    this.untold.notBefore(mtime);
    if (this.untold.end !== untold.length) return;
    this.untold.cut(length, truncations);
    this.cutElsewhere(length);
  }

  /** Writes were given up: the file is as long as what arrived, or was there before. */
  failed(error: unknown): void {
    this.#errorCount += 1;
    this.untold.failed();
    this.#lastError = error;
    this.#length = Math.max(this.#masterLength, this.untold.end, this.writeBehind?.end ?? 0);
    this.#contentsChanged();
  }

  /** The master was told of the first `writeCount` writes, with this commit if there was one, and answered so. */
  committed({ attributes, previousCtime }: Committed, writeCount: number, commit?: LengthCommit): void {
    const { end } = this.untold;
    this.untold.told(writeCount, commit);
    if (!this.isUncommitted) this.#masterLength = Math.max(this.#masterLength, end);
    this.#changedAt = this.#options.clock.advance();
    if (attributes === undefined) return;
    this.#options.accessTimes.observed(attributes);
    this.#masterLength = attributes.length;
    this.#setLength(Math.max(this.#length, attributes.length));
    // Others may have written before our commit, and its new times hide theirs.
    const isOurs = this.#stamp !== undefined && sameTime(this.#stamp.ctime, previousCtime);
    this.#stamp = isOurs ? attributes : undefined;
  }

  /** The master found out by itself what was acknowledged: there is nothing to tell it, and all is to be learnt anew. */
  leftToTheMaster(): void {
    this.untold.drop();
    this.changedElsewhere();
  }

  /** The length was set at the master, when nothing was on its way here. */
  truncated(attributes: Attributes): void {
    this.appendedTo = undefined;
    this.#truncations = Math.max(this.#truncations, attributes.truncations);
    this.untold.notBefore(attributes.mtime);
    this.#cutAt = this.#options.clock.advance();
    this.#contentsChanged();
    this.#options.forgetLocations(this.inode);
    this.#changedAt = this.#options.clock.advance();
    this.#masterLength = attributes.length;
    this.#length = Math.max(attributes.length, this.writeBehind?.end ?? 0);
    this.#lengthLearntAtMs = this.#options.env.monotonicMs();
    this.#stamp = undefined;
  }

  /** Times or other attributes were set at the master. `mtime`: the caller chose it; later commits keep it. */
  attributesSet(answered: Attributes, mtimeWasSet: boolean): Attributes {
    const attributes = this.#options.accessTimes.observed(answered);
    this.#changedAt = this.#options.clock.advance();
    this.setIds.set(attributes, this.#changedAt);
    if (mtimeWasSet) this.untold.timeWasSet(attributes.mtime);
    // Only what we changed may differ from what we knew; otherwise the next look drops what is cached.
    const stamp = this.#stamp;
    if (stamp?.length === attributes.length && sameTime(stamp.mtime, attributes.mtime))
      this.#stamp = attributes;
    return this.#merged(attributes);
  }

  /** One more change that the master has to be told of. */
  #taken(): void {
    this.untold.taken(timeOfMicros(this.#options.env.nowMicros()), this.#truncations);
  }

  #merged(attributes: Attributes): Attributes {
    const { mtime: written } = this.untold;
    const mtime = written ?? attributes.mtime;
    const ctime = written && attributes.ctime ? laterTime(attributes.ctime, written) : attributes.ctime;
    return { ...attributes, length: this.#length, holeBytes: this.#holesOf(attributes), mtime, ctime };
  }

  /** With what was written here and the master was not told of. */
  #holesOf({ length, holeBytes }: Attributes): number {
    const taken = this.untold.bytes + (this.writeBehind?.bytes ?? 0);
    const some = this.isUncommitted ? Math.max(1, taken) : 0;
    return Math.max(0, this.#length - (length - holeBytes) - some);
  }

  #grow(length: number): void {
    if (length <= this.#length) return;
    this.#length = length;
    this.#grewAtMs = this.#options.env.monotonicMs();
  }

  #setLength(length: number): void {
    this.#lengthLearntAtMs = this.#options.env.monotonicMs();
    this.#lengthIsOld = false;
    if (length === this.#length) return;
    this.#length = length;
    this.#grewAtMs = this.#lengthLearntAtMs;
  }

  #changed(start: number, end: number): void {
    this.#changeCount += 1;
    this.#changedAt = this.#options.clock.advance();
    this.#options.cache.drop(this, start, end);
    for (const stream of this.streams) stream.drop(start, end);
  }

  /** All that was read before may be old. */
  #contentsChanged(): void {
    this.#generation += 1;
    this.#changeCount += 1;
    for (const stream of this.streams) stream.close();
  }
}

function sameStamp(a: Stamp, b: Stamp): boolean {
  return a.length === b.length && sameTime(a.mtime, b.mtime) && sameTime(a.ctime, b.ctime);
}
