import type { InodeId } from '../base/ids.ts';
import { endOf } from '../core/metadata/extents.ts';
import type { MasterParts } from './master-parts.ts';

/**
 * The file goes on at `end` now, which nobody appended up to: it was extended, or an extent was added there. Resolves when
 * no record can be appended any more to what was its last extent until then.
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
): Promise<void> {
  const { state } = metadata;
  const extent = end === 0 ? undefined : state.tables.extentAtOrBefore(inode, end - 1);
  if (extent === undefined || extent.sealedLength !== undefined) return;
  const { chunk } = extent;
  if (endOf(extent, config.chunkSizeBytes) > end || !appendEnds.mayBeAppendedTo(chunk)) return;
  await raiser.raise(chunk);
  appendEnds.fenced(chunk);
}
