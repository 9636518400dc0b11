import type { Time } from '../../src/rpc/messages.ts';
import { blockCount, type FilesystemStatistics, type NodeAttributes } from '../wire/replies.ts';
import type { NativeStat, NativeStatfs } from './package.ts';

const WORD = 2 ** 32;
const STATISTICS_BLOCK_BYTES = 4096;
/** What programs read and write at a time when they ask: the most that one request of libfuse's takes. */
const PREFERRED_BLOCK_BYTES = 128 * 1024;

/** The binding takes 32 bits of an inode's number, and 0 would hide a name in listings. */
export function shortInode(node: number): number {
  return ((node - 1) % (WORD - 1)) + 1;
}

export function statOf(attributes: NodeAttributes): NativeStat {
  const { node, size, mode, linkCount, uid, gid, rdev, atime, mtime, ctime } = attributes;
  return {
    ...{ mode, uid, gid, size, rdev, ino: shortInode(node) },
    // The package takes 0 for "not said", and says 1 then. It keeps the low 32 bits of what it is given.
    nlink: linkCount === 0 ? WORD : linkCount,
    blksize: PREFERRED_BLOCK_BYTES,
    blocks: blockCount(attributes),
    ...{ atime: millisecondsOf(atime), mtime: millisecondsOf(mtime), ctime: millisecondsOf(ctime) },
  };
}

/** In blocks so large that their number has 32 bits. */
export function statfsOf(statistics: FilesystemStatistics): NativeStatfs {
  const { totalBytes, freeBytes, availableBytes, nodeCount, nodeCountFree, nameBytesMax } = statistics;
  let unit = STATISTICS_BLOCK_BYTES;
  while (Math.max(totalBytes, freeBytes, availableBytes) / unit >= WORD) unit *= 2;
  const nodes = (count: number) => Math.min(count, WORD - 1);
  return {
    ...{ bsize: unit, frsize: unit, blocks: Math.floor(totalBytes / unit) },
    ...{ bfree: Math.floor(freeBytes / unit), bavail: Math.floor(availableBytes / unit) },
    ...{ files: nodes(nodeCount), ffree: nodes(nodeCountFree), favail: nodes(nodeCountFree) },
    namemax: nameBytesMax,
  };
}

/** The binding knows no time before 1970. */
export function millisecondsOf({ seconds, nanos }: Time): number {
  return Math.max(0, seconds * 1000 + Math.floor(nanos / 1e6));
}
