import { CHUNK_SIZE_BYTES_MAX } from '../../base/constants.ts';
import type { InodeId } from '../../base/ids.ts';
import type { Extent } from './rows.ts';
import type { Tables } from './tables.ts';

/** So that the end of the last extent is still an exact number. */
export const FILE_LENGTH_MAX = Number.MAX_SAFE_INTEGER - CHUNK_SIZE_BYTES_MAX;

/** Where the extent's bytes end: for an open one, where they could. */
export function endOf(extent: Extent, chunkSizeBytes: number): number {
  return extent.start + (extent.sealedLength ?? chunkSizeBytes);
}

/** Where the last of extents that lie one behind the other ends; of none, where they would begin. */
export function endOfRow(extents: readonly Extent[], start: number, chunkSizeBytes: number): number {
  const last = extents.at(-1);
  return last === undefined ? start : endOf(last, chunkSizeBytes);
}

/**
 * What an extent that is added at `start` is sealed at from the first on: it has no room for a whole chunk where another one
 * begins sooner. That is so behind an extent that was sealed while others lay behind it.
 */
export function sealedLengthBefore(
  next: Extent | undefined,
  start: number,
  chunkSizeBytes: number,
): number | undefined {
  const room = next === undefined ? chunkSizeBytes : next.start - start;
  return room < chunkSizeBytes ? room : undefined;
}

/** The extent that holds the offset, if there is one. */
export function extentAt(
  tables: Tables,
  inode: InodeId,
  { offset, chunkSizeBytes }: { offset: number; chunkSizeBytes: number },
): Extent | undefined {
  // Nearly always the extent lies on the plain grid, and one look-up tells.
  const onGrid = tables.extent(inode, offset - (offset % chunkSizeBytes));
  const found = onGrid?.sealedLength === undefined ? onGrid : undefined;
  const extent = found ?? tables.extentAtOrBefore(inode, offset);
  return extent !== undefined && offset < endOf(extent, chunkSizeBytes) ? extent : undefined;
}

/**
 * Where the extent for an offset that lies in none begins: at a multiple of the chunk size, counted from the start of
 * the file or from the end of the last sealed extent before it (design, section 5).
 */
export function gridStart(previous: Extent | undefined, offset: number, chunkSizeBytes: number): number {
  const origin = previous === undefined ? 0 : endOf(previous, chunkSizeBytes);
  return origin + Math.floor((offset - origin) / chunkSizeBytes) * chunkSizeBytes;
}
