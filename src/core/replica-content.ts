import { assert } from '../base/assert.ts';
import { CHECKSUM_BLOCK_BYTES, CHUNK_SIZE_BYTES_MAX } from '../base/constants.ts';
import { type Refusal, refuse } from '../base/result.ts';
import { entryAfter } from './append-entries.ts';
import { BlockChecksums } from './replica-checksums.ts';
import { bytesIn, SegmentMap } from './replica-map.ts';
import type { BaseRecord, ChangeRecord, WriteRecord } from './replica-records.ts';
import {
  APPEND_ENTRIES_MAX,
  type AppendEntry,
  type BlockSums,
  type Mutation,
  type SerialStream,
  type VersionRecord,
} from './replica-types.ts';

/** A chunk up to this length lives wholly in its log: one file to create, one to read. */
export const INLINE_CHUNK_BYTES_MAX = CHECKSUM_BLOCK_BYTES;

/** A hole that is smaller is filled, when the log is begun anew, rather than listed. */
export const ZERO_SEGMENT_BYTES_MIN = CHECKSUM_BLOCK_BYTES;

const MIXTURE: SerialStream = { version: 0, nextSerial: 0 };

/**
 * One replica as its log tells it: what it is, and where its bytes are. `apply` is the only writer; running and
 * recovering replicas go through it alike, so what a restart finds is what was there.
 */
export class ReplicaContent {
  #record: VersionRecord;
  #reconciledVersion: number;
  #whole: boolean;
  #lesson: string | undefined;
  #epoch: string;
  #stream: SerialStream;
  #sealed: boolean;
  #writtenAtMs: number;
  #readAtMs: number;
  readonly #checksums: BlockChecksums;
  readonly #map = new SegmentMap();
  readonly #table = new Map<number, AppendEntry>();
  /**
   * Of a mixture: where its content ends, if a reconcile's blocks lie behind that. Of what its primary has there, some
   * blocks may be here and others not: before the finish that counts for nothing, and the next version cuts it off.
   */
  #settledLength: number | undefined;
  #inlineBytes = 0;
  #zeroedBytes = 0;
  #mended = false;
  /**
   * The length of the longest replica that a loss of power could bring back: that at the last mark, or after any record
   * since. Below it, bytes of the data file may be all that is left of them, and are never written without a mark
   * that makes them superfluous (after a cut, the cut may be lost and the bytes behind it be wanted again).
   */
  #lengthRecoverable: number;
  #dataSinceMark = false;

