import { Buffer } from 'node:buffer';
import { assert } from '../base/assert.ts';
import { crc32, crc32OfBytes } from '../base/crc.ts';
import { MiB } from '../base/units.ts';

/*
 * The operation log is a directory of segments, each named for its first command's position: 20 decimal digits and
 * ".oplog". All integers are little-endian. Positions count commands from 1, without gaps over all segments.
 *
 * A segment begins with a header of 64 bytes. It is written under another name, synced and renamed, so a file of
 * this name always has a whole header; anything else is damage.
 *     0   8  "GFSOPLOG"
 *     8   4  format: 2, or 1
 *    12   4  zero
 *    16   8  position of the first command
 *    24  32  file system id, hexadecimal digits
 *    56   4  zero
 *    60   4  CRC-32 of bytes 0-59
 *
 * Batches follow, each of one write.
 *     0   4  "GLB2"
 *     4   4  CRC-32 of bytes 8 up to the payload's end
 *     8   4  payload length in bytes, at least 5
 *    12   4  number of commands, at least 1
 *    16   8  position of the first one
 *    24   8  the last position that was durable when this batch was written
 *    32   -  payload: for each command its length (4 bytes) and its bytes (a protobuf `Command`)
 * In segments of format 1 they begin with "GLB1" and are without the bytes 24-31: all before them was durable.
 *
 * Then zeros up to the file's end: space is filled ahead, so that a sync need not change the file's length.
 *
 * A batch counts when its CRC is right, its position is the expected one, and its commands fill its payload exactly.
 * A segment is only begun when all before it is durable. So the first batch that does not count is torn, with whatever follows,
 * unless a later batch says that it was durable, or a later segment exists: it is cut. Otherwise it is damage, and recovery
 * refuses to go on. (A flipped bit in what nothing later tells of looks like a torn tail.)
 */

export const SEGMENT_HEADER_BYTES = 64;
export const BATCH_HEADER_BYTES = 32;
const BATCH_HEADER_BYTES_1 = 24;
/** Far above what commands need, so that a damaged length is not believed. */
export const BATCH_PAYLOAD_BYTES_MAX = 64 * MiB;
/** Written; 1 is read. */
export const OPLOG_FORMAT = 2;
const FORMATS_READ: readonly number[] = [1, OPLOG_FORMAT];
const MAGIC = Buffer.from('GFSOPLOG', 'latin1');
const BATCH_MAGIC = Buffer.from('GLB2', 'latin1');
const BATCH_MAGIC_1 = Buffer.from('GLB1', 'latin1');
const SUFFIX = '.oplog';

export interface SegmentHeader {
  readonly firstPosition: number;
  readonly filesystemId: string;
}

export function segmentName(firstPosition: number): string {
  return `${String(firstPosition).padStart(20, '0')}${SUFFIX}`;
}

/** The first position in a segment's name; undefined: no segment. */
export function positionOfName(name: string): number | undefined {
  return /^\d{20}\.oplog$/.test(name) ? Number(name.slice(0, -SUFFIX.length)) : undefined;
}

export function encodeSegmentHeader({ firstPosition, filesystemId }: SegmentHeader): Buffer {
  assert(/^[0-9a-f]{32}$/.test(filesystemId), 'a file system id has 32 hexadecimal digits');
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(header, 0);
  header.writeUInt32LE(OPLOG_FORMAT, 8);
  header.writeBigUInt64LE(BigInt(firstPosition), 16);
  header.write(filesystemId, 24, 'latin1');
  header.writeUInt32LE(crc32(header.subarray(0, 60)), 60);
  return header;
}

/** Undefined: damaged. A whole header of another format is told apart, since then nothing is damaged. */
export function decodeSegmentHeader(
  header: Buffer,
): (SegmentHeader & { readonly format: number }) | { readonly otherFormat: number } | undefined {
  if (header.length < SEGMENT_HEADER_BYTES || !header.subarray(0, 8).equals(MAGIC)) return undefined;
  if (header.readUInt32LE(60) !== crc32(header.subarray(0, 60))) return undefined;
  const format = header.readUInt32LE(8);
  if (!FORMATS_READ.includes(format)) return { otherFormat: format };
  return {
    format,
    firstPosition: Number(header.readBigUInt64LE(16)),
    filesystemId: header.toString('latin1', 24, 56),
  };
}

