import { codeOf, GfsError } from '../base/errors.ts';
import { hex, type InodeId, inodeId, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { badAppenderName } from '../core/metadata/apply-appenders.ts';
import { INTERNAL } from '../core/metadata/commands.ts';
import { endOf, FILE_LENGTH_MAX } from '../core/metadata/extents.ts';
import { type Attributes, type Extent, FileType } from '../core/metadata/rows.ts';
import type { AddChunkRequest, FindChunksRequest } from '../rpc/messages.ts';
import { fenceAppends } from './append-fence.ts';
import { contextOf } from './command-context.ts';
import { checkFileAccess } from './file-access.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';

type ChunkMethods = 'findChunks' | 'addChunk' | 'reportBadReplica' | 'dealWriters' | 'nameAppender';

/** How often a chunk may go while it is made ready for the caller. */
const ATTEMPTS_MAX = 5;
/** Extents in one answer. */
const EXTENTS_MAX = 1000;
/** Writers' ids in one answer. */
const WRITERS_MAX = 1024;

/** Where a file's bytes are, and who orders their mutations. */
export function chunkHandlers(parts: MasterParts): Pick<MasterHandlers, ChunkMethods> {
  const { env, metadata, servers, entries, locator, raiser, given, newChunks, garbage } = parts;
  const { appendEnds, cloner, config } = parts;
  const { state } = metadata;

  return {
    findChunks: async ({ message }, { requestId }) => {
      const inode = inodeId(message.inode);
      const { caller, session, openId, forWrite: write } = message;
      const asker = entries.asker(session);
      checkFileAccess(parts.access, { caller, session, openId, inode, write });
      mustBeFile(unwrap(state.attributes(inode)));
      const extents = await settledExtents(message, requestId);
      const nowMs = env.monotonicMs();
      const { length, truncations } = unwrap(state.attributes(inode));
      const [end] = extents;
      if (message.last && end !== undefined && takesAppends(end, length)) appendEnds.told(end.chunk);
      const located = extents.map((extent) => locator.locate(extent, nowMs, asker));
      return { message: { extents: located, fileLength: length, truncations } };
    },

    addChunk: async ({ message }) => {
      const inode = inodeId(message.inode);
      const { fileOffset, openId } = message;
      if (!Number.isSafeInteger(fileOffset)) throw new GfsError('INVALID_ARGUMENT', `offset ${fileOffset}`);
      const context = contextOf(parts, message.context);
      const { caller, session } = context;
      checkFileAccess(parts.access, { caller, session, openId, inode, write: true });
      const { goal } = mustBeFile(unwrap(state.attributes(inode)));
      if (message.sealedChunk !== 0) await recordSeal(inode, message);
      let extent = state.extentAt(inode, fileOffset);
      if (extent === undefined) {
        const chunk = newChunks.proposeOrThrow(goal);
        extent = unwrap(await metadata.execute(context, 'addChunk', { inode, fileOffset, chunk }));
        newChunks.begun(chunk, extent.chunk);
      }
      await fenceAppends(parts, inode, extent.start);
      // We were away, or the command was carried out long ago and its answer got lost: a truncation may have dropped the extent.
      const there = state.extentAt(inode, fileOffset);
      if (there?.chunk !== extent.chunk) {
        throw new GfsError('NO_SUCH_CHUNK', `what was added at ${fileOffset} was truncated away`);
      }
      return { message: { extent: locator.locate(there, env.monotonicMs(), session) } };
    },

    reportBadReplica: async ({ message }) => {
      parts.badReplicas.report(message);
      return { message: {} };
    },

    dealWriters: async ({ message: { count } }) => {
      if (count < 1 || count > WRITERS_MAX) {
        throw new GfsError('INVALID_ARGUMENT', `${count} writers; at most ${WRITERS_MAX} at a time`);
      }
      return { message: { first: await metadata.dealWriters(count) } };
    },

    nameAppender: async ({ message }) => {
      const inode = inodeId(message.inode);
      const { openId, appender, from, highest, truncations } = message;
      const context = contextOf(parts, message.context);
      const { caller, session } = context;
      checkFileAccess(parts.access, { caller, session, openId, inode, write: true });
      mustBeFile(unwrap(state.attributes(inode)));
      const bad = badAppenderName(appender);
      if (bad !== undefined) unwrap(bad);
      const isThere = state.tables.appender(inode, appender) !== undefined;
      const writer = isThere ? 0 : await metadata.dealWriters(1);
      const body = { inode, appender, writer, from, highest, truncations };
      return { message: unwrap(await metadata.execute(context, 'nameAppender', body)) };
    },
  };

  /** The primary of the extent before this offset sealed it. Told again, or by another client too, it is the same. */
  async function recordSeal(inode: InodeId, request: AddChunkRequest): Promise<void> {
    const { fileOffset, sealedChunk, sealedLength: length, sealedVersion: version } = request;
    const extent = state.tables.extentAtOrBefore(inode, fileOffset - 1);
    if (extent?.chunk !== sealedChunk) {
      throw new GfsError(
        'NO_SUCH_CHUNK',
        `chunk ${hex(sealedChunk)} does not lie before offset ${fileOffset}`,
      );
    }
    const { start, chunk } = extent;
    if (extent.sealedLength === length && start + length === fileOffset) return;
    unwrap(await metadata.execute(INTERNAL, 'sealExtent', { inode, start, chunk, length, version }));
  }

  function takesAppends(extent: Extent, fileLength: number): boolean {
    return extent.sealedLength === undefined && fileLength < endOf(extent, config.chunkSizeBytes);
  }

  function extentsOf({ inode, last, fileOffset, count }: FindChunksRequest): Extent[] {
    if (last) return lastExtent(inode);
    if (count < 1) throw new GfsError('INVALID_ARGUMENT', 'no extents are wanted');
    return state.extents(inodeId(inode), fileOffset, Math.min(count, EXTENTS_MAX));
  }

  function lastExtent(inode: number): Extent[] {
    const found = state.tables.extentAtOrBefore(inodeId(inode), FILE_LENGTH_MAX);
    return found === undefined ? [] : [found];
  }

  async function settledExtents(request: FindChunksRequest, requestId: string): Promise<Extent[]> {
    for (let attempt = 1; ; attempt += 1) {
      const extents = extentsOf(request);
      try {
        const isAsBefore = !(await settle(request, extents, requestId));
        // When we were away, a truncation may have dropped extents, another writer may have added some.
        return isAsBefore ? extents : extentsOf(request);
      } catch (error) {
        // Or what was waited for went meanwhile: truncated away, copied over, or somebody's clone came in its place.
        if (codeOf(error) !== 'NO_SUCH_CHUNK' || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  }

  /** Does for the extents what the caller needs done; answers whether anything was waited for. */
  async function settle(
    request: FindChunksRequest,
    extents: readonly Extent[],
    requestId: string,
  ): Promise<boolean> {
    const { forWrite, forSync, suspectVersion } = request;
    if (forWrite || forSync) return await givePrimaries(request, extents, requestId);
    const [first] = extents;
    if (suspectVersion === 0 || first === undefined) return false;
    await raiser.ensureReadable(first.chunk, suspectVersion, requestId);
    return true;
  }

  /**
   * Each extent gets a primary, from the one that holds the offset on; nobody writes to one behind a hole yet. The first
   * one's failure is the caller's, the others can be asked for again. Answers whether anything was waited for.
   */
  async function givePrimaries(
    request: FindChunksRequest,
    extents: readonly Extent[],
    requestId: string,
  ): Promise<boolean> {
    const { last, fileOffset } = request;
    const [first, ...following] = extents;
    if (first === undefined || (!last && first.start > fileOffset)) return false;
    const others = following.map(({ chunk }) =>
      raiser.ensurePrimary(chunk, 0, { requestId }).catch(() => undefined),
    );
    try {
      await givePrimary(request, first, requestId);
    } catch (error) {
      if (!isStuck(error) || !(await replace(request, first))) throw error;
    }
    await Promise.all(others);
    return true;
  }

  async function givePrimary(request: FindChunksRequest, extent: Extent, requestId: string): Promise<void> {
    const { suspectVersion, fullServer, session } = request;
    const place = { inode: inodeId(request.inode), start: extent.start };
    const chunk = mayChange(request, extent)
      ? await cloner.ownChunk(place, extent.chunk, session)
      : extent.chunk;
    if (chunk !== extent.chunk) {
      // Nothing that was complained of is its fault.
      await raiser.ensurePrimary(chunk, 0, { requestId });
      return;
    }
    const row = state.chunk(chunk);
    const full = row?.members.find((member) => member === fullServer);
    if (full === undefined || row?.version !== suspectVersion) {
      await raiser.ensurePrimary(chunk, suspectVersion, { requestId });
      return;
    }
    servers.refusedForSpace(full);
    // A chunk that nobody wrote is better replaced than left with fewer members.
    if (await replace(request, extent)) return;
    try {
      await raiser.ensurePrimary(chunk, suspectVersion, { full, requestId });
    } catch (error) {
      if (!(error instanceof GfsError) || error.code !== 'NO_SPACE') throw error;
      // The file may go on in another chunk.
      const elsewhere = newChunks.hasRoom(row.goal) ? 'yes' : 'no';
      throw new GfsError('NO_SPACE', error.message, { cause: error, fields: { ...error.fields, elsewhere } });
    }
  }

  /** Who appends goes on behind a last extent that is full. */
  function mayChange({ inode, forWrite, last }: FindChunksRequest, extent: Extent): boolean {
    if (!forWrite || !last) return forWrite;
    return takesAppends(extent, unwrap(state.attributes(inodeId(inode))).length);
  }

  /**
   * A chunk of which nobody can have an acknowledgement, and whose members are full, or can neither be reached nor be taken
   * for empty, gives its place to another (P23): its writer would wait for as long as that is so.
   */
  async function replace(request: FindChunksRequest, extent: Extent): Promise<boolean> {
    const { session, unacknowledged, forWrite } = request;
    if (!forWrite || !unacknowledged || session === 0) return false;
    const inode = inodeId(request.inode);
    const { goal, length } = unwrap(state.attributes(inode));
    // A length that was committed tells of acknowledgements, whatever the asker remembers.
    if (length > extent.start || !given.isOnlyWith(extent.chunk, sessionId(session))) return false;
    const proposed = newChunks.propose(goal);
    if (!proposed.ok) return false;
    const command = { inode, fileOffset: extent.start, chunk: proposed.value, replaced: extent.chunk };
    const { chunk } = unwrap(await metadata.execute(INTERNAL, 'addChunk', command));
    newChunks.begun(proposed.value, chunk);
    garbage.wake();
    env.log
      .of('raise')
      .info({ old: hex(extent.chunk), chunk: hex(chunk) }, 'a chunk that nobody wrote was replaced');
    return true;
  }
}

function isStuck(error: unknown): boolean {
  return error instanceof GfsError && error.code === 'NOT_READY' && error.fields.hold === 'nothing';
}

function mustBeFile(attributes: Attributes): Attributes {
  if (attributes.type === FileType.REGULAR) return attributes;
  throw new GfsError('INVALID_ARGUMENT', `inode ${attributes.inode} is no file`);
}
