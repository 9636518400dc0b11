import type { RecallResponse } from '../rpc/messages.ts';
import type { HeldChunk } from './held-chunk.ts';
import { activeRole } from './mutate-handlers.ts';
import { type ChunkserverHandlers, heldAt, notPrimary, type ServerParts } from './server-parts.ts';
import { messageOfEntry } from './wire.ts';

/** What a chunk's table of appends says of a writer, as far as it is so on all members (P15). */
export function recallHandler(parts: ServerParts): Pick<ChunkserverHandlers, 'recall'> {
  return {
    recall: async ({ message: { chunk, version, writer } }) => {
      const held = await heldAt(parts, chunk, version);
      const isPrimary = held.role !== undefined;
      const recalled = isPrimary
        ? await recallAtPrimary(parts, held, { version, writer })
        : await recallSealed(held, writer);
      held.checkVersion(version);
      return { message: recalled };
    },
  };
}

async function recallAtPrimary(
  parts: ServerParts,
  held: HeldChunk,
  { version, writer }: { version: number; writer: number },
): Promise<RecallResponse> {
  const role = await activeRole(parts, held, version);
  const { entry, sealed, chunkLength } = await role.recallWriter(writer);
  return { entry: entry && messageOfEntry(entry), sealed, length: chunkLength };
}

/**
 * A sealed chunk's table says the same at every member for ever, if the seal and all before it are on all of them; who does not
 * know that, or cannot be read (P6, P7), leaves it to the primary.
 */
async function recallSealed(held: HeldChunk, writer: number): Promise<RecallResponse> {
  await held.visibility();
  const { sealed, length } = held.replica.state;
  if (!sealed || !held.isCommitted) throw notPrimary(held);
  const entry = await held.replica.appendOf(writer);
  return { entry: entry && messageOfEntry(entry), sealed, length };
}
