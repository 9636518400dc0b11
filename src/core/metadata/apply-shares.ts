import { assert } from '../../base/assert.ts';
import type { InodeId } from '../../base/ids.ts';
import { ok, type Result, refuse } from '../../base/result.ts';
import { changed, regularFile } from './apply-chunks.ts';
import { badMembers, badNewChunk, chunkOf, dropExtent, dropExtentsFrom, useChunkId } from './chunk-rows.ts';
import { type CommandBodies, DONE } from './commands.ts';
import { endOf, endOfRow, FILE_LENGTH_MAX, gridStart } from './extents.ts';
import { type Prepare, ready } from './prepared.ts';
import type { Extent, Inode } from './rows.ts';
import type { MetadataState } from './state.ts';

/**
 * Chunks that several extents have (P20). Nobody orders mutations of one: it is frozen before it is shared, and stays so
 * while it is. Who writes to one of the extents has a clone put there first.
 */

export type Sharing = CommandBodies['shareExtents'];

/** Extents that the target gets, and those that go for them. */
interface Plan {
  readonly file: Inode;
  readonly added: readonly Extent[];
  readonly dropped: readonly Extent[];
}

export const prepareShareExtents: Prepare<'shareExtents'> = (state, body, { context, time }) => {
  const plan = planSharing(state, body);
  if (!plan.ok) return plan;
  const unfrozen = body.extents.find((shared) => !isFrozen(state, shared));
  if (unfrozen !== undefined)
    return refuse('VERSION_MISMATCH', `chunk ${unfrozen.chunk} is not frozen at version ${unfrozen.version}`);
  return ready(() => {
    const { file, added, dropped } = plan.value;
    const { target, targetStart, length, toEnd } = body;
    // The same chunk may be there already.
    for (const extent of added) {
      const row = chunkOf(state, extent);
      assert(row.frozen, 'nobody orders mutations of what becomes shared');
      const goal = Math.max(row.goal, file.goal);
      state.tables.putChunk(extent.chunk, { ...row, goal, referenceCount: row.referenceCount + 1 });
    }
    if (toEnd) dropExtentsFrom(state, target, targetStart);
    else for (const extent of dropped) dropExtent(state, target, extent);
    for (const extent of added) state.tables.putExtent(target, extent);
    const change = { length: targetStart + length, writtenBytes: length, mtime: time, ctime: time, context };
    return { ...changed(state, file, change), length };
  });
};

/** Why the extents cannot be shared so, whether or not their chunks are frozen; to be asked before anybody freezes them. */
export function refusalOfSharing(state: MetadataState, body: Sharing): Result<never> | undefined {
  const plan = planSharing(state, body);
  return plan.ok ? undefined : plan;
}

function planSharing(state: MetadataState, body: Sharing): Result<Plan> {
  const { source, sourceStart, target, targetStart, length, toEnd } = body;
  const from = regularFile(state, source);
  if (!from.ok) return from;
  const file = regularFile(state, target);
  if (!file.ok) return file;
  if (targetStart + length > FILE_LENGTH_MAX)
    return refuse('FILE_TOO_LARGE', `a range that ends at ${targetStart + length}`);
  const shared = sharedExtents(state, body);
  if (!shared.ok) return shared;
  const placeEnd = endOfRow(shared.value, sourceStart, state.chunkSizeBytes);
  if (toEnd && file.value.length > targetStart + length)
    return refuse('INVALID_ARGUMENT', 'what the target has behind the range would go');
  if (
    !toEnd &&
    (sourceStart + length < placeEnd || shared.value.some((one) => one.sealedLength !== undefined))
  )
    return refuse('INVALID_ARGUMENT', 'less than a whole chunk does not fit between others');
  const moved = targetStart - sourceStart;
  const targetEnd = toEnd ? Number.MAX_SAFE_INTEGER : placeEnd + moved;
  if (source === target && sourceStart < targetEnd && targetStart < placeEnd)
    return refuse('INVALID_ARGUMENT', 'extents of one file overlap');
  if (!isPlace(state, target, targetStart))
    return refuse('INVALID_ARGUMENT', `no extent of inode ${target} begins at ${targetStart}`);
  const added = shared.value.map((extent) => ({ ...extent, start: extent.start + moved }));
  // To the end, whatever is there goes, however much it is.
  const count = added.length + 1;
  const dropped = toEnd
    ? []
    : state.tables.extentsFrom(target, targetStart, count).filter(({ start }) => start < targetEnd);
  const starts = new Set(added.map(({ start }) => start));
  const isOff = dropped.some(({ start, sealedLength }) => !starts.has(start) || sealedLength !== undefined);
  if (isOff) return refuse('INVALID_ARGUMENT', 'the extents of the two files do not lie alike');
  return ok({ file: file.value, added, dropped });
}

