/**
 * The log of a chunk, `XX/HANDLE.log`: one base record, then change records, back to back. Little-endian.
 *
 *     offset  size
 *     0       4     length of the body
 *     4       4     CRC-32 of the length, continuing from the previous record's body CRC (the first: from the seed)
 *     8       4     CRC-32 of the body, continuing from the CRC at 4
 *     12            body: kind (1 byte), fields of the kind, then inline data to the end of the body
 *
 * A record counts when both CRCs match. As each CRC continues from the one before, a record counts only behind the
 * very records it was written behind: what an earlier, cut tail left in the file is never taken for a part of it.
 * The seed is the chunk's handle, so a log counts only under its own name. The length has a CRC of its own so that a
 * record that the file's end cuts short (a torn tail: never acknowledged) is told from one that was damaged.
 *
 * Fields: u8, u32, u53 (8 bytes; low half first), text (u32 length, UTF-8), list (u32 count, items). In order:
 *
 *     base     'GFSR' u32, format u8, flags u8 (1 whole, 2 sealed, 4 unsettled, 8 learner), epoch text, lesson text if
 *              learner, version record, reconciled u53, stream version u53, next serial u53, written u53 ms, read u53 ms,
 *              length u53, settled length u53 if unsettled, sums list of u32,
 *              segments list (source u8: 0 zero, 1 data, 2 inline; length u53), table list; inline data of the segments
 *     write    flags u8 (1 in the data file, 2 ordered, 4 append, 8 zeros), serial u53, written u53, offset u53, length u32,
 *              sums list of u32, table entry if append; the data unless in the data file or zeros
 *     seal     serial u53, written u53, length u53
 *     cut      flags u8 (2 ordered, 4 table), serial u53, written u53, length u53, last sum u32; if table: list of table
 *              entries, list of writers u53
 *     mend     offset u53, length u32; the data
 *     version  flags u8 (1 whole, 2 cut), epoch text, version record, cut length u53 and last sum u32 if cut
 *     finish   flags u8 (2 sealed), version u53, epoch text, table list
 *     mark     flags u8 (1 whole), epoch text
 *     read     read u53
 *     learn    flags u8 (2 sealed), epoch text, lesson text, version record, serial u53, table list
 *
 * A version record is chunk u53, version u53, primary u53, loss u53, cut flag u8, cut version u53 and cut length u53
 * if flagged, members list (server u53, address text, rack text). A table entry is writer u53, number u53, offset u53,
 * length u32, checksum u32; if the length's highest bit is set, which is no part of it, a list of the places of numbered
 * records follows: length u32, and if its highest bit is set, offset u53; otherwise it begins where the one before ends.
 */
import type { Bytes } from '../base/bytes.ts';
import { crc32, crc32OfBytes } from '../base/crc.ts';
import type { Segment, SegmentSource } from '../core/replica-map.ts';
import type { BaseRecord, ReplicaRecord, WriteRecord } from '../core/replica-records.ts';
import type { AppendEntry, Member, RecordPlace, VersionRecord } from '../core/replica-types.ts';
import { FieldReader, FieldWriter } from './replica-fields.ts';

export const RECORD_HEADER_BYTES = 12;

const MAGIC = 0x52534647;
const FORMAT = 2;

/** Of a length, which never has it. */
const HIGH_BIT = 2 ** 31;

const KINDS = ['base', 'write', 'seal', 'cut', 'version', 'finish', 'mark', 'read', 'learn', 'mend'] as const;
const SOURCES: readonly SegmentSource[] = ['zero', 'data', 'log'];

export interface EncodedRecord {
  /** Header and fields, then the data. */
  readonly buffers: Bytes;
  readonly length: number;
  /** Where the inline data begins, from the record's start. */
  readonly inlineAt: number;
  /** The CRC from which the next record's continues. */
  readonly chain: number;
}

/** What a log's first record continues from. */
export function chainSeed(chunk: number): number {
  const fields = new FieldWriter(8);
  fields.u53(chunk);
  return crc32(fields.bytes());
}

