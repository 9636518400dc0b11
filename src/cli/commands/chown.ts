import type { Command } from 'commander';
import { inodeId } from '../../base/ids.ts';
import { changeAll } from '../files/change-all.ts';
import { withFiles } from '../files/files.ts';
import { Owners } from '../files/owners.ts';
import { clusterPath } from '../files/places.ts';
import { UsageError } from '../program.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys {
  readonly recursive?: boolean;
  readonly dereference: boolean;
}

export function addChown(gfs: Command): void {
  const command = gfs
    .command('chown')
    .argument('<owner>', 'USER, USER:GROUP or :GROUP; names of this machine, or numbers')
    .argument('<path...>', 'files or directories in the cluster')
    .description('change owners and groups')
    .option('-R, --recursive', 'also of all that is below')
    .option('-h, --no-dereference', 'of symbolic links that are named, not of what they lead to');
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: gfs chown -R alice:staff /home/alice');
  command.action(async (text: string, paths: string[], keys: Keys) => {
    const wanted = paths.map(clusterPath);
    const owner = ownerOf(text);
    const how = { recursive: keys.recursive, follow: keys.dereference };
    await withFiles(keys, 'gfs chown', (files) =>
      changeAll(files, wanted, how, ({ attributes: { inode } }) =>
        files.client.setAttributes(inodeId(inode), owner, files.call),
      ),
    );
  });
}

function ownerOf(text: string): { uid?: number; gid?: number } {
  const [user = '', group = '', ...more] = text.split(':');
  if ((user === '' && group === '') || more.length > 0) {
    throw new UsageError(`"${text}" is none of USER, USER:GROUP and :GROUP`);
  }
  const owners = new Owners();
  return {
    ...(user === '' ? {} : { uid: owners.id('user', user) }),
    ...(group === '' ? {} : { gid: owners.id('group', group) }),
  };
}