/** Of a batch, header included. */
export function batchLength(commands: readonly Uint8Array[]): number {
  return commands.reduce((sum, { length }) => sum + 4 + length, BATCH_HEADER_BYTES);
}

/** The batch in pieces, not joined: header first. All up to `durablePosition` is durable before it is written. */
export function encodeBatch(
  { firstPosition, durablePosition }: { firstPosition: number; durablePosition: number },
  commands: readonly Uint8Array[],
): Uint8Array[] {
  assert(commands.length > 0, 'a batch has commands');
  const header = Buffer.alloc(BATCH_HEADER_BYTES);
  const pieces: Uint8Array[] = [header];
  const lengths = Buffer.alloc(4 * commands.length);
  for (const [index, command] of commands.entries()) {
    assert(command.length > 0, 'a command has bytes');
    lengths.writeUInt32LE(command.length, 4 * index);
    pieces.push(lengths.subarray(4 * index, 4 * index + 4), command);
  }
  const payloadBytes = batchLength(commands) - BATCH_HEADER_BYTES;
  assert(payloadBytes <= BATCH_PAYLOAD_BYTES_MAX, 'a batch can be read back');
  BATCH_MAGIC.copy(header, 0);
  header.writeUInt32LE(payloadBytes, 8);
  header.writeUInt32LE(commands.length, 12);
  header.writeBigUInt64LE(BigInt(firstPosition), 16);
  header.writeBigUInt64LE(BigInt(durablePosition), 24);
  header.writeUInt32LE(crc32OfBytes([header.subarray(8), ...pieces.slice(1)]), 4);
  return pieces;
}

export interface Batch {
  readonly firstPosition: number;
  /** So far the log was durable when the batch was written. */
  readonly durablePosition: number;
  /** Views of the segment. */
  readonly commands: readonly Buffer[];
  /** Where the next batch begins. */
  readonly end: number;
}

/** The batch that begins at `offset`; undefined: none that counts. */
export function decodeBatch(segment: Buffer, offset: number): Batch | undefined {
  const isOld = hasMagic(segment, offset, BATCH_MAGIC_1);
  const payloadStart = offset + (isOld ? BATCH_HEADER_BYTES_1 : BATCH_HEADER_BYTES);
  if (payloadStart > segment.length || !(isOld || hasMagic(segment, offset, BATCH_MAGIC))) return undefined;
  const end = payloadStart + segment.readUInt32LE(offset + 8);
  if (end > segment.length) return undefined;
  if (crc32(segment.subarray(offset + 8, end)) !== segment.readUInt32LE(offset + 4)) return undefined;
  const commands = decodePayload(segment.subarray(payloadStart, end), segment.readUInt32LE(offset + 12));
  const firstPosition = Number(segment.readBigUInt64LE(offset + 16));
  const durablePosition = isOld ? firstPosition - 1 : Number(segment.readBigUInt64LE(offset + 24));
  return commands && { firstPosition, durablePosition, commands, end };
}

function decodePayload(payload: Buffer, count: number): Buffer[] | undefined {
  const commands: Buffer[] = [];
  let offset = 0;
  while (offset + 4 <= payload.length) {
    const end = offset + 4 + payload.readUInt32LE(offset);
    if (end > payload.length) return undefined;
    commands.push(payload.subarray(offset + 4, end));
    offset = end;
  }
  return offset === payload.length && commands.length === count && count > 0 ? commands : undefined;
}

function hasMagic(segment: Buffer, offset: number, magic: Buffer): boolean {
  return offset + 4 <= segment.length && segment.compare(magic, 0, 4, offset, offset + 4) === 0;
}

/** Whether a batch that counts begins anywhere behind `offset`, and says that more than `position` was durable. */
export function tellsOfMore(
  segment: Buffer,
  { offset, position }: { offset: number; position: number },
): boolean {
  return [BATCH_MAGIC, BATCH_MAGIC_1].some((magic) => {
    for (let at = segment.indexOf(magic, offset + 1); at >= 0; at = segment.indexOf(magic, at + 1)) {
      const batch = decodeBatch(segment, at);
      // Others are no sign of damage: a file's name may happen to hold the bytes of an old batch.
      if (batch !== undefined && batch.durablePosition > position) return true;
    }
    return false;
  });
}
