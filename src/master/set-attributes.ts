import { codeOf, type ErrorCode } from '../base/errors.ts';
import type { InodeId } from '../base/ids.ts';
import { refuse, unwrap } from '../base/result.ts';
import type { CommandBodies, CommandContext } from '../core/metadata/commands.ts';
import type { Attributes, Extent } from '../core/metadata/rows.ts';
import { fenceAppends } from './append-fence.ts';
import { chunksToFence, fenceChunks } from './dropped-chunks.ts';
import { checkReach, unreachable } from './file-access.ts';
import { unlessGone } from './gone-chunks.ts';
import type { MasterParts } from './master-parts.ts';

export type AttributeChanges = Omit<CommandBodies['setAttributes'], 'cut'>;
type Parts = Pick<
  MasterParts,
  | 'access'
  | 'appendEnds'
  | 'calls'
  | 'cloner'
  | 'config'
  | 'env'
  | 'garbage'
  | 'leases'
  | 'metadata'
  | 'raiser'
  | 'sessions'
>;

/** How often a chunk may be raised by somebody else between our look and our command. */
const ATTEMPTS_MAX = 5;

/** The command, and whose call it came with. */
interface Change {
  readonly context: CommandContext;
  readonly changes: AttributeChanges;
  /** Of the call: nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/**
 * One command, whatever changes. A new length inside a chunk cuts that chunk by raising its version in the same command,
 * and is answered when the version is active (P19): bytes behind the new end must not show up again when the file
 * grows, also those that somebody wrote and never committed. So the chunk is cut whatever length is stored.
 */
export async function setAttributes(parts: Parts, change: Change): Promise<Attributes> {
  const { metadata, raiser, garbage } = parts;
  const { context, changes } = change;
  const { inode, length } = changes;
  const { state } = metadata;
  for (let attempt = 1; ; attempt += 1) {
    const straddled = length === undefined ? undefined : straddledExtent(parts, inode, length);
    const before = state.results.recall(context, 'setAttributes');
    if (before !== undefined) {
      // The first answer may have been lost with the master that was to carry the cut out.
      if (before.ok && straddled !== undefined) await unlessGone(raiser.ensurePrimary(straddled.chunk));
      if (before.ok && length !== undefined) await fenceAppends(parts, inode, length);
      return unwrap(before) as Attributes;
    }
    const asker = context.session;
    const dropped = length === undefined ? [] : chunksToFence(parts, { inode, start: length, asker });
    try {
      const attributes = await changed(parts, straddled, change);
      await fenceChunks(parts, dropped);
      if (length !== undefined) await fenceAppends(parts, inode, length);
      return attributes;
    } catch (error) {
      const isOvertaken = OVERTAKEN.has(codeOf(error));
      if (!isOvertaken || attempt === ATTEMPTS_MAX) throw error;
    } finally {
      if (length !== undefined) garbage.wake();
    }
  }
}

/** As refusals of what was the extent to cut, or its chunk, a moment ago. */
const OVERTAKEN: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['NO_SUCH_CHUNK', 'VERSION_MISMATCH']);

async function changed(parts: Parts, straddled: Extent | undefined, change: Change): Promise<Attributes> {
  if (straddled !== undefined) return await cutAt(parts, straddled, change);
  const { context, changes } = change;
  const body = { ...changes, cut: undefined };
  const reach = () => unreachable(parts.access, context, [changes.inode]);
  return unwrap(await parts.metadata.execute(context, 'setAttributes', body, reach));
}

async function cutAt(
  { metadata, access, cloner, raiser }: Parts,
  extent: Extent,
  { context, changes, signal }: Change,
): Promise<Attributes> {
  const { state } = metadata;
  const { inode, byOpenFile } = changes;
  // Nobody makes servers work on what he may not change. The command itself checks again.
  checkReach(access, context, inode);
  if (!byOpenFile) unwrap(state.access(context.caller, inode, { write: true }));
  const place = { inode, start: extent.start };
  const chunk = await cloner.ownChunk(place, extent.chunk, context.session);
  let attributes: Attributes | undefined;
  await raiser.raiseWith(chunk, async (plan) => {
    // The members were waited for. Whoever asked may be dead since, and another have gone on from what he saw.
    if (signal.aborted) return refuse('CANCELLED', 'nobody waits for this truncation any more');
    const cut = { chunk, ...plan };
    const result = await metadata.execute(context, 'setAttributes', { ...changes, cut });
    if (result.ok) attributes = result.value;
    return result;
  });
  return attributes ?? unwrap(state.attributes(inode));
}

/** The extent that the new end lies inside of. */
function straddledExtent({ metadata }: Parts, inode: InodeId, length: number): Extent | undefined {
  const extent = length === 0 ? undefined : metadata.state.extentAt(inode, length);
  return extent !== undefined && extent.start < length ? extent : undefined;
}
