import type { Time } from '../../src/rpc/messages.ts';
import { LOCK } from './numbers.ts';

/** What the kernel keeps of a node. */
export interface NodeAttributes {
  readonly node: number;
  readonly size: number;
  /** Bytes of the file that nobody wrote. */
  readonly holeBytes: number;
  /** With the type's bits. */
  readonly mode: number;
  readonly linkCount: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly atime: Time;
  readonly mtime: Time;
  readonly ctime: Time;
  readonly btime: Time;
}

/** Attributes, and how long the kernel may believe them. */
export interface TimedAttributes {
  readonly attributes: NodeAttributes;
  readonly attributeTimeoutMs: number;
}

/** A name's node. The kernel counts each that it is told of as one look-up. */
export interface Entry extends TimedAttributes {
  readonly entryTimeoutMs: number;
}

export interface OpenReply {
  readonly openFile: number;
  /** FOPEN bits. */
  readonly flags: number;
  /** Nothing is written by it: a flush of it does no more than unlock. */
  readonly isReadOnly?: boolean;
}

/** A lock in the way of another. */
export interface LockReply {
  readonly exclusive: boolean;
  readonly start: number;
  readonly end: number;
  /** 0: of another machine. */
  readonly pid: number;
}

export interface FilesystemStatistics {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly availableBytes: number;
  readonly nodeCount: number;
  readonly nodeCountFree: number;
  readonly nameBytesMax: number;
}

export interface InitialiseReply {
  readonly major: number;
  readonly minor: number;
  readonly readaheadBytesMax: number;
  readonly flags: number;
  readonly flags2: number;
  readonly backgroundCountMax: number;
  readonly congestionThreshold: number;
  readonly writeBytesMax: number;
  readonly timeGranularityNs: number;
  readonly pageCountMax: number;
}

/** struct fuse_out_header: len u32, error i32 (negative errno), unique u64. */
export const OUT_HEADER_BYTES = 16;
const WORD = 2 ** 32;
const BLOCK_BYTES = 512;
/** The kernel's word for the end of any file. */
const OFFSET_MAX = 2n ** 63n - 1n;
const STATISTICS_BLOCK_BYTES = 4096;
/** What programs read and write at a time when they ask (st_blksize). */
const PREFERRED_BLOCK_BYTES = 128 * 1024;

/** Each writer puts its struct at `at` and returns where it ends. */

export function writeHeader(out: Buffer, unique: bigint, errno: number, length: number): void {
  out.writeUInt32LE(length, 0);
  out.writeInt32LE(-errno, 4);
  out.writeBigUInt64LE(unique, 8);
}

/**
 * struct fuse_entry_out: nodeid u64, generation u64, entry_valid u64, attr_valid u64, entry_valid_nsec u32,
 * attr_valid_nsec u32, attr. The generation is always 0: inode numbers are never reused.
 */
export function writeEntry(out: Buffer, at: number, entry: Entry): number {
  writeUint64(out, at, entry.attributes.node);
  writeUint64(out, at + 8, 0);
  writeUint64(out, at + 16, wholeSeconds(entry.entryTimeoutMs));
  writeUint64(out, at + 24, wholeSeconds(entry.attributeTimeoutMs));
  out.writeUInt32LE(restNanos(entry.entryTimeoutMs), at + 32);
  out.writeUInt32LE(restNanos(entry.attributeTimeoutMs), at + 36);
  return writeNodeAttributes(out, at + 40, entry.attributes);
}
export const ENTRY_BYTES = 128;

/** struct fuse_attr_out: attr_valid u64, attr_valid_nsec u32, dummy u32, attr. */
export function writeAttributes(out: Buffer, at: number, reply: TimedAttributes): number {
  writeUint64(out, at, wholeSeconds(reply.attributeTimeoutMs));
  out.writeUInt32LE(restNanos(reply.attributeTimeoutMs), at + 8);
  out.writeUInt32LE(0, at + 12);
  return writeNodeAttributes(out, at + 16, reply.attributes);
}
export const ATTRIBUTES_BYTES = 104;

