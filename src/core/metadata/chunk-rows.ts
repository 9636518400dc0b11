import { assert, must } from '../../base/assert.ts';
import type { InodeId } from '../../base/ids.ts';
import { type Refusal, refuse } from '../../base/result.ts';
import { versionAfter } from '../lost-log.ts';
import { lowerAppenders } from './appenders.ts';
import type { NewChunk, RaiseVersion } from './commands.ts';
import type { Chunk, Cut, Extent, Inode } from './rows.ts';
import type { MetadataState } from './state.ts';

/** What several commands do with chunks: begin them, raise them, let them go. */

/** Extents are dropped in steps of this many rows, so that memory stays bounded. */
const EXTENTS_PER_STEP = 256;

/** Why a new chunk cannot be taken as it is; undefined: it can, or there is none. */
export function badNewChunk(
  state: MetadataState,
  chunk: NewChunk | undefined,
): { ok: false; error: Refusal } | undefined {
  if (chunk === undefined) return undefined;
  const used =
    chunk.chunk < state.progress.nextChunk && (state.chunk(chunk.chunk) || state.isGarbage(chunk.chunk));
  if (used) return refuse('INVALID_ARGUMENT', `chunk handle ${chunk.chunk} was used before`);
  return badMembers(chunk);
}

export function badMembers({
  members,
  primary,
}: Pick<NewChunk, 'members' | 'primary'>): { ok: false; error: Refusal } | undefined {
  if (members.length === 0) return refuse('TOO_FEW_REPLICAS', 'a chunk needs a member');
  if (new Set(members).size !== members.length) return refuse('INVALID_ARGUMENT', 'a member is named twice');
  if (primary !== 0 && !members.includes(primary))
    return refuse('INVALID_ARGUMENT', 'the primary is no member');
  return undefined;
}

/** A handle that came with a command is never dealt again, used or not. */
export function useChunkId(state: MetadataState, chunk: NewChunk | undefined): void {
  if (chunk) state.progress.nextChunk = Math.max(state.progress.nextChunk, chunk.chunk + 1);
}

/** Begins the extent at `start` with a chunk at version 1: empty and active (P4). */
export function putNewExtent(
  state: MetadataState,
  inode: Inode,
  { start, chunk, sealedLength }: { start: number; chunk: NewChunk; sealedLength?: number | undefined },
): Extent {
  const { members, primary } = chunk;
  const row: Chunk = {
    version: 1,
    members,
    primary,
    cuts: [],
    loss: 0,
    referenceCount: 1,
    frozen: false,
    firstVersion: 1,
    goal: inode.goal,
  };
  const extent: Extent = { start, chunk: chunk.chunk, sealedLength };
  useChunkId(state, chunk);
  state.tables.putChunk(chunk.chunk, row);
  state.tables.putExtent(inode.inode, extent);
  state.progress.chunkCount += 1;
  return extent;
}

export function putFirstChunk(state: MetadataState, inode: Inode, chunk: NewChunk | undefined): void {
  if (chunk) putNewExtent(state, inode, { start: 0, chunk });
}

/** Lets go of all extents that start at `start` or after it. */
export function dropExtentsFrom(state: MetadataState, inode: InodeId, start: number): void {
  for (;;) {
    const extents = state.tables.extentsFrom(inode, start, EXTENTS_PER_STEP);
    for (const extent of extents) dropExtent(state, inode, extent);
    if (extents.length < EXTENTS_PER_STEP) break;
  }
  lowerAppenders(state, inode, start);
}

/** Lets go of its chunk: when nothing else refers to it, its replicas are garbage. */
export function dropExtent(state: MetadataState, inode: InodeId, extent: Extent): void {
  state.tables.removeExtent(inode, extent.start);
  const row = chunkOf(state, extent);
  if (row.referenceCount > 1) {
    state.tables.putChunk(extent.chunk, { ...row, referenceCount: row.referenceCount - 1 });
    return;
  }
  state.tables.removeChunk(extent.chunk);
  state.tables.putGarbage(extent.chunk, { members: row.members });
  state.progress.chunkCount -= 1;
}

