import { GfsError } from '../base/errors.ts';
import { type InodeId, sessionId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import type { MetadataState } from '../core/metadata/state.ts';
import type { SessionTable } from '../core/session-table.ts';
import type { Caller } from '../rpc/messages.ts';
import { callerOf } from './command-context.ts';

/**
 * May this be done with a file's bytes? Whoever has it open may: access was checked when it was opened, and a mode that
 * changes later does not close open files. Everybody else is checked now.
 * BAD_FILE: the session has no such open file. A restarted master may not have been told yet; the session tells and
 * asks again.
 */
export function checkFileAccess(
  parts: { readonly state: MetadataState; readonly sessions: SessionTable },
  request: {
    readonly caller: Caller | undefined;
    readonly session: number;
    /** 0: not by an open file. */
    readonly openId: number;
    readonly inode: InodeId;
    readonly write: boolean;
  },
): void {
  const { openId, inode, write, session } = request;
  const caller = callerOf(request.caller);
  if (openId === 0) {
    unwrap(parts.state.access(caller, inode, write ? { write } : { read: true }));
    return;
  }
  const file = parts.sessions.fileOf(sessionId(session), openId);
  if (file === undefined || file.inode !== inode) {
    throw new GfsError('BAD_FILE', `session ${session} has no inode ${inode} open as ${openId}`);
  }
  if (write && !file.write) throw new GfsError('BAD_FILE', `${openId} is not open for writing`);
}

/** As above, for requests that name no open file: any of the session's will do. */
export function checkWriteByInode(
  parts: { readonly state: MetadataState; readonly sessions: SessionTable },
  request: { readonly caller: Caller; readonly session: number; readonly inode: InodeId },
): void {
  const { caller, session, inode } = request;
  if (session !== 0 && parts.sessions.writersOf(inode).includes(sessionId(session))) return;
  unwrap(parts.state.access(caller, inode, { write: true }));
}
