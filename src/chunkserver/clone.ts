import { slice } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES, READ_BYTES_MAX } from '../base/constants.ts';
import { checksumsMatch } from '../base/crc.ts';
import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { MiB, SECOND_MS } from '../base/units.ts';
import { blockLength } from '../core/reconcile.ts';
import type { VersionRecord } from '../core/replica-types.ts';
import { ChunkserverDefinition } from '../rpc/messages.ts';
import { heldAt, type ServerParts } from './server-parts.ts';
import { sumsOf } from './wire.ts';

/** One read of a clone: large enough for the network, small enough to leave room for clients between two. */
const CLONE_READ_BYTES = Math.min(1 * MiB, READ_BYTES_MAX);
const CALL_MS_MAX = 10 * SECOND_MS;

/**
 * Makes a copy of a chunk that nobody writes to, from a server that holds it at the same version: blocks, table and all,
 * each block verified against the source's checksums. Returns its length. A copy that was begun is made afresh.
 */
export async function cloneReplica(
  parts: ServerParts,
  record: VersionRecord,
  source: string,
): Promise<number> {
  const { chunk, version } = record;
  const connection = parts.peers.at(source);
  const { blockChecksums, read } = ChunkserverDefinition.methods;
  const deadline = () => ({ deadlineMs: parts.env.monotonicMs() + CALL_MS_MAX });
  const sums = sumsOf((await connection.call(blockChecksums, { chunk, version }, deadline())).message);

  await parts.chunks.create(record, 'copy');
  const { replica } = await heldAt(parts, chunk, version);
  if (replica.state.standing === 'reconciled') return replica.state.length;
  await replica.reconcileCut(version, 0, { lowered: [], dropped: [] });
  for (let chunkOffset = 0; chunkOffset < sums.length; chunkOffset += CLONE_READ_BYTES) {
    const length = Math.min(CLONE_READ_BYTES, sums.length - chunkOffset);
    const { payload } = await connection.call(read, { chunk, version, chunkOffset, length }, deadline());
    for (let offset = 0; offset < length; offset += CHECKSUM_BLOCK_BYTES) {
      const blockIndex = (chunkOffset + offset) / CHECKSUM_BLOCK_BYTES;
      const data = slice(payload, offset, offset + blockLength(sums.length, blockIndex));
      const checksum = sums.checksums[blockIndex];
      if (checksum === undefined || !checksumsMatch(data, chunkOffset + offset, [checksum])) {
        throw new GfsError('CHECKSUM_MISMATCH', `block ${blockIndex} of chunk ${hex(chunk)} from ${source}`);
      }
      await replica.reconcileBlock(version, blockIndex, data, checksum);
    }
  }
  await replica.reconcileFinish(version, sums);
  return sums.length;
}