export function chunkOf(state: MetadataState, { chunk }: Pick<Extent, 'chunk'>): Chunk {
  return must(state.chunk(chunk), `chunk ${chunk} of an extent exists`);
}

/** Why a raise is not possible (P2: compare-and-set on the version; P3: members come from the last logged set and P9). */
export function badRaise(
  state: MetadataState,
  raise: RaiseVersion,
): { ok: false; error: Refusal } | undefined {
  const row = state.chunk(raise.chunk);
  if (row === undefined) return refuse('NO_SUCH_CHUNK', `no chunk ${raise.chunk}`);
  if (row.version !== raise.version) {
    const fields = { version: String(row.version) };
    return refuse('VERSION_MISMATCH', `chunk ${raise.chunk} is at version ${row.version}`, fields);
  }
  const { members, admitted, lostVersion } = raise;
  if (lostVersion !== undefined) {
    if (lostVersion > row.version) return badMembers(raise);
    return refuse('INVALID_ARGUMENT', `chunk ${raise.chunk}: version ${lostVersion} is not beyond the log`);
  }
  if (members.some((member) => member !== admitted && !row.members.includes(member))) {
    return refuse('INVALID_ARGUMENT', `chunk ${raise.chunk}: a new member was none before`);
  }
  if (admitted !== 0 && (row.members.includes(admitted) || !members.includes(admitted))) {
    return refuse('INVALID_ARGUMENT', `chunk ${raise.chunk}: server ${admitted} cannot be admitted`);
  }
  return badMembers(raise);
}

/** A chunk is not cut again while so many of its cuts have not reached all members. */
const CUTS_MAX = 16;

/** As `badRaise`, of one that cuts. */
export function badCut(state: MetadataState, raise: RaiseVersion): { ok: false; error: Refusal } | undefined {
  const row = state.chunk(raise.chunk);
  const isPossible = row === undefined || cutsLeft(row.cuts, raise.recorded).length < CUTS_MAX;
  if (isPossible) return badRaise(state, raise);
  return refuse('NOT_READY', `chunk ${raise.chunk} was cut ${CUTS_MAX} times, and not all members know`);
}

/** The next version's row. Each later raise repeats a cut until all members have recorded its version (P19). */
export function raised(state: MetadataState, raise: RaiseVersion, cutLength?: number): Chunk {
  const row = must(state.chunk(raise.chunk), 'a raised chunk exists');
  assert(row.version === raise.version, 'a raise leaves the version that it was checked against');
  const version = versionAfter(raise);
  const cuts = cutsLeft(row.cuts, raise.recorded);
  const { lostCutVersion, lostCutLength, lostLoss = 0 } = raise;
  if (lostCutVersion !== undefined && lostCutLength !== undefined) {
    cuts.push({ version: lostCutVersion, length: lostCutLength });
  }
  if (cutLength !== undefined) cuts.push({ version, length: cutLength });
  const next: Chunk = {
    ...row,
    version,
    members: raise.members,
    primary: raise.primary,
    cuts,
    loss: raise.loss ? version : Math.max(row.loss, lostLoss),
    // What several files have, nobody may change for one of them (P20).
    frozen: raise.frozen === true || row.referenceCount > 1,
  };
  state.tables.putChunk(raise.chunk, next);
  return next;
}

/** The last one stays: what was told of the chunk before it may still come (a seal). */
function cutsLeft(cuts: readonly Cut[], recorded: number): Cut[] {
  return cuts.filter(({ version }, index) => version > recorded || index === cuts.length - 1);
}

/**
 * The cut that a replica is ordered with a version. One that missed several makes up for all: none of their versions was
 * active before it recorded it (P4), so nothing was written in between that the shortest of them could take away.
 */
export function cutFor(cuts: readonly Cut[], recorded: number): Cut | undefined {
  const last = cuts.at(-1);
  if (last === undefined) return undefined;
  const missed = cuts.filter(({ version }) => version > recorded).map(({ length }) => length);
  return { version: last.version, length: missed.length > 0 ? Math.min(...missed) : last.length };
}
