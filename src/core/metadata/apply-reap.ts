import { removeInode } from './apply-remove.ts';
import { dropExtentsFrom } from './chunk-rows.ts';
import { DONE } from './commands.ts';
import { type Prepare, ready } from './prepared.ts';

/** What was let go, and whose last trace goes now. */

/** A file without a name goes when nobody has it open any more; that, only the master knows. */
export const prepareReap: Prepare<'reap'> = (state, { inodes }) =>
  ready(() => {
    for (const inode of inodes) {
      if (state.tables.orphan(inode) === undefined) continue;
      dropExtentsFrom(state, inode, 0);
      state.tables.removeOrphan(inode);
      removeInode(state, state.inodeOf(inode));
    }
    return DONE;
  });

export const prepareForgetGarbage: Prepare<'forgetGarbage'> = (state, { chunks }) =>
  ready(() => {
    for (const chunk of chunks) state.tables.removeGarbage(chunk);
    return DONE;
  });
