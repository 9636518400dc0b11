import type { SessionId } from '../base/ids.ts';
import type { MasterParts } from './master-parts.ts';

export type ClosingParts = Pick<MasterParts, 'sessions' | 'locks' | 'metadata' | 'reaper'>;

/** A session has closed an open file: its locks go, and its inode, if nothing else holds it. */
export function closeFile(
  { sessions, locks, metadata, reaper }: ClosingParts,
  session: SessionId,
  openId: number,
): void {
  const file = sessions.fileOf(session, openId);
  if (file !== undefined) locks.closed(session, file.inode, openId);
  const closed = sessions.close(session, openId);
  if (closed === undefined) return;
  const row = metadata.state.attributes(closed);
  if (row.ok && row.value.linkCount === 0) reaper.consider([closed]);
}
