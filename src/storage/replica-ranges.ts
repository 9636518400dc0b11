import { CHECKSUM_BLOCK_BYTES, CHUNK_SIZE_BYTES_MAX } from '../base/constants.ts';
import { GfsError } from '../base/errors.ts';
import type { ReplicaContent } from '../core/replica-content.ts';

/** INVALID_ARGUMENT for ranges that no replica can be asked for. */
export function assertRange(chunkOffset: number, lengthBytes: number): void {
  const end = chunkOffset + lengthBytes;
  const isRange = Number.isSafeInteger(chunkOffset) && chunkOffset >= 0 && lengthBytes >= 0;
  if (isRange && end <= CHUNK_SIZE_BYTES_MAX) return;
  throw new GfsError('INVALID_ARGUMENT', `no chunk has ${lengthBytes} bytes at ${chunkOffset}`);
}

/** From the block's start to its end, or to the replica's end at least. */
export function assertReplaces({ checksums }: ReplicaContent, blockIndex: number, length: number): void {
  const isBlock = length > 0 && length <= CHECKSUM_BLOCK_BYTES && length >= checksums.blockLength(blockIndex);
  if (isBlock) return;
  throw new GfsError('INVALID_ARGUMENT', `${length} bytes do not replace block ${blockIndex}`);
}

/** All that the replica holds of the block. */
export function assertIsBlock({ checksums }: ReplicaContent, blockIndex: number, length: number): void {
  if (length > 0 && length === checksums.blockLength(blockIndex)) return;
  throw new GfsError('INVALID_ARGUMENT', `${length} bytes are not block ${blockIndex}`);
}
