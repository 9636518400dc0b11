import { crc32 as nativeCrc32 } from '@node-rs/crc32';
import type { Bytes } from './bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from './constants.ts';

/** CRC-32 (IEEE) of `data`, continuing from `seed`. */
export function crc32(data: Uint8Array, seed = 0): number {
  return nativeCrc32(data as Buffer, seed);
}

export function crc32OfBytes(bytes: Bytes, seed = 0): number {
  let sum = seed;
  for (const buffer of bytes) sum = crc32(buffer, sum);
  return sum;
}

/**
 * CRC-32 of each part of the data, cut where 64 KiB blocks of the chunk begin (§5.2): a partial first part up to the
 * first border, whole blocks, a partial last one. Empty data has no parts.
 */
export function checksumsOf(bytes: Bytes, chunkOffset: number): number[] {
  const checksums: number[] = [];
  let left = CHECKSUM_BLOCK_BYTES - (chunkOffset % CHECKSUM_BLOCK_BYTES);
  let sum = 0;
  let begun = false;
  for (const buffer of bytes) {
    let position = 0;
    while (position < buffer.length) {
      const end = Math.min(buffer.length, position + left);
      sum = crc32(position === 0 && end === buffer.length ? buffer : buffer.subarray(position, end), sum);
      begun = true;
      left -= end - position;
      position = end;
      if (left === 0) {
        checksums.push(sum);
        sum = 0;
        begun = false;
        left = CHECKSUM_BLOCK_BYTES;
      }
    }
  }
  if (begun) checksums.push(sum);
  return checksums;
}

/** Whether the data has just these checksums, cut as `checksumsOf` cuts. */
export function checksumsMatch(bytes: Bytes, chunkOffset: number, expected: readonly number[]): boolean {
  const found = checksumsOf(bytes, chunkOffset);
  return found.length === expected.length && found.every((sum, index) => sum === expected[index]);
}
