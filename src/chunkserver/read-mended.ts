import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { mergedBlocks } from '../core/replica-checksums.ts';
import type { ReadAnswer, Replica } from '../storage/replica-store.ts';
import type { BlockMender, MendOutcome } from './block-mender.ts';

/** As `Replica.read`, of which bad blocks are put right first; CHECKSUM_MISMATCH for one that cannot be now. */
export async function readMended(
  mender: BlockMender,
  replica: Replica,
  chunkOffset: number,
  length: number,
): Promise<ReadAnswer> {
  for (let blockIndex = -1; ; ) {
    try {
      return await replica.read(chunkOffset, length);
    } catch (error) {
      const badBlock = badBlockOf(error);
      // They are found from the first one on.
      const isNext = badBlock !== undefined && badBlock > blockIndex;
      if (!isNext || (await mender.mend(replica, badBlock)) !== 'mended') throw error;
      blockIndex = badBlock;
    }
  }
}

/**
 * Before a primary orders an overwrite: blocks of which it changes a part, and which were found bad here, are put right.
 * CHUNK_LOST for one that is bad at all members: what is written would have to be merged with bytes that nobody has, and
 * each primary would fail at it. Undefined, nearly always: there is no such block.
 */
export function mendMerged(
  mender: BlockMender,
  replica: Replica,
  { chunkOffset, length }: { readonly chunkOffset: number; readonly length: number },
): Promise<void> | undefined {
  if (!mender.knowsBad) return undefined;
  const merged = mergedBlocks(replica.state.length, chunkOffset, length);
  const suspects = merged.filter((blockIndex) => mender.mayBeBad(replica, blockIndex));
  return suspects.length === 0 ? undefined : mendAll(mender, replica, suspects);
}

async function mendAll(mender: BlockMender, replica: Replica, suspects: readonly number[]): Promise<void> {
  for (const blockIndex of suspects) {
    if ((await lookAt(mender, replica, blockIndex)) !== 'lost') continue;
    const what = `block ${blockIndex} of chunk ${hex(replica.chunk)}`;
    throw new GfsError('CHUNK_LOST', `${what} is bad at all members: it can be overwritten as a whole only`);
  }
}

async function lookAt(mender: BlockMender, replica: Replica, blockIndex: number): Promise<MendOutcome> {
  try {
    await replica.read(blockIndex * CHECKSUM_BLOCK_BYTES, CHECKSUM_BLOCK_BYTES);
    return 'mended';
  } catch (error) {
    if (badBlockOf(error) === undefined) throw error;
    return await mender.mend(replica, blockIndex);
  }
}

function badBlockOf(error: unknown): number | undefined {
  if (codeOf(error) !== 'CHECKSUM_MISMATCH' || !(error instanceof GfsError)) return undefined;
  const { block } = error.fields;
  return block === undefined ? undefined : Number(block);
}