/**
 * struct fuse_attr: ino u64, size u64, blocks u64, atime u64, mtime u64, ctime u64, atimensec u32, mtimensec u32,
 * ctimensec u32, mode u32, nlink u32, uid u32, gid u32, rdev u32, blksize u32, flags u32
 */
function writeNodeAttributes(out: Buffer, at: number, attributes: NodeAttributes): number {
  writeUint64(out, at, attributes.node);
  writeUint64(out, at + 8, attributes.size);
  writeUint64(out, at + 16, blockCount(attributes));
  writeSeconds(out, at + 24, attributes.atime.seconds);
  writeSeconds(out, at + 32, attributes.mtime.seconds);
  writeSeconds(out, at + 40, attributes.ctime.seconds);
  out.writeUInt32LE(attributes.atime.nanos, at + 48);
  out.writeUInt32LE(attributes.mtime.nanos, at + 52);
  out.writeUInt32LE(attributes.ctime.nanos, at + 56);
  out.writeUInt32LE(attributes.mode, at + 60);
  out.writeUInt32LE(attributes.linkCount, at + 64);
  out.writeUInt32LE(attributes.uid, at + 68);
  out.writeUInt32LE(attributes.gid, at + 72);
  out.writeUInt32LE(attributes.rdev, at + 76);
  out.writeUInt32LE(PREFERRED_BLOCK_BYTES, at + 80);
  out.writeUInt32LE(0, at + 84);
  return at + 88;
}

/** st_blocks: of what is not known to be a hole. */
export function blockCount({ size, holeBytes }: Pick<NodeAttributes, 'size' | 'holeBytes'>): number {
  return Math.ceil(Math.max(0, size - holeBytes) / BLOCK_BYTES);
}

/** STATX_BASIC_STATS and STATX_BTIME. */
const STATX_MASK = 0xfff;

/**
 * struct fuse_statx_out: attr_valid u64, attr_valid_nsec u32, flags u32, spare u64[2]; then struct fuse_statx: mask u32, blksize
 * u32, attributes u64, nlink u32, uid u32, gid u32, mode u16, spare u16, ino u64, size u64, blocks u64, attributes_mask u64;
 * atime, btime, ctime, mtime, each seconds i64, nanos u32, reserved i32; rdev_major u32, rdev_minor u32, dev_major u32,
 * dev_minor u32, spare u64[14]
 */
export function writeExtendedAttributes(out: Buffer, at: number, reply: TimedAttributes): number {
  const { attributes } = reply;
  const end = at + 288;
  out.fill(0, at, end);
  writeUint64(out, at, wholeSeconds(reply.attributeTimeoutMs));
  out.writeUInt32LE(restNanos(reply.attributeTimeoutMs), at + 8);
  out.writeUInt32LE(STATX_MASK, at + 32);
  out.writeUInt32LE(PREFERRED_BLOCK_BYTES, at + 36);
  out.writeUInt32LE(attributes.linkCount, at + 48);
  out.writeUInt32LE(attributes.uid, at + 52);
  out.writeUInt32LE(attributes.gid, at + 56);
  out.writeUInt16LE(attributes.mode, at + 60);
  writeUint64(out, at + 64, attributes.node);
  writeUint64(out, at + 72, attributes.size);
  writeUint64(out, at + 80, blockCount(attributes));
  const { atime, btime, ctime, mtime } = attributes;
  for (const [index, time] of [atime, btime, ctime, mtime].entries()) {
    writeSeconds(out, at + 96 + 16 * index, time.seconds);
    out.writeUInt32LE(time.nanos, at + 104 + 16 * index);
  }
  out.writeUInt32LE((attributes.rdev >>> 8) & 0xfff, at + 160);
  out.writeUInt32LE((attributes.rdev & 0xff) | ((attributes.rdev >>> 12) & 0xfff00), at + 164);
  return end;
}

/** struct fuse_open_out: fh u64, open_flags u32, padding u32. */
export function writeOpen(out: Buffer, at: number, reply: OpenReply): number {
  writeUint64(out, at, reply.openFile);
  out.writeUInt32LE(reply.flags, at + 8);
  out.writeUInt32LE(0, at + 12);
  return at + 16;
}

