import type { Inode } from './rows.ts';

/**
 * How much of a file may be data, for `st_blocks`. It costs no look at chunks: what its writers say that they wrote, each byte
 * as often as it was, and what fallocate(2) allocated, without what they say that became zeros. Where nobody knows, as when a
 * writer died, all of the file is data.
 */
export function dataBytesOf({ length, holeBytes }: Pick<Inode, 'length' | 'holeBytes'>): number {
  return length - holeBytes;
}

/**
 * When so many bytes became zeros. Chunkservers fill small holes now and then, and count them as data that is zeroed; so as long as
 * there may be some, there is some: programs take a file without any for one that is all hole.
 */
export function dataAfterZeros(inode: Pick<Inode, 'length' | 'holeBytes'>, zeroedBytes: number): number {
  const before = dataBytesOf(inode);
  return Math.max(Math.min(before, 1), before - zeroedBytes);
}

/** The holes of a file of this length with so much data at most. */
export function holesAt(length: number, dataBytes: number): number {
  return Math.max(0, length - dataBytes);
}
