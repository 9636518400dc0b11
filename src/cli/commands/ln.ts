import type { Command } from 'commander';
import { inodeId } from '../../base/ids.ts';
import { FileType } from '../../rpc/messages.ts';
import { replaceWith } from '../files/atomic-file.ts';
import { exactBytes } from '../files/exact-text.ts';
import { type Files, withFiles } from '../files/files.ts';
import { refusal } from '../files/named-error.ts';
import {
  baseName,
  clusterPath,
  found,
  foundIfThere,
  isDirectory,
  joinPath,
  type NamedPlace,
  placeOf,
} from '../files/places.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys {
  readonly symbolic?: boolean;
  readonly force?: boolean;
}

const LINK_MODE = 0o777;

export function addLn(gfs: Command): void {
  const command = gfs
    .command('ln')
    .argument('<target>', 'what it leads to; with -s any text, relative to the directory of the link')
    .argument('<link>', 'the new name in the cluster, or a directory for it')
    .description('give a file a further name, or make a symbolic link')
    .option('-s, --symbolic', 'a symbolic link')
    .option('-f, --force', 'replace what has the name, in one step');
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: gfs ln -s 2024 /photos/latest');
  command.action(async (target: string, link: string, keys: Keys) => {
    const to = keys.symbolic ? exactBytes(target) : clusterPath(target);
    const path = clusterPath(link);
    await withFiles(keys, 'gfs ln', (files) => makeLink(files, to, path, keys));
  });
}

async function makeLink(files: Files, target: Buffer, path: Buffer, keys: Keys): Promise<void> {
  const { client, call } = files;
  const into = await foundIfThere(files, path);
  const isInto = into !== undefined && isDirectory(into);
  const place = await placeOf(files, isInto ? joinPath(path, baseName(target)) : path);
  const source = keys.symbolic ? undefined : await found(files, target, { follow: false });
  if (source !== undefined && isDirectory(source)) {
    throw refusal(target, 'IS_DIRECTORY', 'is a directory, and has one name; -s makes a symbolic link');
  }
  const make = ({ parent, name }: Pick<NamedPlace, 'parent' | 'name'>) =>
    source === undefined
      ? client.makeNode(
          parent,
          name,
          { type: FileType.FILE_TYPE_SYMLINK, mode: LINK_MODE, symlinkTarget: target },
          call,
        )
      : client.makeLink(inodeId(source.inode), parent, name, call);
  await files.attempt(place.path, async () => {
    const existing = keys.force ? await foundIfThere(files, place.path, { follow: false }) : undefined;
    // Two names of one file are left as they are by rename(2), the passing one too.
    if (existing !== undefined && existing.inode === source?.inode) return;
    if (existing === undefined) await make(place);
    else await replaceWith(files, place, ({ parent, name }) => make({ parent, name: Buffer.from(name) }));
  });
}