export function encodeRecord(record: ReplicaRecord, data: Bytes, chain: number): EncodedRecord {
  const writer = new FieldWriter(RECORD_HEADER_BYTES + 96);
  writer.skip(RECORD_HEADER_BYTES);
  writer.u8(KINDS.indexOf(record.kind));
  writeFields(writer, record);
  const head = writer.bytes();
  let dataLength = 0;
  for (const buffer of data) dataLength += buffer.length;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  view.setUint32(0, head.length - RECORD_HEADER_BYTES + dataLength, true);
  const headerSum = crc32(head.subarray(0, 4), chain);
  view.setUint32(4, headerSum, true);
  const bodySum = crc32OfBytes(data, crc32(head.subarray(RECORD_HEADER_BYTES), headerSum));
  view.setUint32(8, bodySum, true);
  return {
    buffers: [head, ...data],
    length: head.length + dataLength,
    inlineAt: head.length,
    chain: bodySum,
  };
}

export type ScannedRecord =
  | {
      readonly kind: 'record';
      readonly record: ReplicaRecord;
      readonly length: number;
      readonly inlineAt: number;
      readonly chain: number;
    }
  /** The log ends here, at a record's border. */
  | { readonly kind: 'end' }
  /** The log ends within this record. */
  | { readonly kind: 'torn' }
  /** What is here was not written here, or was changed since. */
  | { readonly kind: 'damaged' };

/** The record at `position` of a log that is read wholly into `log`. */
export function scanRecord(log: Uint8Array, position: number, chain: number): ScannedRecord {
  const left = log.length - position;
  if (left === 0) return { kind: 'end' };
  if (left < RECORD_HEADER_BYTES) return { kind: 'torn' };
  const view = new DataView(log.buffer, log.byteOffset + position, RECORD_HEADER_BYTES);
  const headerSum = crc32(log.subarray(position, position + 4), chain);
  if (view.getUint32(4, true) !== headerSum) return { kind: 'damaged' };
  const bodyLength = view.getUint32(0, true);
  if (bodyLength > left - RECORD_HEADER_BYTES) return { kind: 'torn' };
  const bodyAt = position + RECORD_HEADER_BYTES;
  const body = log.subarray(bodyAt, bodyAt + bodyLength);
  const bodySum = crc32(body, headerSum);
  if (view.getUint32(8, true) !== bodySum) return { kind: 'damaged' };
  const reader = new FieldReader(body);
  const record = readFields(reader);
  const inlineAt = RECORD_HEADER_BYTES + reader.position;
  const length = RECORD_HEADER_BYTES + bodyLength;
  return { kind: 'record', record, length, inlineAt, chain: bodySum };
}

function writeFields(writer: FieldWriter, record: ReplicaRecord): void {
  switch (record.kind) {
    case 'base':
      writeBase(writer, record);
      break;
    case 'write':
      writer.u8(
        flags(
          record.place === 'data',
          record.serial !== undefined,
          record.append !== undefined,
          record.place === 'zero',
        ),
      );
      writer.u53(record.serial ?? 0);
      writer.u53(record.writtenAtMs);
      writer.u53(record.chunkOffset);
      writer.u32(record.length);
      writer.u32List(record.sums);
      if (record.append !== undefined) writeEntry(writer, record.append);
      break;
    case 'seal':
      writer.u53(record.serial);
      writer.u53(record.writtenAtMs);
      writer.u53(record.length);
      break;
    case 'cut':
      writer.u8(flags(false, record.serial !== undefined, record.table !== undefined));
      writer.u53(record.serial ?? 0);
      writer.u53(record.writtenAtMs);
      writer.u53(record.length);
      writer.u32(record.lastSum);
      if (record.table !== undefined) {
        writer.list(record.table.lowered, writeEntry);
        writer.list(record.table.dropped, (to, one) => to.u53(one));
      }
      break;
    case 'mend':
      writer.u53(record.chunkOffset);
      writer.u32(record.length);
      break;
    case 'version':
      writer.u8(flags(record.whole, record.cut !== undefined));
      writer.text(record.epoch);
      writeVersion(writer, record.record);
      if (record.cut !== undefined) {
        writer.u53(record.cut.length);
        writer.u32(record.cut.lastSum);
      }
      break;
    case 'finish':
      writer.u8(flags(false, record.sealed));
      writer.u53(record.version);
      writer.text(record.epoch);
      writer.list(record.table, writeEntry);
      break;
    case 'mark':
      writer.u8(flags(record.whole));
      writer.text(record.epoch);
      break;
    case 'read':
      writer.u53(record.readAtMs);
      break;
    case 'learn':
      writer.u8(flags(false, record.sealed));
      writer.text(record.epoch);
      writer.text(record.lesson);
      writeVersion(writer, record.record);
      writer.u53(record.serial);
      writer.list(record.table, writeEntry);
      break;
  }
}

