import { type Bytes, lengthOf, slice } from './bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from './constants.ts';
import { checksumsOf } from './crc.ts';
import { KiB } from './units.ts';

const PUSH_PIECE_BYTES = 256 * KiB;

/** A part of pushed data. */
export interface PushPiece {
  readonly bytes: Bytes;
  /** As `checksumsOf` cuts them. */
  readonly checksums: number[];
}

/** Data for `chunkOffset` in the pieces in which it is pushed (§3.2): each but the last ends where a block ends. */
export function* pushPieces(bytes: Bytes, chunkOffset: number): Generator<PushPiece> {
  const length = lengthOf(bytes);
  for (let start = 0; start < length; ) {
    const end = Math.min(length, start + PUSH_PIECE_BYTES - ((chunkOffset + start) % CHECKSUM_BLOCK_BYTES));
    const piece = slice(bytes, start, end);
    yield { bytes: piece, checksums: checksumsOf(piece, chunkOffset + start) };
    start = end;
  }
}
