import { GfsError } from '../base/errors.ts';
import { type InodeId, inodeId, type SessionId, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import type { CommandContext, NewChunk } from '../core/metadata/commands.ts';
import { type Attributes, FileType } from '../core/metadata/rows.ts';
import { zeroedExtents } from '../core/metadata/zeroed-extents.ts';
import type { ExtentLocation, FileAhead, LengthCommit } from '../rpc/messages.ts';
import { fenceAppends } from './append-fence.ts';
import { closeFile } from './closed-files.ts';
import { callerOf, contextOf, sessionOf } from './command-context.ts';
import { chunksToFence, fenceChunks, withMembers } from './dropped-chunks.ts';
import { checkFileAccess, checkReach, checkWriteByInode, unreachable } from './file-access.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';
import { setAttributes } from './set-attributes.ts';

type FileMethods =
  | 'createFile'
  | 'createUnnamed'
  | 'open'
  | 'openAhead'
  | 'close'
  | 'commitLength'
  | 'allocate'
  | 'setAttributes';

/** An answer brings so many extents: a small file needs no further question. */
const FIRST_EXTENTS = 4;
/** Some milliseconds of the master's time. */
const AHEAD_NAMES_MAX = 512;

/**
 * Files that are created, opened, closed. What is open is kept in memory alone, so an open that changes nothing costs no
 * write of the log, nor does the close of a file that was not written.
 */
export function fileHandlers(parts: MasterParts): Pick<MasterHandlers, FileMethods> {
  const { env, config, metadata, sessions, entries, channels, locator, newChunks, reaper, garbage } = parts;
  const { state } = metadata;
  const contextIn = (context: Parameters<typeof contextOf>[1]) => contextOf(parts, context);

  const firstExtents = (inode: InodeId, session: SessionId | 0): ExtentLocation[] => {
    const nowMs = env.monotonicMs();
    return state.extents(inode, 0, FIRST_EXTENTS).map((extent) => locator.locate(extent, nowMs, session));
  };

  /** The number of the command names the open file too: sent again, it is the same open. */
  const remember = (context: CommandContext, inode: InodeId, mode: { read: boolean; write: boolean }) => {
    if (context.session === 0) return 0;
    unwrap(sessions.open(context.session, { openId: context.number, inode, ...mode }));
    return context.number;
  };

  const begun = (proposed: NewChunk | undefined, inode: InodeId) => {
    if (proposed !== undefined) newChunks.begun(proposed, state.extentAt(inode, 0)?.chunk);
  };

  const commit = async (
    context: CommandContext,
    inode: InodeId,
    { length, mtime, truncations, writtenBytes }: LengthCommit,
  ) => {
    const body = { inode, length, mtime, truncations, writtenBytes };
    const committed = unwrap(await metadata.execute(context, 'commitLength', body));
    return { ...committed, beingWritten: entries.isBeingWritten(context.session, committed.attributes) };
  };

  return {
    createFile: async ({ message }) => {
      const { name, mode, umask, exclusive, reserveChunk, read, write, truncate } = message;
      const context = contextIn(message.context);
      const parent = inodeId(message.parent);
      const goal = message.goal || config.replication;
      const there = truncate ? state.lookup(context.caller, parent, name) : undefined;
      const chunkGoal = (there?.ok && there.value.goal) || goal;
      const firstChunk = reserveChunk ? newChunks.proposeIfPossible(chunkGoal) : undefined;
      const file = { inode: metadata.dealInode(), mode, umask, firstChunk, goal };
      const body = { parent, name, ...file, exclusive, read, write, truncate };
      const asker = context.session;
      const dropped = there?.ok ? chunksToFence(parts, { inode: there.value.inode, start: 0, asker }) : [];
      const reach = () => unreachable(parts.access, context, [parent]);
      const { attributes, created } = unwrap(await metadata.execute(context, 'createFile', body, reach));
      if (truncate && !created) {
        await fenceChunks(parts, dropped);
        garbage.wake();
      }
      begun(firstChunk, attributes.inode);
      const { inode } = attributes;
      const openId = remember(context, inode, { read, write });
      if (write && !created) await channels.tellFirst(inode, context.session);
      const beingWritten = entries.isBeingWritten(context.session, attributes);
      const extents = firstExtents(inode, context.session);
      const directory = entries.parent(context.session, parent);
      return { message: { attributes, openId, extents, created, beingWritten, parent: directory } };
    },

    createUnnamed: async ({ message }) => {
      const { mode, umask, linkable, reserveChunk, read, write } = message;
      const context = contextIn(message.context);
      sessionOf(context);
      const directory = inodeId(message.directory);
      const goal = message.goal || config.replication;
      const firstChunk = reserveChunk ? newChunks.proposeIfPossible(goal) : undefined;
      const body = { directory, inode: metadata.dealInode(), mode, umask, linkable, firstChunk, goal };
      const reach = () => unreachable(parts.access, context, [directory]);
      const attributes = unwrap(await metadata.execute(context, 'createUnnamed', body, reach));
      const { inode } = attributes;
      begun(firstChunk, inode);
      try {
        const openId = remember(context, inode, { read, write });
        const extents = firstExtents(inode, context.session);
        return {
          message: { attributes, openId, extents, created: true, beingWritten: false, parent: undefined },
        };
      } catch (error) {
        // The session ended meanwhile, and with it whoever could have used the file.
        reaper.consider([inode]);
        throw error;
      }
    },

    open: async ({ message }, { signal }) => {
      const { read, truncate } = message;
      const write = message.write || message.append;
      const inode = inodeId(message.inode);
      const context = contextIn(message.context);
      checkReach(parts.access, context, inode);
      // To run a file that may not be read is for a kernel, which lets nobody look at what it read.
      const kernel = context.session !== 0 && sessions.get(context.session)?.kernelWalksPaths === true;
      const execute = kernel && message.execute;
      const wanted = { read: read && !execute, write: write || truncate, execute };
      const attributes = regularFile(unwrap(state.access(context.caller, inode, wanted)));
      if (attributes.linkCount === 0 && !sessions.isOpen(inode)) {
        // It may be on its way out, and nothing would hold it.
        throw new GfsError('NOT_FOUND', `inode ${inode} has no name any more`);
      }
      // Before anything is waited for: from now on the file stays, whoever unlinks it.
      const openId = remember(context, inode, { read, write });
      entries.learn(context.session, inode);
      const beingWritten = entries.isBeingWritten(context.session, attributes);
      if (write) await channels.tellFirst(inode, context.session);
      if (!truncate)
        return {
          message: { attributes, openId, extents: firstExtents(inode, context.session), beingWritten },
        };
      const firstChunk = write ? newChunks.proposeIfPossible(attributes.goal) : undefined;
      try {
        const changes = { ...NO_CHANGES, inode, length: 0, firstChunk };
        const emptied = await setAttributes(parts, { context, changes, signal });
        begun(firstChunk, inode);
        return {
          message: {
            attributes: emptied,
            openId,
            extents: firstExtents(inode, context.session),
            beingWritten,
          },
        };
      } catch (error) {
        if (openId !== 0) closeFile(parts, sessionOf(context), openId);
        throw error;
      }
    },

    openAhead: async ({ message }) => {
      const { after, limit, firstOpenId } = message;
      const directory = inodeId(message.directory);
      const session = entries.asker(message.session);
      if (session === 0) throw new GfsError('INVALID_ARGUMENT', 'only a session opens files');
      const caller = callerOf(message.caller);
      checkReach(parts.access, { caller, session }, directory);
      const wanted = { after, limit: Math.min(limit, AHEAD_NAMES_MAX), withAttributes: true };
      const page = unwrap(state.list(caller, directory, wanted));
      const files: FileAhead[] = [];
      for (const { name, attributes } of page.entries) {
        if (attributes?.type !== FileType.REGULAR || entries.isBeingWritten(session, attributes)) continue;
        const { inode } = attributes;
        if (!state.access(caller, inode, { read: true }).ok) continue;
        const openId = firstOpenId + files.length;
        // Asked again after a lost answer, while the directory has changed: the number may have another file.
        if (!sessions.open(session, { openId, inode, read: true, write: false }).ok) continue;
        entries.learn(session, inode, { parent: directory, name });
        files.push({ name, attributes, openId, extents: firstExtents(inode, session) });
      }
      return { message: { files } };
    },

    close: async ({ message }) => {
      const context = contextIn(message.context);
      const session = sessionOf(context);
      if (message.inode === 0) return { message: NOTHING_COMMITTED };
      const inode = inodeId(message.inode);
      if (message.commit === undefined) {
        const row = state.attributes(inode);
        // Closed again, after an answer was lost, it may be out of reach: that is no failure, and no way to look.
        const isReached = unreachable(parts.access, context, [inode]) === undefined;
        const attributes = row.ok && isReached ? row.value : undefined;
        closeFile(parts, session, message.openId);
        if (attributes === undefined) return { message: NOTHING_COMMITTED };
        const beingWritten = entries.isBeingWritten(session, attributes);
        return { message: { ...NOTHING_COMMITTED, attributes, beingWritten } };
      }
      const { caller } = context;
      checkFileAccess(parts.access, { caller, session, openId: message.openId, inode, write: true });
      const committed = await commit(context, inode, message.commit);
      closeFile(parts, session, message.openId);
      return { message: committed };
    },

    commitLength: async ({ message }) => {
      if (message.commit === undefined) throw new GfsError('INVALID_ARGUMENT', 'no length is given');
      const inode = inodeId(message.inode);
      const context = contextIn(message.context);
      checkWriteByInode(parts.access, context, inode);
      return { message: await commit(context, inode, message.commit) };
    },

    allocate: async ({ message }) => {
      const { length, start, end, holeSince, zeroedBytes, dropExtents } = message;
      const inode = inodeId(message.inode);
      const context = contextIn(message.context);
      checkWriteByInode(parts.access, context, inode);
      const dropped = dropExtents ? zeroedExtents(state, inode, { start, end }) : [];
      const chunks = withMembers(parts, dropped);
      const body = { inode, length, start, end, holeSince, zeroedBytes, dropped };
      const allocated = unwrap(await metadata.execute(context, 'allocate', body));
      // Whoever asks zeroed them just now, and knows their places, too.
      await fenceChunks(parts, chunks);
      if (chunks.length > 0) garbage.wake();
      const { attributes } = allocated;
      if (length > 0 && attributes.length === length)
        await fenceAppends(parts, inode, length, { isInside: true });
      return {
        message: { ...allocated, beingWritten: entries.isBeingWritten(context.session, attributes) },
      };
    },

    setAttributes: async ({ message }, { signal }) => {
      const context = contextIn(message.context);
      const { mode, uid, gid, length, atime, mtime, atimeNow, mtimeNow, byOpenFile, dropSetIds } = message;
      const inode = inodeId(message.inode);
      if (byOpenFile && !sessions.writersOf(inode).includes(sessionId(context.session))) {
        throw new GfsError('BAD_FILE', `the session does not have inode ${inode} open for writing`);
      }
      const times = { atime, mtime, atimeNow, mtimeNow };
      const how = { byOpenFile, dropSetIds, firstChunk: undefined };
      const changes = { inode, mode, uid, gid, length, ...times, ...how };
      const attributes = await setAttributes(parts, { context, changes, signal });
      return { message: await entries.entry(context.session, attributes) };
    },
  };
}

const NOTHING_COMMITTED = { attributes: undefined, previousCtime: undefined, beingWritten: false };

const NO_CHANGES = {
  atime: undefined,
  mtime: undefined,
  atimeNow: false,
  mtimeNow: false,
  byOpenFile: false,
} as const;

function regularFile(attributes: Attributes): Attributes {
  if (attributes.type === FileType.REGULAR) return attributes;
  const code = attributes.type === FileType.DIRECTORY ? 'IS_DIRECTORY' : 'INVALID_ARGUMENT';
  throw new GfsError(code, `inode ${attributes.inode} is no file`);
}