function readFields(reader: FieldReader): ReplicaRecord {
  const kind = KINDS[reader.u8()];
  switch (kind) {
    case 'base':
      return readBase(reader);
    case 'write':
      return readWrite(reader);
    case 'seal':
      return { kind, serial: reader.u53(), writtenAtMs: reader.u53(), length: reader.u53() };
    case 'cut': {
      const [, ordered, hasTable] = unflags(reader.u8());
      const serialRead = reader.u53();
      const serial = ordered ? serialRead : undefined;
      const writtenAtMs = reader.u53();
      const length = reader.u53();
      const lastSum = reader.u32();
      const table = hasTable
        ? { lowered: reader.list(readEntry), dropped: reader.list((from) => from.u53()) }
        : undefined;
      return { kind, serial, length, lastSum, table, writtenAtMs };
    }
    case 'mend':
      return { kind, chunkOffset: reader.u53(), length: reader.u32() };
    case 'version': {
      const [whole, hasCut] = unflags(reader.u8());
      const epoch = reader.text();
      const record = readVersion(reader);
      const cut = hasCut ? { length: reader.u53(), lastSum: reader.u32() } : undefined;
      return { kind, record, epoch, whole, cut };
    }
    case 'finish': {
      const [, sealed] = unflags(reader.u8());
      const version = reader.u53();
      return { kind, version, epoch: reader.text(), sealed, table: reader.list(readEntry) };
    }
    case 'mark': {
      const [whole] = unflags(reader.u8());
      return { kind, epoch: reader.text(), whole };
    }
    case 'read':
      return { kind, readAtMs: reader.u53() };
    case 'learn': {
      const [, sealed] = unflags(reader.u8());
      const epoch = reader.text();
      const lesson = reader.text();
      const record = readVersion(reader);
      return { kind, sealed, epoch, lesson, record, serial: reader.u53(), table: reader.list(readEntry) };
    }
    default:
      return reader.fail('the kind of record is unknown');
  }
}

function writeBase(writer: FieldWriter, base: BaseRecord): void {
  writer.u32(MAGIC);
  writer.u8(FORMAT);
  const isUnsettled = base.settledLength < base.length;
  writer.u8(flags(base.whole, base.sealed, isUnsettled, base.lesson !== undefined));
  writer.text(base.epoch);
  if (base.lesson !== undefined) writer.text(base.lesson);
  writeVersion(writer, base.record);
  writer.u53(base.reconciledVersion);
  writer.u53(base.stream.version);
  writer.u53(base.stream.nextSerial);
  writer.u53(base.writtenAtMs);
  writer.u53(base.readAtMs);
  writer.u53(base.length);
  if (isUnsettled) writer.u53(base.settledLength);
  writer.u32List(base.sums);
  writer.list(base.segments, (to, segment) => {
    to.u8(SOURCES.indexOf(segment.source));
    to.u53(segment.end - segment.start);
  });
  writer.list(base.table, writeEntry);
}

function readBase(reader: FieldReader): BaseRecord {
  if (reader.u32() !== MAGIC) reader.fail('this is not the log of a chunk');
  const format = reader.u8();
  if (format !== FORMAT) reader.fail(`format ${format} of a chunk's log is not known here`);
  const [whole, sealed, isUnsettled, isLearner] = unflags(reader.u8());
  const epoch = reader.text();
  const lesson = isLearner ? reader.text() : undefined;
  const record = readVersion(reader);
  const reconciledVersion = reader.u53();
  const stream = { version: reader.u53(), nextSerial: reader.u53() };
  const writtenAtMs = reader.u53();
  const readAtMs = reader.u53();
  const length = reader.u53();
  const settledLength = isUnsettled ? reader.u53() : length;
  const sums = reader.u32List();
  let start = 0;
  const segments = reader.list((from): Segment => {
    const source = SOURCES[from.u8()] ?? from.fail('the source of a segment is unknown');
    const end = start + from.u53();
    const segment = { start, end, source, at: 0 };
    start = end;
    return segment;
  });
  const table = reader.list(readEntry);
  return {
    kind: 'base',
    ...{ record, reconciledVersion, whole, lesson, epoch, stream, sealed, writtenAtMs, readAtMs },
    ...{ length, settledLength, sums, segments, table },
  };
}

