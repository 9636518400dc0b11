import type { InodeId } from '../base/ids.ts';
import { endOf } from '../core/metadata/extents.ts';
import { unlessGone } from './gone-chunks.ts';
import type { MasterParts } from './master-parts.ts';

/**
 * The file goes on at `end` now, which nobody appended up to: it was extended, or an extent was added there. Resolves when
 * no record can be appended any more to what was its last extent until then. Where that reaches to the end or beyond it, its
 * primary does not know of the new end either, and clients who were told of the old one do not tell it: `isInside`, the
 * chunk is still the last one, and is fenced too, unless a cut does it (P19).
 */
export async function fenceAppends(
  {
    config,
    metadata,
    appendEnds,
    raiser,
  }: Pick<MasterParts, 'appendEnds' | 'config' | 'metadata' | 'raiser'>,
  inode: InodeId,
  end: number,
  { isInside = false } = {},
): Promise<void> {
  const { state } = metadata;
  const extent = end === 0 ? undefined : state.tables.extentAtOrBefore(inode, end - 1);
  if (extent === undefined || extent.sealedLength !== undefined) return;
  const { chunk } = extent;
  const reachesOn = endOf(extent, config.chunkSizeBytes) > end;
  if ((reachesOn && !isInside) || !appendEnds.mayBeAppendedTo(chunk)) return;
  await unlessGone(raiser.raise(chunk));
  appendEnds.fenced(chunk);
}
