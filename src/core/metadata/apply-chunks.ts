import type { InodeId } from '../../base/ids.ts';
import { type Result, refuse } from '../../base/result.ts';
import { badNewChunk, badRaise, dropExtent, putNewExtent, raised, useChunkId } from './chunk-rows.ts';
import type { CommandContext, Committed } from './commands.ts';
import { endOf, FILE_LENGTH_MAX, gridStart, sealedLengthBefore } from './extents.ts';
import { dataAfterZeros, holesAt } from './holes.ts';
import { withoutSetIds } from './permissions.ts';
import { type Prepare, ready } from './prepared.ts';
import { type Extent, FileType, type Inode, type Time } from './rows.ts';
import type { MetadataState } from './state.ts';
import { sameTime } from './times.ts';
import { CAPABILITY, withoutXattr } from './xattrs.ts';
import { asListed } from './zeroed-extents.ts';

/**
 * Commands on a file's bytes. Who may give them was decided when the file was opened: a mode that changes later does
 * not close open files, so there is no caller here.
 */

export const prepareCommitLength: Prepare<'commitLength'> = (
  state,
  { inode, length, mtime, truncations, writtenBytes = Number.POSITIVE_INFINITY },
  { context, time },
) => {
  const file = regularFile(state, inode);
  if (!file.ok) return file;
  if (length > FILE_LENGTH_MAX) return refuse('FILE_TOO_LARGE', `a length of ${length} bytes`);
  // What was written before may have been cut off, and would come back as zeros.
  if (truncations !== undefined && truncations !== file.value.truncations)
    return refuse('TRUNCATED', `inode ${inode} was truncated since what is committed was written`);
  return ready(() =>
    changed(state, file.value, { length, writtenBytes, mtime: mtime ?? time, ctime: time, context }),
  );
};

/** As Linux's file systems do it, all kinds of fallocate(2) change the times, also where nothing else changes. */
export const prepareAllocate: Prepare<'allocate'> = (
  state,
  { inode, length, start, end, holeSince, zeroedBytes, dropped },
  { context, time },
) => {
  const file = regularFile(state, inode);
  if (!file.ok) return file;
  if (length > FILE_LENGTH_MAX) return refuse('FILE_TOO_LARGE', `a length of ${length} bytes`);
  const before = file.value;
  const rangeBytes = Math.max(0, Math.min(end, Math.max(length, before.length)) - start);
  // Somebody who wrote there since and has told it would be forgotten.
  const isHole = holeSince !== undefined && sameTime(holeSince, before.ctime);
  const counts = {
    writtenBytes: holeSince === undefined ? rangeBytes : 0,
    holeBytesMin: isHole ? rangeBytes : 0,
    zeroedBytes,
  };
  return ready(() => {
    for (const listed of dropped) {
      const extent = asListed(state, before, listed, { start, end });
      if (extent !== undefined) dropExtent(state, inode, extent);
    }
    return changed(state, before, { length, ...counts, mtime: time, ctime: time, context });
  });
};

/** The file has other contents now, and is at least so long. */
export function changed(
  state: MetadataState,
  before: Inode,
  change: {
    length: number;
    writtenBytes: number;
    holeBytesMin?: number;
    zeroedBytes?: number | undefined;
    mtime: Time;
    ctime: Time;
    context: CommandContext;
  },
): Committed {
  const { writtenBytes, holeBytesMin = 0, zeroedBytes = 0, mtime, ctime, context } = change;
  // A lower bound: another session's later word may be here already.
  const length = Math.max(before.length, change.length);
  const attributes: Inode = {
    ...withoutXattr(state, before, CAPABILITY),
    length,
    holeBytes: Math.max(holeBytesMin, holesAt(length, dataAfterZeros(before, zeroedBytes) + writtenBytes)),
    mode: context.caller.uid === 0 ? before.mode : withoutSetIds(before, context.caller),
    mtime,
    ctime,
  };
  state.tables.putInode(attributes);
  return { attributes, previousCtime: before.ctime };
}

export const prepareAddChunk: Prepare<'addChunk'> = (state, { inode, fileOffset, chunk, replaced }) => {
  const file = regularFile(state, inode);
  if (!file.ok) return file;
  if (fileOffset > FILE_LENGTH_MAX) return refuse('FILE_TOO_LARGE', `an offset of ${fileOffset} bytes`);
  if (chunk === undefined) return refuse('INVALID_ARGUMENT', 'a new extent needs a chunk');
  const bad = badNewChunk(state, chunk);
  if (bad) return bad;
  return ready(() => {
    const there = state.extentAt(inode, fileOffset);
    if (there !== undefined && there.chunk === replaced && !isSealedInFile(there, file.value)) {
      dropExtent(state, inode, there);
      return putNewExtent(state, file.value, { ...there, chunk });
    }
    if (there !== undefined) {
      useChunkId(state, chunk);
      return there;
    }
    const previous = state.tables.extentAtOrBefore(inode, fileOffset);
    const start = gridStart(previous, fileOffset, state.chunkSizeBytes);
    const [next] = state.tables.extentsFrom(inode, fileOffset, 1);
    const sealedLength = sealedLengthBefore(next, start, state.chunkSizeBytes);
    return putNewExtent(state, file.value, { start, chunk, sealedLength });
  });
};

/** What its primary sealed is part of the file's length; what has no room for a whole chunk may be empty. */
function isSealedInFile({ start, sealedLength }: Extent, { length }: Inode): boolean {
  return sealedLength !== undefined && length > start;
}

export const prepareRaiseVersion: Prepare<'raiseVersion'> = (state, raise) =>
  badRaise(state, raise) ?? ready(() => raised(state, raise));

/**
 * A sealed extent's chunk gets no longer (P16); the next extent starts at its end. Others may lie behind it by now: then what
 * is left of its place is a hole. A compare-and-set: a seal that was told before a truncation inside the extent would bring
 * back what that took away.
 */
export const prepareSealExtent: Prepare<'sealExtent'> = (state, { inode, start, chunk, length, version }) => {
  const file = regularFile(state, inode);
  if (!file.ok) return file;
  const extent = state.tables.extent(inode, start);
  if (extent === undefined || extent.chunk !== chunk)
    return refuse('NO_SUCH_CHUNK', `no chunk ${chunk} at ${start}`);
  const cut = state.chunk(chunk)?.cuts.at(-1);
  const cutSince = cut !== undefined && cut.version > version;
  const { sealedLength } = extent;
  if (cutSince || (sealedLength !== undefined && length > sealedLength))
    return refuse('VERSION_MISMATCH', `chunk ${chunk} was cut after version ${version}`);
  if (sealedLength === length) return ready(() => extent);
  if (length < 1 || length > state.chunkSizeBytes)
    return refuse('INVALID_ARGUMENT', `a sealed length of ${length}`);
  return ready(() => {
    const sealed = { ...extent, sealedLength: length };
    const end = endOf(sealed, state.chunkSizeBytes);
    state.tables.putExtent(inode, sealed);
    if (end > file.value.length) state.tables.putInode({ ...file.value, length: end });
    return sealed;
  });
};

export function regularFile(state: MetadataState, inode: InodeId): Result<Inode> {
  const row = state.tables.inode(inode);
  if (row === undefined) return refuse('NOT_FOUND', `no inode ${inode}`);
  if (row.type === FileType.DIRECTORY) return refuse('IS_DIRECTORY', `inode ${inode} is a directory`);
  return row.type === FileType.REGULAR
    ? { ok: true, value: row }
    : refuse('INVALID_ARGUMENT', `inode ${inode} is no file`);
}
