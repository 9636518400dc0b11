import { inodeId, ROOT_INODE, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';

type SessionMethods = 'openSession' | 'renewSession' | 'closeSession' | 'listen';

export function sessionHandlers(parts: MasterParts): Pick<MasterHandlers, SessionMethods> {
  const { env, config, sessions, sessionKeeper, channels } = parts;
  return {
    openSession: async ({ message: { host, program } }) => {
      const session = await sessionKeeper.begin(host, program);
      return {
        message: {
          session,
          timeoutMs: config.sessionTimeoutMs,
          filesystemId: config.filesystemId,
          chunkSizeBytes: config.chunkSizeBytes,
          replication: config.replication,
          rootInode: ROOT_INODE,
        },
      };
    },

    renewSession: async ({ message }) => {
      const files = message.openFiles.map((file) => ({ ...file, inode: inodeId(file.inode) }));
      const told = { files, complete: message.complete };
      const { tell } = unwrap(sessions.renew(sessionId(message.session), told, env.monotonicMs()));
      return { message: { sendOpenFiles: tell } };
    },

    closeSession: async ({ message }) => {
      await sessionKeeper.end(sessionId(message.session));
      return { message: {} };
    },

    listen: (stream, { signal }) => channels.serve(stream, signal),
  };
}
