import { assert, must } from '../base/assert.ts';
import { type Bytes, lengthOf, slice } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import { crc32, crc32OfBytes } from '../base/crc.ts';

const ZEROS = new Uint8Array(CHECKSUM_BLOCK_BYTES);
const ZERO_BLOCK_CHECKSUM = crc32(ZEROS);

/**
 * Blocks (two at most) whose old bytes the checksums after a write cannot do without: partly overwritten ones. A
 * block that only grows is not among them; its checksum is continued.
 */
export function mergedBlocks(replicaLength: number, chunkOffset: number, length: number): number[] {
  const last = Math.floor((chunkOffset + length - 1) / CHECKSUM_BLOCK_BYTES);
  const first = Math.floor(chunkOffset / CHECKSUM_BLOCK_BYTES);
  const edges = first === last ? [first] : [first, last];
  return edges.filter((blockIndex) => {
    const start = blockIndex * CHECKSUM_BLOCK_BYTES;
    const end = Math.min(start + CHECKSUM_BLOCK_BYTES, replicaLength);
    if (chunkOffset >= end) return false;
    return chunkOffset > start || chunkOffset + length < end;
  });
}

/**
 * CRC-32 of each 64 KiB block of a replica (§5.2), each over the block's bytes up to the replica's length. A checksum
 * changes only to one that was given with data, or that continues an old one over new bytes, or that was computed
 * from old bytes which matched: nothing here ever trusts what a disk returned.
 */
export class BlockChecksums {
  #sums: number[];
  #length: number;

  constructor(sums: readonly number[] = [], length = 0) {
    assert(sums.length === blockCountOf(length), 'a checksum for each block');
    this.#sums = [...sums];
    this.#length = length;
  }

  get length(): number {
    return this.#length;
  }

  get sums(): readonly number[] {
    return this.#sums;
  }

  at(blockIndex: number): number {
    return must(this.#sums[blockIndex], 'the block is within the replica');
  }

  /** Bytes of the block that belong to the replica. */
  blockLength(blockIndex: number): number {
    return Math.min(CHECKSUM_BLOCK_BYTES, Math.max(0, this.#length - blockIndex * CHECKSUM_BLOCK_BYTES));
  }

  /** See `mergedBlocks`. */
  mergedBlocks(chunkOffset: number, length: number): number[] {
    return mergedBlocks(this.#length, chunkOffset, length);
  }

  /**
   * Checksums of the blocks that a write touches, as they are after it. `old` has the verified bytes of
   * `mergedBlocks`; `pieces` are the data's own checksums, cut at blocks.
   */
  afterWrite(
    chunkOffset: number,
    data: Bytes,
    pieces: readonly number[],
    old: ReadonlyMap<number, Uint8Array>,
  ): number[] {
    const firstBlock = Math.floor(chunkOffset / CHECKSUM_BLOCK_BYTES);
    let position = 0;
    return pieces.map((piece, index) => {
      const blockStart = (firstBlock + index) * CHECKSUM_BLOCK_BYTES;
      const from = Math.max(chunkOffset, blockStart) - blockStart;
      const length =
        index === pieces.length - 1
          ? chunkOffset + lengthOf(data) - blockStart - from
          : CHECKSUM_BLOCK_BYTES - from;
      const part = () => slice(data, position, position + length);
      const sum = this.#afterPiece(firstBlock + index, from, length, piece, part, old);
      position += length;
      return sum;
    });
  }

  /** As `afterWrite`, of zeros. */
  afterZeros(chunkOffset: number, length: number, old: ReadonlyMap<number, Uint8Array>): number[] {
    const data: Uint8Array[] = [];
    const pieces: number[] = [];
    const end = chunkOffset + length;
    for (let position = chunkOffset; position < end; ) {
      const count = Math.min(end - position, CHECKSUM_BLOCK_BYTES - (position % CHECKSUM_BLOCK_BYTES));
      data.push(ZEROS.subarray(0, count));
      pieces.push(continued(0, count));
      position += count;
    }
    return this.afterWrite(chunkOffset, data, pieces, old);
  }

  /** The write's blocks take their new checksums; the replica gets longer where it reaches past its end. */
  write(chunkOffset: number, length: number, sums: readonly number[]): void {
    if (chunkOffset > this.#length) this.extend(chunkOffset);
    const firstBlock = Math.floor(chunkOffset / CHECKSUM_BLOCK_BYTES);
    for (let index = 0; index < sums.length; index += 1) {
      this.#sums[firstBlock + index] = must(sums[index], 'within the list');
    }
    this.#length = Math.max(this.#length, chunkOffset + length);
    assert(this.#sums.length === blockCountOf(this.#length), 'a checksum for each block');
  }

  /** With zeros. */
  extend(length: number): void {
    while (this.#length < length) {
      const blockIndex = Math.floor(this.#length / CHECKSUM_BLOCK_BYTES);
      const end = Math.min(length, (blockIndex + 1) * CHECKSUM_BLOCK_BYTES);
      const added = end - this.#length;
      this.#sums[blockIndex] = continued(this.#sums[blockIndex] ?? 0, added);
      this.#length = end;
    }
  }

  /** The new last block's checksum over what is left of it is the caller's, from verified bytes. */
  cut(length: number, lastSum: number): void {
    assert(length <= this.#length, 'a cut does not extend');
    this.#length = length;
    this.#sums.length = blockCountOf(length);
    if (length % CHECKSUM_BLOCK_BYTES !== 0) this.#sums[this.#sums.length - 1] = lastSum;
  }

  #afterPiece(
    blockIndex: number,
    from: number,
    length: number,
    piece: number,
    part: () => Bytes,
    old: ReadonlyMap<number, Uint8Array>,
  ): number {
    const there = this.blockLength(blockIndex);
    if (from === 0 && length >= there) return piece;
    if (from >= there) return crc32OfBytes(part(), continued(this.#sums[blockIndex] ?? 0, from - there));
    const bytes = must(old.get(blockIndex), 'the old bytes of a partly overwritten block are given');
    assert(bytes.length === there, 'all old bytes of the block');
    let sum = crc32OfBytes(part(), crc32(bytes.subarray(0, from)));
    if (from + length < there) sum = crc32(bytes.subarray(from + length), sum);
    return sum;
  }
}

/** A checksum that the bytes at hand surely do not have: for a block that could not be verified when it was cut. */
export function poisoned(bytes: Uint8Array): number {
  return ~crc32(bytes) >>> 0;
}

export function blockCountOf(length: number): number {
  return Math.ceil(length / CHECKSUM_BLOCK_BYTES);
}

function continued(sum: number, zeroCount: number): number {
  if (zeroCount === 0) return sum;
  if (zeroCount === CHECKSUM_BLOCK_BYTES && sum === 0) return ZERO_BLOCK_CHECKSUM;
  return crc32(ZEROS.subarray(0, zeroCount), sum);
}
