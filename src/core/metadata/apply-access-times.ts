import type { InodeId } from '../../base/ids.ts';
import { countsAsRead } from './access-times.ts';
import { type Prepare, ready } from './prepared.ts';
import { badTimes } from './times.ts';

/** Of many inodes at once. Those that are gone, and those whose time of access was set meanwhile, are passed over. */
export const prepareSetAccessTimes: Prepare<'setAccessTimes'> = (state, { reads }) => {
  const bad = badTimes(reads.map(({ atime }) => atime));
  if (bad) return bad;
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
