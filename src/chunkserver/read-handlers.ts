import { NO_BYTES, NO_PAYLOAD } from '../base/bytes.ts';
import { READ_BYTES_MAX } from '../base/constants.ts';
import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import { ChunkserverDefinition, type ReadRequest } from '../rpc/messages.ts';
import type { ReadAnswer } from '../storage/replica-store.ts';
import type { HeldChunk } from './held-chunk.ts';
import { readMended } from './read-mended.ts';
import { type ChunkserverHandlers, heldAt, notPrimary, type ServerParts } from './server-parts.ts';

const ASK_PRIMARY_MS_MAX = 2 * SECOND_MS;

export function readHandlers(
  parts: ServerParts,
): Pick<ChunkserverHandlers, 'read' | 'findData' | 'chunkLength'> {
  return {
    /**
     * Any member answers that is whole and reconciled (P6, P7); a short answer is the end of what readers may see (P13).
     * Where only the primary can tell and does not, NOT_READY: a short answer would deny bytes that were acknowledged.
     */
    read: async ({ message }, { requestId }) => {
      const { length } = message;
      if (length === 0) throw new GfsError('INVALID_ARGUMENT', 'a read of nothing');
      if (length > READ_BYTES_MAX) {
        throw new GfsError('INVALID_ARGUMENT', `a read of ${length} bytes; at most ${READ_BYTES_MAX}`);
      }
      const { payload, checksums, chunkLength } = await readVisible(parts, message, requestId);
      return { message: { chunkLength, checksums: [...checksums], payload: NO_PAYLOAD }, payload };
    },

    /** As a read of all that is behind the offset. */
    findData: async ({ message: { chunk, version, chunkOffset } }, { requestId }) => {
      const held = await heldAt(parts, chunk, version);
      const chunkLength = await visibleLength(parts, held, Number.POSITIVE_INFINITY, requestId);
      const found = await held.replica.findData(chunkOffset, chunkLength);
      held.checkVersion(version);
      return { message: { dataStart: found?.start ?? 0, dataEnd: found?.end ?? 0, chunkLength } };
    },

    chunkLength: async ({ message }, { requestId }) => {
      const held = await heldAt(parts, message.chunk, message.version);
      const { role } = held;
      if (role === undefined) throw notPrimary(held);
      return { message: await role.confirmedLength(requestId) };
    },
  };
}

/** What there is of the range for readers, verified; `chunkLength` is up to where they may see anything. */
export async function readVisible(
  parts: ServerParts,
  { chunk, version, chunkOffset, length }: ReadRequest,
  requestId: string,
): Promise<ReadAnswer> {
  const held = await heldAt(parts, chunk, version);
  const chunkLength = await visibleLength(parts, held, chunkOffset + length, requestId);
  const wanted = Math.max(0, Math.min(length, chunkLength - chunkOffset));
  if (wanted === 0) return { payload: NO_BYTES, checksums: [], chunkLength };
  const { payload, checksums } = await readMended(parts.mender, held.replica, chunkOffset, wanted);
  // The replica may have been cut or raised while its disk was read: what it was asked for is gone then.
  held.checkVersion(version);
  return { payload, checksums, chunkLength };
}

/** Up to where this member may show what it has, which somebody wants up to `end`. */
async function visibleLength(
  parts: ServerParts,
  held: HeldChunk,
  end: number,
  requestId: string,
): Promise<number> {
  const { length: certain, rest } = await held.visibility();
  const isHidden = rest === 'unknown' && end > certain && certain < held.replica.state.length;
  return isHidden ? await askPrimary(parts, held, requestId) : certain;
}

/** A member that holds appended bytes of which it does not know whether all members do, asks before it shows them. */
async function askPrimary(parts: ServerParts, held: HeldChunk, requestId: string): Promise<number> {
  const { record, length } = held.replica.state;
  const { chunk, version } = record;
  const unknown = (cause?: unknown) =>
    new GfsError('NOT_READY', `chunk ${hex(chunk)}: what was appended last may not be on all members`, {
      cause,
    });
  const primary = record.members.find(({ server }) => server === record.primary);
  if (primary === undefined || primary.server === parts.self()) throw unknown();
  try {
    const deadlineMs = parts.env.monotonicMs() + ASK_PRIMARY_MS_MAX;
    const { chunkLength } = ChunkserverDefinition.methods;
    const peer = parts.peers.at(primary.address);
    const reply = await peer.call(chunkLength, { chunk, version }, { deadlineMs, requestId });
    return Math.min(reply.message.length, length);
  } catch (error) {
    throw unknown(error);
  }
}
