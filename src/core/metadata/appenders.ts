import type { InodeId } from '../../base/ids.ts';
import type { MetadataState } from './state.ts';

/** A file goes, and its appenders with it. */
export function removeAppenders(state: MetadataState, inode: InodeId): void {
  for (const { appender } of state.tables.appenders(inode)) state.tables.removeAppender(inode, appender);
}

/** A file's extents from `start` on are gone: what is appended next may lie right behind what is left, or in it. */
export function lowerAppenders(state: MetadataState, inode: InodeId, start: number): void {
  const there = state.tables.appenders(inode);
  if (there.length === 0) return;
  const last = start === 0 ? undefined : state.tables.extentAtOrBefore(inode, start - 1);
  const fromMax = last?.start ?? 0;
  for (const { appender, ...row } of there) {
    if (row.from > fromMax) state.tables.putAppender(inode, appender, { ...row, from: fromMax });
  }
}
