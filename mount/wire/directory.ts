import { ENTRY_BYTES, type Entry, writeEntry, writeUint64 } from './replies.ts';

/** One name of a listing. */
export interface DirectoryItem {
  readonly name: Uint8Array;
  readonly node: number;
  /** The type's bits of its mode. */
  readonly type: number;
  /** The kernel asks with this offset for what comes after this item. */
  readonly nextOffset: number;
  /** With a listing with attributes; counts as a look-up then. Absent: the kernel looks it up when it needs it. */
  readonly entry?: Entry | undefined;
}

/** struct fuse_dirent: ino u64, off u64, namelen u32, type u32, name, padded to 8 bytes. */
const DIRENT_HEAD_BYTES = 24;

/**
 * Packs items into out[at, limit) until one does not fit. struct fuse_direntplus is a dirent behind an entry_out; an
 * entry_out whose node is 0 says nothing about the name.
 */
export function writeDirectory(
  out: Buffer,
  at: number,
  limit: number,
  items: readonly DirectoryItem[],
  withAttributes: boolean,
): { end: number; taken: number } {
  let position = at;
  let taken = 0;
  for (const item of items) {
    const entryBytes = withAttributes ? ENTRY_BYTES : 0;
    const size = entryBytes + padded(DIRENT_HEAD_BYTES + item.name.length);
    if (position + size > limit) break;
    out.fill(0, position + size - 8, position + size);
    if (withAttributes) {
      if (item.entry === undefined) out.fill(0, position, position + ENTRY_BYTES);
      else writeEntry(out, position, item.entry);
    }
    const head = position + entryBytes;
    writeUint64(out, head, item.node);
    writeUint64(out, head + 8, item.nextOffset);
    out.writeUInt32LE(item.name.length, head + 16);
    out.writeUInt32LE(item.type >>> 12, head + 20);
    out.set(item.name, head + DIRENT_HEAD_BYTES);
    position += size;
    taken += 1;
  }
  return { end: position, taken };
}

/** No more items than this can fit a listing of `size` bytes, and one fits any. */
export function itemCountMax(size: number, withAttributes: boolean): number {
  const sizeMin = (withAttributes ? ENTRY_BYTES : 0) + padded(DIRENT_HEAD_BYTES + 1);
  return Math.max(1, Math.ceil(size / sizeMin));
}

const padded = (length: number) => (length + 7) & ~7;