  /** `inlineAt`: position in the log of the bytes behind the base. */
  constructor(base: BaseRecord, inlineAt: number) {
    this.#record = base.record;
    this.#reconciledVersion = base.reconciledVersion;
    this.#whole = base.whole;
    this.#lesson = base.lesson;
    this.#epoch = base.epoch;
    this.#stream = base.stream;
    this.#sealed = base.sealed;
    this.#writtenAtMs = base.writtenAtMs;
    this.#readAtMs = base.readAtMs;
    this.#checksums = new BlockChecksums(base.sums, base.length);
    let at = inlineAt;
    for (const segment of base.segments) {
      const inline = segment.source === 'log';
      this.#map.put({ ...segment, at: inline ? at : 0 });
      if (inline) at += segment.end - segment.start;
    }
    this.#inlineBytes = at - inlineAt;
    assert(this.#map.length === base.length, 'the segments reach to the end');
    for (const entry of base.table) this.#table.set(entry.writer, entry);
    this.#settledLength = base.settledLength < base.length ? base.settledLength : undefined;
    this.#lengthRecoverable = base.length;
  }

  get record(): VersionRecord {
    return this.#record;
  }
  get reconciledVersion(): number {
    return this.#reconciledVersion;
  }
  get reconciled(): boolean {
    return this.#reconciledVersion === this.#record.version;
  }
  get whole(): boolean {
    return this.#whole;
  }
  get lesson(): string | undefined {
    return this.#lesson;
  }
  get epoch(): string {
    return this.#epoch;
  }
  get stream(): SerialStream {
    return this.#stream;
  }
  get sealed(): boolean {
    return this.#sealed;
  }
  get length(): number {
    return this.#checksums.length;
  }
  /** Without what a reconcile that has not ended put behind the replica's end. */
  get settledLength(): number {
    return this.#settledLength ?? this.length;
  }
  get writtenAtMs(): number {
    return this.#writtenAtMs;
  }
  get readAtMs(): number {
    return this.#readAtMs;
  }
  get checksums(): BlockChecksums {
    return this.#checksums;
  }
  get map(): SegmentMap {
    return this.#map;
  }
  /** Bytes of data that were put into the log since its base, and with it: what a fold could free. */
  get inlineBytes(): number {
    return this.#inlineBytes;
  }
  /** Bytes of the data file that became part of a hole since the base: what a fold could give back. */
  get zeroedBytes(): number {
    return this.#zeroedBytes;
  }
  /** Since the base: what was bad may lie in this log, where a restart would stumble over it. */
  get mended(): boolean {
    return this.#mended;
  }
  /** A mark would save a recovery work, or allow bytes of the data file to be written again. */
  get wantsMark(): boolean {
    return this.#dataSinceMark || this.#lengthRecoverable !== this.length;
  }

  /** What the table of appends says of a writer. */
  appendOf(writer: number): AppendEntry | undefined {
    return this.#table.get(writer);
  }

  sums(): BlockSums {
    return {
      length: this.length,
      sealed: this.#sealed,
      stream: this.#stream,
      checksums: [...this.#checksums.sums],
      table: [...this.#table.values()],
    };
  }

  /** Power was lost, or the log was found damaged: what is here may be less than what was acknowledged. */
  noteDamage(): void {
    this.#whole = false;
  }

  /** Why the mutation cannot be the next one, if it cannot. (Standing is the caller's to check.) */
  refusalOf(mutation: Mutation, dataLength: number): Refusal | undefined {
    if (mutation.version !== this.#record.version) {
      const fields = { version: String(this.#record.version) };
      return refuse('VERSION_MISMATCH', `version ${mutation.version}, not ${this.#record.version}`, fields)
        .error;
    }
    if (mutation.serial !== this.#stream.nextSerial) {
      const fields = { next: String(this.#stream.nextSerial) };
      return refuse('SERIAL_GAP', `serial ${mutation.serial}, not ${this.#stream.nextSerial}`, fields).error;
    }
    switch (mutation.kind) {
      case 'write':
      case 'append':
        return this.#refusalOfData(mutation.chunkOffset, dataLength) ?? this.#refusalOfAppend(mutation);
      case 'zero':
        return this.#refusalOfZeros(mutation.chunkOffset, mutation.length);
      case 'seal':
        return this.#refusalOfSeal(mutation.length);
      case 'cut':
        return isOffset(mutation.length)
          ? undefined
          : refuse('INVALID_ARGUMENT', `a chunk cannot be cut to ${mutation.length}`).error;
    }
  }

  /** Why nothing of this lesson can be done now, before this order; undefined: it can. */
  refusalOfLesson(lesson: string, serial: number): Refusal | undefined {
    if (this.#lesson !== lesson) return refuse('NOT_READY', `lesson ${lesson} is not under way here`).error;
    if (serial === this.#stream.nextSerial) return undefined;
    const fields = { next: String(this.#stream.nextSerial) };
    return refuse('SERIAL_GAP', `a step before order ${serial}, not ${this.#stream.nextSerial}`, fields)
      .error;
  }

  /** Whether data at this offset may go straight to the data file. */
  placeOf(chunkOffset: number, length: number): 'log' | 'data' {
    if (chunkOffset < this.length || chunkOffset < this.#lengthRecoverable) return 'log';
    const { segments } = this.#map;
    const small =
      chunkOffset + length <= INLINE_CHUNK_BYTES_MAX && segments.every((s) => s.source !== 'data');
    return small ? 'log' : 'data';
  }

  /** `inlineAt`: position in the log of the record's data, where it has any. */
  apply(change: ChangeRecord, inlineAt: number): void {
    switch (change.kind) {
      case 'write':
        this.#takeSerial(change.serial);
        this.#write(change, inlineAt);
        break;
      case 'seal':
        this.#takeSerial(change.serial);
        this.#extend(change.length);
        this.#sealed = true;
        this.#writtenAtMs = change.writtenAtMs;
        break;
      case 'cut':
        this.#takeSerial(change.serial);
        this.#cut(change.length, change.lastSum);
        for (const entry of change.table?.lowered ?? []) this.#table.set(entry.writer, entry);
        for (const writer of change.table?.dropped ?? []) this.#table.delete(writer);
        this.#writtenAtMs = change.writtenAtMs;
        break;
      case 'mend': {
        const { chunkOffset: start, length } = change;
        this.#map.put({ start, end: start + length, source: 'log', at: inlineAt });
        this.#inlineBytes += length;
        this.#mended = true;
        break;
      }
      case 'version':
        assert(change.record.version > this.#record.version, 'versions only rise');
        if (change.cut !== undefined) this.#cut(change.cut.length, change.cut.lastSum);
        assert(this.#settledLength === undefined, 'what a reconcile began goes before a version is recorded');
        this.#record = change.record;
        this.#lesson = undefined;
        this.#mark(change.epoch, change.whole);
        break;
      case 'learn':
        assert(change.record.version >= this.#record.version, 'versions only rise');
        this.#record = change.record;
        this.#lesson = change.lesson;
        this.#reconciledVersion = 0;
        this.#stream = { version: change.record.version, nextSerial: change.serial };
        this.#settledLength = undefined;
        this.#sealed = change.sealed;
        this.#setTable(change.table);
        this.#mark(change.epoch, false);
        break;
      case 'finish':
        assert(change.version === this.#record.version, 'reconciled under its own version');
        this.#reconciledVersion = change.version;
        this.#stream = { version: change.version, nextSerial: 0 };
        this.#settledLength = undefined;
        this.#sealed = change.sealed;
        this.#setTable(change.table);
        this.#mark(change.epoch, true);
        break;
      case 'mark':
        this.#mark(change.epoch, change.whole);
        break;
      case 'read':
        this.#readAtMs = change.readAtMs;
        break;
    }
  }

  /** The base of a new log, with these segments holding the content. */
  base(segments: BaseRecord['segments']): BaseRecord {
    return {
      kind: 'base',
      record: this.#record,
      reconciledVersion: this.#reconciledVersion,
      whole: this.#whole,
      lesson: this.#lesson,
      epoch: this.#epoch,
      stream: this.#stream,
      sealed: this.#sealed,
      writtenAtMs: this.#writtenAtMs,
      readAtMs: this.#readAtMs,
      length: this.length,
      settledLength: this.settledLength,
      sums: [...this.#checksums.sums],
      segments,
      table: [...this.#table.values()],
    };
  }

  #write(change: WriteRecord, inlineAt: number): void {
    const { chunkOffset, length, serial } = change;
    if (serial === undefined && chunkOffset + length > this.length) this.#settledLength ??= this.length;
    this.#checksums.write(chunkOffset, length, change.sums);
    if (length > 0) {
      const source = change.place;
      const at = source === 'log' ? inlineAt : 0;
      const end = chunkOffset + length;
      if (source === 'zero' && length >= ZERO_SEGMENT_BYTES_MIN)
        this.#zeroedBytes += bytesIn(this.#map.within(chunkOffset, end), (there) => there === 'data');
      this.#map.put({ start: chunkOffset, end, source, at });
    }
    this.#map.setLength(this.length);
    if (change.place === 'log') this.#inlineBytes += length;
    else if (change.place === 'data') this.#dataSinceMark = true;
    if (change.append !== undefined) {
      const { writer } = change.append;
      this.#table.set(writer, entryAfter(this.#table.get(writer), change.append));
    }
    this.#lengthRecoverable = Math.max(this.#lengthRecoverable, this.length);
    this.#writtenAtMs = change.writtenAtMs;
  }

  /** With zeros. */
  #extend(length: number): void {
    this.#checksums.extend(length);
    this.#map.setLength(this.length);
    this.#lengthRecoverable = Math.max(this.#lengthRecoverable, this.length);
  }

  #cut(length: number, lastSum: number): void {
    this.#checksums.cut(length, lastSum);
    this.#map.setLength(length);
    if (this.settledLength >= length) this.#settledLength = undefined;
  }

  #mark(epoch: string, whole: boolean): void {
    this.#epoch = epoch;
    this.#whole = whole;
    this.#lengthRecoverable = this.length;
    this.#dataSinceMark = false;
  }

  #setTable(table: readonly AppendEntry[]): void {
    this.#table.clear();
    for (const entry of table) this.#table.set(entry.writer, entry);
  }

  #takeSerial(serial: number | undefined): void {
    if (serial === undefined) {
      // A learner is a mixture all the time: its place among the orders is what counts.
      if (this.#lesson === undefined) this.#stream = MIXTURE;
      return;
    }
    assert(serial === this.#stream.nextSerial, 'serials have no gaps');
    this.#stream = { version: this.#stream.version, nextSerial: serial + 1 };
  }

  #refusalOfData(chunkOffset: number, length: number): Refusal | undefined {
    // No more bytes; those that are there may still be overwritten (P16).
    const isLonger = chunkOffset + length > this.length;
    if (this.#sealed && isLonger) return refuse('SEALED', `sealed at ${this.length}`).error;
    if (length > 0 && isOffset(chunkOffset) && chunkOffset + length <= CHUNK_SIZE_BYTES_MAX) return undefined;
    return refuse('INVALID_ARGUMENT', `no chunk takes ${length} bytes at ${chunkOffset}`).error;
  }

  #refusalOfZeros(chunkOffset: number, length: number): Refusal | undefined {
    if (isOffset(chunkOffset) && isOffset(length) && length > 0 && chunkOffset + length <= this.length)
      return undefined;
    return refuse('INVALID_ARGUMENT', `${length} bytes at ${chunkOffset} are not inside ${this.length}`)
      .error;
  }

  #refusalOfSeal(length: number): Refusal | undefined {
    const fits = isOffset(length) && length >= this.length && length <= CHUNK_SIZE_BYTES_MAX;
    if (fits && (!this.#sealed || length === this.length)) return undefined;
    return refuse('INVALID_ARGUMENT', `a chunk of ${this.length} bytes cannot be sealed at ${length}`).error;
  }

  #refusalOfAppend(mutation: Mutation): Refusal | undefined {
    if (mutation.kind !== 'append' || this.#table.has(mutation.writer)) return undefined;
    if (this.#table.size < APPEND_ENTRIES_MAX) return undefined;
    return refuse('INVALID_ARGUMENT', `the table of appends is full`).error;
  }
}

function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
