import { codeOf } from '../base/errors.ts';
import type { ChunkHandle, InodeId, SessionId } from '../base/ids.ts';
import { type Result, unwrap } from '../base/result.ts';
import { refusalOfSharing, type Sharing } from '../core/metadata/apply-shares.ts';
import type { CommandContext, Shared, SharedExtent } from '../core/metadata/commands.ts';
import { endOf, endOfRow } from '../core/metadata/extents.ts';
import type { Extent } from '../core/metadata/rows.ts';
import { fenceAppends } from './append-fence.ts';
import { chunksToFence, fenceChunks } from './dropped-chunks.ts';
import type { MasterParts } from './master-parts.ts';

type Parts = Pick<
  MasterParts,
  'appendEnds' | 'calls' | 'config' | 'env' | 'garbage' | 'leases' | 'metadata' | 'raiser' | 'sessions'
>;

/** In one command. */
export const SHARED_EXTENTS_MAX = 64;
/** Chunks of others' are raised, too. */
const FREEZES_MAX = 16;
/** Somebody else may raise a chunk between our look and our command. */
const ATTEMPTS_MAX = 3;
/** While the primary makes its members equal, it does not tell how long they are. */
const LENGTH_RETRIES_MAX = 20;
const LENGTH_RETRY_MS_MIN = 2;
const LENGTH_RETRY_MS_MAX = 50;

/** What is to be shared: of one file, and where in the other. */
export interface ShareRange {
  readonly source: InodeId;
  readonly sourceStart: number;
  readonly target: InodeId;
  readonly targetStart: number;
  readonly length: number;
}

/**
 * Makes chunks of one file another's too (P20): all that begin the range, as far as they lie in it whole and fit where they
 * are to be. Each is frozen first, so that nobody changes it for one file while the other has it. Undefined: there are
 * none, or others write to them all the time; copying bytes does it then.
 */
export async function shareRange(
  parts: Parts,
  context: CommandContext,
  range: ShareRange,
): Promise<Shared | undefined> {
  const { metadata } = parts;
  const before = metadata.state.results.recall(context, 'shareExtents');
  if (before !== undefined) return await shared(parts, range, before as Result<Shared>);
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
    const sharing = await frozen(parts, context.session, range);
    if (sharing === undefined) return undefined;
    const dropped = droppedBy(parts, sharing);
    const result = await metadata.execute(context, 'shareExtents', sharing);
    if (!result.ok && result.error.code === 'VERSION_MISMATCH') continue;
    await fenceChunks(parts, dropped);
    parts.garbage.wake();
    return await shared(parts, range, result);
  }
  return undefined;
}

async function shared(
  parts: Parts,
  { target, targetStart }: ShareRange,
  result: Result<Shared>,
): Promise<Shared | undefined> {
  if (!result.ok && UNFIT.has(result.error.code)) return undefined;
  const answer = unwrap(result);
  await fenceAppends(parts, target, targetStart);
  return answer;
}

/** As refusals of what fitted a moment ago. */
const UNFIT: ReadonlySet<string> = new Set(['INVALID_ARGUMENT', 'VERSION_MISMATCH']);

/** Whoever asks has nothing on its way to them but appends, and those count, too. */
function droppedBy(parts: Parts, { target, targetStart, length, toEnd }: Sharing) {
  const end = toEnd ? Number.POSITIVE_INFINITY : targetStart + length;
  return chunksToFence(parts, { inode: target, start: targetStart, end, asker: 0 });
}

/** What fits, with all its chunks frozen. */
async function frozen(parts: Parts, asker: SessionId | 0, range: ShareRange): Promise<Sharing | undefined> {
  const sharing = fitting(parts, asker, range, true);
  if (sharing === undefined) return undefined;
  const extents = await frozenExtents(parts, sharing.extents);
  if (extents === undefined) return undefined;
  const last = extents.at(-1);
  const end = sharing.sourceStart + sharing.length;
  if (last === undefined || !isPartial(parts, sharing.source, last, end)) return { ...sharing, extents };
  const length = await frozenLength(parts, last.chunk);
  if (length !== undefined && last.start + length <= end) return { ...sharing, extents };
  // Behind the end that the copy is to have, there is more: it would show in the target when that grows.
  const whole = fitting(parts, asker, range, false);
  return whole && { ...whole, extents: extents.slice(0, whole.extents.length) };
}