/** struct fuse_write_out: size u32, padding u32. */
export function writeWritten(out: Buffer, at: number, size: number): number {
  out.writeUInt32LE(size, at);
  out.writeUInt32LE(0, at + 4);
  return at + 8;
}

/** struct fuse_getxattr_out: size u32, padding u32. How much room the value, or the list, needs. */
export function writeXattrSize(out: Buffer, at: number, size: number): number {
  return writeWritten(out, at, size);
}

/** struct fuse_lseek_out: offset u64. */
export function writeOffset(out: Buffer, at: number, offset: number): number {
  writeUint64(out, at, offset);
  return at + 8;
}

/** struct fuse_lk_out: start u64, end u64, type u32, pid u32. Undefined: nothing is in the way. */
export function writeLock(out: Buffer, at: number, lock: LockReply | undefined): number {
  const { start, end, exclusive, pid } = lock ?? { start: 0, end: 0, exclusive: false, pid: 0 };
  const held = exclusive ? LOCK.WRITE : LOCK.READ;
  writeUint64(out, at, start);
  if (end === Number.MAX_SAFE_INTEGER) out.writeBigInt64LE(OFFSET_MAX, at + 8);
  else writeUint64(out, at + 8, end);
  out.writeUInt32LE(lock === undefined ? LOCK.NONE : held, at + 16);
  out.writeUInt32LE(pid, at + 20);
  return at + 24;
}

/**
 * struct fuse_kstatfs: blocks u64, bfree u64, bavail u64, files u64, ffree u64, bsize u32, namelen u32, frsize u32,
 * padding u32, spare u32[6]
 */
export function writeStatistics(out: Buffer, at: number, statistics: FilesystemStatistics): number {
  writeUint64(out, at, Math.floor(statistics.totalBytes / STATISTICS_BLOCK_BYTES));
  writeUint64(out, at + 8, Math.floor(statistics.freeBytes / STATISTICS_BLOCK_BYTES));
  writeUint64(out, at + 16, Math.floor(statistics.availableBytes / STATISTICS_BLOCK_BYTES));
  writeUint64(out, at + 24, statistics.nodeCount);
  writeUint64(out, at + 32, statistics.nodeCountFree);
  out.writeUInt32LE(STATISTICS_BLOCK_BYTES, at + 40);
  out.writeUInt32LE(statistics.nameBytesMax, at + 44);
  out.writeUInt32LE(STATISTICS_BLOCK_BYTES, at + 48);
  out.fill(0, at + 52, at + 80);
  return at + 80;
}

/**
 * struct fuse_init_out: major u32, minor u32, max_readahead u32, flags u32, max_background u16, congestion_threshold u16,
 * max_write u32, time_gran u32, max_pages u16, map_alignment u16, flags2 u32, unused u32[7]
 */
export function writeInitialise(out: Buffer, at: number, reply: InitialiseReply): number {
  out.fill(0, at, at + 64);
  out.writeUInt32LE(reply.major, at);
  out.writeUInt32LE(reply.minor, at + 4);
  out.writeUInt32LE(reply.readaheadBytesMax, at + 8);
  out.writeUInt32LE(reply.flags, at + 12);
  out.writeUInt16LE(reply.backgroundCountMax, at + 16);
  out.writeUInt16LE(reply.congestionThreshold, at + 18);
  out.writeUInt32LE(reply.writeBytesMax, at + 20);
  out.writeUInt32LE(reply.timeGranularityNs, at + 24);
  out.writeUInt16LE(reply.pageCountMax, at + 28);
  out.writeUInt32LE(reply.flags2, at + 32);
  return at + 64;
}

export function writeUint64(out: Buffer, at: number, value: number): void {
  out.writeUInt32LE(value % WORD, at);
  out.writeUInt32LE(Math.floor(value / WORD), at + 4);
}

function writeSeconds(out: Buffer, at: number, seconds: number): void {
  const high = Math.floor(seconds / WORD);
  out.writeUInt32LE(seconds - high * WORD, at);
  out.writeInt32LE(high, at + 4);
}

const wholeSeconds = (timeMs: number) => Math.floor(timeMs / 1000);
const restNanos = (timeMs: number) => Math.floor((timeMs % 1000) * 1e6);
