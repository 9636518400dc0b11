import { inodeId, ROOT_INODE, type SessionId, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import type { HeldLock, OpenFile } from '../rpc/messages.ts';
import { maySayOpen } from './file-access.ts';
import { heldLockOf } from './lock-handlers.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';

type SessionMethods = 'openSession' | 'renewSession' | 'closeSession' | 'listen';

export function sessionHandlers(parts: MasterParts): Pick<MasterHandlers, SessionMethods> {
  const { env, config, sessions, sessionKeeper, channels, locks } = parts;

  /**
   * What is open, this master knows of a session that began under it or told it before: what such a one adds is
   * checked as an open is. What the master forgot in a restart, it can only believe: modes may have changed since.
   */
  const isBelieved = (session: SessionId, { openId, inode, ...file }: OpenFile) => {
    if (!sessions.get(session)?.announced || sessions.fileOf(session, openId) !== undefined) return true;
    if (maySayOpen(parts.access, { ...file, session, inode: inodeId(inode) })) return true;
    env.log
      .of('sessions')
      .warn({ session, inode }, 'a session says that it has a file open which its caller may not open');
    return false;
  };

  return {
    openSession: async ({ message }) => {
      const session = await sessionKeeper.begin(message);
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
      const session = sessionId(message.session);
      const files = message.openFiles
        .filter((file) => isBelieved(session, file))
        .map(({ openId, inode, read, write }) => ({ openId, inode: inodeId(inode), read, write }));
      const told = { files, complete: message.complete };
      const { tell } = unwrap(sessions.renew(session, told, env.monotonicMs()));
      const isOpen = ({ openId, inode }: HeldLock) => sessions.fileOf(session, openId)?.inode === inode;
      const isLost = message.locks.filter((held) => !isOpen(held)).map(({ number }) => number);
      const held = message.locks.filter(isOpen).map((lock) => heldLockOf(session, lock));
      const lostLocks = message.complete ? [...locks.tell(session, held), ...isLost] : [];
      locks.sessionsChanged();
      for (const { inode, write } of files) if (write) await channels.tellFirst(inode, session);
      return { message: { sendOpenFiles: tell || !locks.hasTold(session), lostLocks } };
    },

    closeSession: async ({ message }) => {
      await sessionKeeper.end(sessionId(message.session));
      return { message: {} };
    },

    listen: (stream, { signal }) => channels.serve(stream, signal),
  };
}