function readWrite(reader: FieldReader): WriteRecord {
  const [inDataFile, ordered, isAppend, isZeros] = unflags(reader.u8());
  const serial = reader.u53();
  const writtenAtMs = reader.u53();
  const chunkOffset = reader.u53();
  const length = reader.u32();
  const sums = reader.u32List();
  return {
    kind: 'write',
    serial: ordered ? serial : undefined,
    chunkOffset,
    length,
    place: inDataFile ? 'data' : isZeros ? 'zero' : 'log',
    sums,
    append: isAppend ? readEntry(reader) : undefined,
    writtenAtMs,
  };
}

function writeVersion(writer: FieldWriter, record: VersionRecord): void {
  writer.u53(record.chunk);
  writer.u53(record.version);
  writer.u53(record.primary);
  writer.u53(record.loss);
  const hasCut = record.cutVersion !== undefined && record.cutLength !== undefined;
  writer.u8(flags(hasCut));
  if (hasCut) {
    writer.u53(record.cutVersion ?? 0);
    writer.u53(record.cutLength ?? 0);
  }
  writer.list(record.members, (to, member) => {
    to.u53(member.server);
    to.text(member.address);
    to.text(member.rack);
  });
}

function readVersion(reader: FieldReader): VersionRecord {
  const chunk = reader.u53();
  const version = reader.u53();
  const primary = reader.u53();
  const loss = reader.u53();
  const [hasCut] = unflags(reader.u8());
  const cut = hasCut ? { cutVersion: reader.u53(), cutLength: reader.u53() } : {};
  const members = reader.list(
    (from): Member => ({ server: from.u53(), address: from.text(), rack: from.text() }),
  );
  return { chunk, version, members, primary, loss, ...cut };
}

function writeEntry(writer: FieldWriter, entry: AppendEntry): void {
  writer.u53(entry.writer);
  writer.u53(entry.number);
  writer.u53(entry.chunkOffset);
  writer.u32(entry.records === undefined ? entry.length : entry.length + HIGH_BIT);
  writer.u32(entry.checksum);
  if (entry.records !== undefined) writePlaces(writer, entry.records);
}

function writePlaces(writer: FieldWriter, places: readonly RecordPlace[]): void {
  let end: number | undefined;
  writer.list(places, (to, { chunkOffset, length }) => {
    to.u32(chunkOffset === end ? length : length + HIGH_BIT);
    if (chunkOffset !== end) to.u53(chunkOffset);
    end = chunkOffset + length;
  });
}

function readEntry(reader: FieldReader): AppendEntry {
  const writer = reader.u53();
  const number = reader.u53();
  const chunkOffset = reader.u53();
  const lengthAndBit = reader.u32();
  const checksum = reader.u32();
  const entry = { writer, number, chunkOffset, length: lengthAndBit % HIGH_BIT, checksum };
  return lengthAndBit < HIGH_BIT ? entry : { ...entry, records: readPlaces(reader) };
}

function readPlaces(reader: FieldReader): RecordPlace[] {
  let end = 0;
  return reader.list((from) => {
    const lengthAndBit = from.u32();
    const chunkOffset = lengthAndBit < HIGH_BIT ? end : from.u53();
    const length = lengthAndBit % HIGH_BIT;
    end = chunkOffset + length;
    return { chunkOffset, length };
  });
}

function flags(...bits: readonly boolean[]): number {
  return bits.reduce((value, bit, index) => (bit ? value | (1 << index) : value), 0);
}

function unflags(value: number): readonly [boolean, boolean, boolean, boolean] {
  return [(value & 1) !== 0, (value & 2) !== 0, (value & 4) !== 0, (value & 8) !== 0];
}
