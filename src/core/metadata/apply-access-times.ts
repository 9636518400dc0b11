import type { InodeId } from '../../base/ids.ts';
import { refuse } from '../../base/result.ts';
import { countsAsRead } from './access-times.ts';
import { type Prepare, ready } from './prepared.ts';

/** Of many inodes at once. Those that are gone, and those whose time of access was set meanwhile, are passed over. */
export const prepareSetAccessTimes: Prepare<'setAccessTimes'> = (state, { reads }) => {
  if (reads.some(({ atime }) => atime !== undefined && atime.nanos >= 1_000_000_000)) {
    return refuse('INVALID_ARGUMENT', 'a second has 10^9 nanoseconds');
  }
  return ready(() => {
    const inodes: InodeId[] = [];
    for (const read of reads) {
      const row = state.tables.inode(read.inode);
      if (row === undefined || !countsAsRead(row, read)) continue;
      state.tables.putInode({ ...row, atime: read.atime ?? row.atime });
      inodes.push(read.inode);
    }
    return { inodes };
  });
};
