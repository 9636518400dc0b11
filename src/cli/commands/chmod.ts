import type { Command } from 'commander';
import { inodeId } from '../../base/ids.ts';
import { FileType } from '../../rpc/messages.ts';
import { changeAll } from '../files/change-all.ts';
import { withFiles } from '../files/files.ts';
import { changedMode } from '../files/mode-changes.ts';
import { clusterPath, isDirectory } from '../files/places.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys {
  readonly recursive?: boolean;
}

export function addChmod(gfs: Command): void {
  const command = gfs
    .command('chmod')
    .argument('<mode>', 'octal, as 0755, or u+x,go-w, as chmod(1) has it; -- before one that begins with -')
    .argument('<path...>', 'files or directories in the cluster')
    .description('change modes')
    .option('-R, --recursive', 'also of all that is below');
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: gfs chmod -R g+rwX /projects/apollo');
  command.action(async (text: string, paths: string[], keys: Keys) => {
    const wanted = paths.map(clusterPath);
    const umask = process.umask();
    // A text that means nothing is a wrong call, before anybody is asked.
    changedMode(text, { mode: 0, isDirectory: false, umask });
    await withFiles(keys, 'gfs chmod', (files) =>
      changeAll(files, wanted, keys, async ({ attributes }) => {
        const { inode, type, mode } = attributes;
        // Links have no modes of their own.
        if (type === FileType.FILE_TYPE_SYMLINK) return;
        const changed = changedMode(text, { mode, isDirectory: isDirectory(attributes), umask });
        await files.client.setAttributes(inodeId(inode), { mode: changed }, files.call);
      }),
    );
  });
}
