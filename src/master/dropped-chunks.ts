import { codeOf } from '../base/errors.ts';
import { type ChunkHandle, hex, type InodeId, type ServerId, type SessionId } from '../base/ids.ts';
import type { MasterParts } from './master-parts.ts';

type Parts = Pick<MasterParts, 'env' | 'metadata' | 'leases' | 'sessions' | 'calls'>;

/** Extents looked at in one step. */
const PAGE_SIZE = 1000;

interface DroppedChunk {
  readonly chunk: ChunkHandle;
  readonly members: readonly ServerId[];
}

/**
 * Chunks of extents that begin from `start` on, and before `end`, and will be dropped while another session than the asker
 * may be writing to them: it knows where they are, and what their primary acknowledged afterwards would be nowhere. To be
 * asked before the command that drops them is logged.
 */
export function chunksToFence(
  { env, metadata, leases, sessions }: Parts,
  {
    inode,
    start: first,
    end = Number.POSITIVE_INFINITY,
    asker,
  }: { inode: InodeId; start: number; end?: number; asker: SessionId | 0 },
): DroppedChunk[] {
  const { state } = metadata;
  const nowMs = env.monotonicMs();
  const isKnown = sessions.isComplete(nowMs);
  if (isKnown && !sessions.writersOf(inode).some((session) => session !== asker)) return [];
  const dropped: DroppedChunk[] = [];
  for (let from = first, page = state.extents(inode, from, PAGE_SIZE); page.length > 0; ) {
    for (const { start, chunk } of page) {
      const row = start < first || start >= end ? undefined : state.chunk(chunk);
      if (row === undefined || row.referenceCount > 1) continue;
      const isLeased = leases.primaryOf(chunk, row.version, nowMs) !== undefined;
      if (isLeased || !isKnown) dropped.push({ chunk, members: row.members });
    }
    from = (page.at(-1)?.start ?? from) + 1;
    page = page.length < PAGE_SIZE || from >= end ? [] : state.extents(inode, from, PAGE_SIZE);
  }
  return dropped;
}

/** Chunks that are there, as they are to be fenced when they are dropped. */
export function withMembers(
  { metadata }: Pick<Parts, 'metadata'>,
  chunks: readonly { readonly chunk: ChunkHandle }[],
): DroppedChunk[] {
  return chunks.map(({ chunk }) => ({ chunk, members: metadata.state.chunk(chunk)?.members ?? [] }));
}

/**
 * Resolves when no mutation of these chunks can be acknowledged any more: one member without the chunk suffices (P10). A
 * chunk none of whose members can be reached is left to the collection of garbage. One that another file shares since is still
 * that file's, and was frozen for that (P20).
 */
export async function fenceChunks(
  { env, calls, metadata }: Pick<Parts, 'env' | 'calls' | 'metadata'>,
  dropped: readonly DroppedChunk[],
): Promise<void> {
  await Promise.all(
    dropped.map(async ({ chunk, members }) => {
      if (metadata.state.chunk(chunk) !== undefined) return;
      try {
        await Promise.any(members.map((member) => calls.delete(member, [chunk])));
      } catch (error) {
        const [first] = error instanceof AggregateError ? error.errors : [error];
        env.log
          .of('files')
          .warn({ chunk: hex(chunk), code: codeOf(first) }, 'no member forgets a dropped chunk now');
      }
    }),
  );
}
