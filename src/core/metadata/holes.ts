import type { Inode } from './rows.ts';

/**
 * How much of a file may be data, for `st_blocks`. An upper bound, which costs no look at chunks: what its writers say that
 * they wrote, each byte as often as it was, and what fallocate(2) allocated. Where nobody knows, as when a writer died, all of
 * the file is data. Of what is made a hole again the longest range counts as one: the others may have been a part of it.
 */
export function dataBytesOf({ length, holeBytes }: Pick<Inode, 'length' | 'holeBytes'>): number {
  return length - holeBytes;
}

/** The holes of a file of this length with so much data at most. */
export function holesAt(length: number, dataBytes: number): number {
  return Math.max(0, length - dataBytes);
}