function isPartial(
  { metadata, config }: Parts,
  source: InodeId,
  { start }: SharedExtent,
  end: number,
): boolean {
  const extent = metadata.state.tables.extent(source, start);
  return extent !== undefined && endOf(extent, config.chunkSizeBytes) > end;
}

/** The longest row of extents, from the start of the range on, that can be shared as things are. */
function fitting(
  parts: Parts,
  asker: SessionId | 0,
  { source, sourceStart, target, targetStart, length }: ShareRange,
  withPartial: boolean,
): Sharing | undefined {
  const { config, metadata, env, sessions } = parts;
  const { state } = metadata;
  const end = sourceStart + length;
  const whole: Extent[] = [];
  let partial: Extent | undefined;
  let position = sourceStart;
  for (const extent of state.extents(source, sourceStart, SHARED_EXTENTS_MAX)) {
    if (extent.start !== position || position >= end) break;
    position = endOf(extent, config.chunkSizeBytes);
    if (position <= end) whole.push(extent);
    else if (extent.sealedLength === undefined && withPartial) partial = extent;
  }
  const sharingOf = (extents: readonly Extent[], rangeEnd: number, toEnd: boolean): Sharing => ({
    ...{ source, sourceStart, target, targetStart, toEnd },
    length: rangeEnd - sourceStart,
    extents: extents.map(({ start, chunk }) => ({ start, chunk, version: 0 })),
  });
  const endOfLast = (extents: readonly Extent[]) => endOfRow(extents, sourceStart, config.chunkSizeBytes);
  const firstSealed = whole.findIndex(({ sealedLength }) => sealedLength !== undefined);
  const grid = firstSealed < 0 ? whole : whole.slice(0, firstSealed);
  // Others may have written behind what is known to be the end of the file.
  const isAlone =
    sessions.isComplete(env.monotonicMs()) && sessions.writersOf(target).every((one) => one === asker);
  const candidates = [
    ...(isAlone && partial !== undefined ? [sharingOf([...whole, partial], end, true)] : []),
    ...(isAlone ? [sharingOf(whole, endOfLast(whole), true)] : []),
    sharingOf(grid, endOfLast(grid), false),
  ];
  return candidates.find(
    (sharing) => sharing.extents.length > 0 && refusalOfSharing(state, sharing) === undefined,
  );
}

/** Undefined: one cannot be frozen now. */
async function frozenExtents(
  { raiser, env }: Parts,
  extents: readonly SharedExtent[],
): Promise<SharedExtent[] | undefined> {
  const result = [...extents];
  let next = 0;
  const worker = async () => {
    while (next < result.length) {
      const index = next;
      next += 1;
      const extent = result[index];
      if (extent === undefined) return;
      const { version } = await raiser.freeze(extent.chunk);
      result[index] = { ...extent, version };
    }
  };
  try {
    await Promise.all(Array.from({ length: FREEZES_MAX }, worker));
    return result;
  } catch (error) {
    env.log.of('share').info({ code: codeOf(error) }, 'a chunk is not shared: it cannot be frozen now');
    return undefined;
  }
}

/** As its primary tells it when its members are equal. Undefined: not now. */
async function frozenLength(
  { metadata, raiser, calls, env }: Parts,
  chunk: ChunkHandle,
): Promise<number | undefined> {
  let retryMs = LENGTH_RETRY_MS_MIN;
  for (let attempt = 1; attempt <= LENGTH_RETRIES_MAX; attempt += 1) {
    const row = metadata.state.chunk(chunk);
    if (row === undefined || !row.frozen || row.primary === 0) return undefined;
    try {
      return await calls.chunkLength(row.primary, chunk, row.version);
    } catch (error) {
      const isReconciling = codeOf(error) === 'NOT_READY';
      if (!isReconciling && row.referenceCount === 1) return undefined;
      // Of one that is shared for long, the primary's role has ended.
      if (!isReconciling) await raiser.ensurePrimary(chunk, row.version).catch(() => undefined);
      await env.sleep(retryMs);
      retryMs = Math.min(retryMs * 2, LENGTH_RETRY_MS_MAX);
    }
  }
  return undefined;
}