/** Those of the source, as it has them: one behind the other from the start of the range on, to its end. */
function sharedExtents(state: MetadataState, body: Sharing): Result<Extent[]> {
  const { source, sourceStart, length } = body;
  const found: Extent[] = [];
  let position = sourceStart;
  for (const { start, chunk } of body.extents) {
    const extent = state.tables.extent(source, start);
    if (start !== position || extent?.chunk !== chunk)
      return refuse('VERSION_MISMATCH', `no chunk ${chunk} begins at ${position} of inode ${source}`);
    found.push(extent);
    position = endOf(extent, state.chunkSizeBytes);
  }
  const last = found.at(-1);
  const end = sourceStart + length;
  // One that is sealed is shared whole.
  const isCovered = last !== undefined && (end === position || last.sealedLength === undefined);
  if (isCovered && end > last.start && end <= position) return ok(found);
  return refuse('INVALID_ARGUMENT', `${length} bytes from ${sourceStart} on are no extents`);
}

/** Whether an extent may begin there: one does, or the grid has it so, and none lies across. */
function isPlace(state: MetadataState, inode: InodeId, start: number): boolean {
  const previous = start === 0 ? undefined : state.tables.extentAtOrBefore(inode, start - 1);
  if (previous !== undefined && endOf(previous, state.chunkSizeBytes) > start) return false;
  return gridStart(previous, start, state.chunkSizeBytes) === start;
}

/** Nobody can mutate it: it is shared already, or was frozen for this. */
function isFrozen(state: MetadataState, { chunk, version }: Sharing['extents'][number]): boolean {
  const row = state.chunk(chunk);
  return row !== undefined && (row.referenceCount > 1 || (row.frozen && row.version === version));
}

export const prepareBeginClone: Prepare<'beginClone'> = (state, { chunk, members }) => {
  const bad = badNewChunk(state, { chunk, members, primary: 0 });
  if (bad) return bad;
  return ready(() => {
    useChunkId(state, { chunk, members, primary: 0 });
    state.tables.putGarbage(chunk, { members });
    return DONE;
  });
};

/** It begins at the shared chunk's version: the first one would say that it may be that nobody wrote to it (P23). */
export const prepareCloneExtent: Prepare<'cloneExtent'> = (state, body) => {
  const { inode, start, chunk, version, clone, members } = body;
  const file = regularFile(state, inode);
  if (!file.ok) return file;
  const extent = state.tables.extent(inode, start);
  if (extent?.chunk !== chunk) return refuse('NO_SUCH_CHUNK', `no chunk ${chunk} at ${start}`);
  const row = chunkOf(state, extent);
  if (row.version !== version || row.referenceCount === 1)
    return refuse('VERSION_MISMATCH', `chunk ${chunk} is not shared at version ${version}`);
  if (!state.isGarbage(clone)) return refuse('NO_SUCH_CHUNK', `nobody was asked for clone ${clone}`);
  const bad = badMembers({ members, primary: 0 });
  if (bad) return bad;
  if (members.some((member) => !row.members.includes(member)))
    return refuse('INVALID_ARGUMENT', `a server that has no chunk ${chunk} has no clone of it`);
  return ready(() => {
    const cloned = { ...extent, chunk: clone };
    state.tables.removeGarbage(clone);
    state.tables.putChunk(clone, {
      ...row,
      goal: file.value.goal,
      members,
      primary: 0,
      // Replicas that missed one have no clone.
      cuts: [],
      referenceCount: 1,
      frozen: false,
      firstVersion: version,
    });
    state.tables.putChunk(chunk, { ...row, referenceCount: row.referenceCount - 1 });
    state.tables.putExtent(inode, cloned);
    state.progress.chunkCount += 1;
    return cloned;
  });
};
