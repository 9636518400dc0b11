import {
  CHECKSUM_BLOCK_BYTES,
  CHUNK_SIZE_BYTES_MAX,
  CHUNK_SIZE_BYTES_MIN,
  REPLICATION_MAX,
} from '../../base/constants.ts';
import { ROOT_INODE } from '../../base/ids.ts';
import { refuse } from '../../base/result.ts';
import { DONE } from './commands.ts';
import { MODE_ALL } from './permissions.ts';
import { type Prepare, ready } from './prepared.ts';
import { FileType } from './rows.ts';

/** The file system itself, its sessions and its servers. */

export const prepareFormat: Prepare<'format'> = (state, body, { time }) => {
  const { filesystemId, chunkSizeBytes, replication, uid, gid, mode } = body;
  if (state.filesystem !== undefined) return refuse('EXISTS', 'the file system was created before');
  if (!/^[0-9a-f]{32}$/.test(filesystemId)) return refuse('INVALID_ARGUMENT', 'a bad file system id');
  const inRange = chunkSizeBytes >= CHUNK_SIZE_BYTES_MIN && chunkSizeBytes <= CHUNK_SIZE_BYTES_MAX;
  if (!inRange || chunkSizeBytes % CHECKSUM_BLOCK_BYTES !== 0) {
    return refuse('INVALID_ARGUMENT', `a chunk size of ${chunkSizeBytes} bytes is not possible`);
  }
  if (replication < 1 || replication > REPLICATION_MAX) {
    return refuse('INVALID_ARGUMENT', `${replication} copies are not possible`);
  }
  return ready(() => {
    state.setFilesystem({ id: filesystemId, chunkSizeBytes, replication });
    state.tables.putInode({
      inode: ROOT_INODE,
      type: FileType.DIRECTORY,
      mode: mode & MODE_ALL,
      linkCount: 2,
      uid,
      gid,
      length: 0,
      rdev: 0,
      atime: time,
      mtime: time,
      ctime: time,
      btime: time,
      goal: 0,
      truncations: 0,
      hasXattrs: false,
      holeBytes: 0,
      parent: ROOT_INODE,
    });
    state.progress.nextInode = Math.max(state.progress.nextInode, ROOT_INODE + 1);
    state.progress.inodeCount += 1;
    return DONE;
  });
};

export const prepareOpenSession: Prepare<'openSession'> = (state, body, { time }) => {
  const { session, host, program, kernelWalksPaths } = body;
  if (state.isSession(session)) return refuse('EXISTS', `session ${session} is open`);
  return ready(() => {
    state.progress.nextSession = Math.max(state.progress.nextSession, session + 1);
    state.tables.putSession({ session, host, program, kernelWalksPaths, openedAt: time });
    state.results.begin(session);
    return DONE;
  });
};

export const prepareCloseSession: Prepare<'closeSession'> = (state, { session }) => {
  if (!state.isSession(session)) return refuse('NO_SUCH_SESSION', `no session ${session}`);
  return ready(() => {
    state.tables.removeSession(session);
    state.results.end(session);
    return DONE;
  });
};

export const prepareAddServer: Prepare<'addServer'> = (state, { server, host }, { time }) => {
  if (state.server(server) !== undefined) return refuse('EXISTS', `server ${server} was added before`);
  return ready(() => {
    state.progress.nextServer = Math.max(state.progress.nextServer, server + 1);
    state.tables.putServer({ server, host, addedAt: time });
    return DONE;
  });
};

export const prepareReserveWriters: Prepare<'reserveWriters'> = (state, { end }) =>
  ready(() => {
    state.progress.nextSession = Math.max(state.progress.nextSession, end);
    return DONE;
  });
