import type { InodeId } from '../../base/ids.ts';
import { chunkOf } from './chunk-rows.ts';
import type { DroppedExtent } from './commands.ts';
import { endOf } from './extents.ts';
import type { Extent, Inode } from './rows.ts';
import type { MetadataState } from './state.ts';

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Looked at, and dropped, in one command: what is applied without a pause is little. */
export const ZEROED_EXTENTS_MAX = 1024;

/** Extents that go when all of the range is zeros, as they are now. */
export function zeroedExtents(state: MetadataState, inode: InodeId, range: Range): DroppedExtent[] {
  const file = state.tables.inode(inode);
  if (file === undefined) return [];
  return state.tables
    .extentsFrom(inode, range.start, ZEROED_EXTENTS_MAX)
    .filter((extent) => liesIn(state, file, extent, range))
    .map((extent) => ({
      start: extent.start,
      chunk: extent.chunk,
      version: chunkOf(state, extent).version,
    }));
}

/** The extent, if it still has that chunk at that version, and lies in the range. */
export function asListed(
  state: MetadataState,
  file: Inode,
  { start, chunk, version }: DroppedExtent,
  range: Range,
): Extent | undefined {
  const extent = state.tables.extent(file.inode, start);
  if (extent?.chunk !== chunk || chunkOf(state, extent).version !== version) return undefined;
  return liesIn(state, file, extent, range) ? extent : undefined;
}

/**
 * A sealed one that is shorter than a chunk stays: where it begins and ends, the grid would not say, and an extent that is put
 * there again would reach into the next one. So does what reaches behind the length that is known: records may be appended to
 * it, or its chunk know more of the length.
 */
function liesIn(state: MetadataState, { length }: Inode, extent: Extent, range: Range): boolean {
  const end = endOf(extent, state.chunkSizeBytes);
  const isWhole = end - extent.start === state.chunkSizeBytes;
  return isWhole && extent.start >= range.start && end <= Math.min(range.end, length);
}
