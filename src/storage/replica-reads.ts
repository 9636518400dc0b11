import type { Bytes } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import { crc32 } from '../base/crc.ts';
import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { ReplicaContent } from '../core/replica-content.ts';
import type { ReplicaFiles } from './replica-files.ts';

export interface ReadAnswer {
  readonly payload: Bytes;
  /** Of the payload, cut where blocks of the chunk begin. */
  readonly checksums: readonly number[];
  readonly chunkLength: number;
}

export interface VerifiedBytes {
  readonly bytes: Uint8Array;
  /** Of `bytes`, cut at blocks. */
  readonly checksums: readonly number[];
}

/**
 * The bytes [start, end) of a replica, all of whose blocks matched their checksums; or the index of the first one that
 * did not. Blocks are read whole, since that is what a checksum covers. What is to be read is fixed before the first
 * wait.
 */
export async function readVerified(
  content: ReplicaContent,
  files: ReplicaFiles,
  start: number,
  end: number,
): Promise<VerifiedBytes | { readonly badBlock: number }> {
  const { checksums } = content;
  const firstBlock = Math.floor(start / CHECKSUM_BLOCK_BYTES);
  const from = firstBlock * CHECKSUM_BLOCK_BYTES;
  const to = Math.min(content.length, Math.ceil(end / CHECKSUM_BLOCK_BYTES) * CHECKSUM_BLOCK_BYTES);
  const sums = checksums.sums.slice(firstBlock, Math.ceil(to / CHECKSUM_BLOCK_BYTES));
  const blocks = await files.gather(content.map, from, to);
  for (let index = 0; index < sums.length; index += 1) {
    const at = index * CHECKSUM_BLOCK_BYTES;
    if (crc32(blocks.subarray(at, at + CHECKSUM_BLOCK_BYTES)) !== sums[index]) {
      return { badBlock: firstBlock + index };
    }
  }
  if (from === start && to === end) return { bytes: blocks, checksums: sums };
  const bytes = blocks.subarray(start - from, end - from);
  // Only the first and the last piece can be parts of blocks.
  const firstEnd = Math.min(bytes.length, CHECKSUM_BLOCK_BYTES - (start - from));
  sums[0] = crc32(bytes.subarray(0, firstEnd));
  const lastStart = (sums.length - 1) * CHECKSUM_BLOCK_BYTES - (start - from);
  if (sums.length > 1) sums[sums.length - 1] = crc32(bytes.subarray(lastStart));
  return { bytes, checksums: sums };
}

export function corruptBlock(chunk: number, blockIndex: number): GfsError {
  return new GfsError('CHECKSUM_MISMATCH', `chunk ${hex(chunk)} block ${blockIndex}`, {
    fields: { chunk: String(chunk), block: String(blockIndex) },
  });
}
