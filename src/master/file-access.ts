import { GfsError } from '../base/errors.ts';
import { type InodeId, sessionId } from '../base/ids.ts';
import { type Result, refuse, unwrap } from '../base/result.ts';
import { isOwner } from '../core/metadata/permissions.ts';
import type { MetadataState } from '../core/metadata/state.ts';
import type { SessionTable } from '../core/session-table.ts';
import type { Caller } from '../rpc/messages.ts';
import { callerOf } from './command-context.ts';

export interface AccessParts {
  readonly state: MetadataState;
  readonly sessions: SessionTable;
}

/** Who names an inode by its number, and in which session (0: none). A command's context is one. */
export interface Asker {
  readonly caller: Caller;
  readonly session: number;
}

/**
 * Why the caller may not come to one of these inodes at all; undefined: he may, and their own modes decide. Whoever has
 * a file open in his session is there already, and where a kernel walks paths it has checked them.
 * BAD_FILE: he might, by a file that the session has open; a restarted master may not have been told yet. The session
 * tells and asks again.
 */
export function unreachable(
  { state, sessions }: AccessParts,
  { caller, session: number }: Asker,
  inodes: readonly InodeId[],
): Result<never> | undefined {
  if (caller.uid === 0) return undefined;
  const session = number === 0 ? undefined : sessions.get(sessionId(number));
  if (session?.kernelWalksPaths) return undefined;
  for (const inode of inodes) {
    if (session !== undefined && sessions.hasOpen(session.session, inode)) continue;
    const refusal = state.unreachable(caller, inode);
    if (refusal === undefined) continue;
    if (session === undefined || session.announced) return refusal;
    return refuse('BAD_FILE', `session ${number} did not tell yet whether it has inode ${inode} open`);
  }
  return undefined;
}

/** As above, thrown: for calls that no retry repeats. */
export function checkReach(parts: AccessParts, asker: Asker, inode: InodeId): void {
  const refusal = unreachable(parts, asker, [inode]);
  if (refusal !== undefined) unwrap(refusal);
}

/**
 * May this be done with a file's bytes? Whoever has it open may: access was checked when it was opened, and a mode that
 * changes later does not close open files. Everybody else is checked now.
 * BAD_FILE: the session has no such open file. A restarted master may not have been told yet; the session tells and
 * asks again.
 */
export function checkFileAccess(
  parts: AccessParts,
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
    checkReach(parts, { caller, session }, inode);
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
export function checkWriteByInode(parts: AccessParts, asker: Asker, inode: InodeId): void {
  const { caller, session } = asker;
  if (session !== 0 && parts.sessions.writersOf(inode).includes(sessionId(session))) return;
  checkReach(parts, asker, inode);
  unwrap(parts.state.access(caller, inode, { write: true }));
}

/**
 * May a session say of a file that the master does not know as open that it has it open? As open(2) would be answered
 * now. The owner may whatever the mode is: he may have made the file so, and can change it.
 */
export function maySayOpen(
  parts: AccessParts,
  file: {
    readonly caller: Caller | undefined;
    readonly session: number;
    readonly inode: InodeId;
    readonly read: boolean;
    readonly write: boolean;
  },
): boolean {
  const { caller, session, inode, read, write } = file;
  if (caller === undefined || unreachable(parts, { caller, session }, [inode]) !== undefined) return false;
  const row = parts.state.attributes(inode);
  return row.ok && (isOwner(caller, row.value) || parts.state.access(caller, inode, { read, write }).ok);
}
