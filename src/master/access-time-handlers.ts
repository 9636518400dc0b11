import { GfsError } from '../base/errors.ts';
import { inodeId } from '../base/ids.ts';
import { unwrap } from '../base/result.ts';
import { countsAsRead } from '../core/metadata/access-times.ts';
import { READS_PER_COMMAND_MAX } from '../core/metadata/commands.ts';
import { contextOf } from './command-context.ts';
import { checkReach } from './file-access.ts';
import type { MasterHandlers, MasterParts } from './master-parts.ts';

/** What sessions say was read. */
export function accessTimeHandlers(parts: MasterParts): Pick<MasterHandlers, 'setAccessTimes'> {
  const { metadata } = parts;
  const { state } = metadata;
  return {
    setAccessTimes: async ({ message }) => {
      const context = contextOf(parts, message.context);
      if (message.reads.length > READS_PER_COMMAND_MAX) {
        throw new GfsError('INVALID_ARGUMENT', `more than ${READS_PER_COMMAND_MAX} inodes in one command`);
      }
      const reads = message.reads.map((read) => ({ ...read, inode: inodeId(read.inode) }));
      for (const { inode } of reads) checkReach(parts.access, context, inode);
      // Where several mounts read a file, the first tells: the others cost the log nothing.
      const counting = reads.filter((read) => {
        const row = state.attributes(read.inode);
        return row.ok && countsAsRead(row.value, read);
      });
      if (counting.length === 0) return { message: { inodes: [] } };
      const set = unwrap(await metadata.execute(context, 'setAccessTimes', { reads: counting }));
      return { message: { inodes: [...set.inodes] } };
    },
  };
}
