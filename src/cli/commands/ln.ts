import type { Command } from 'commander';
import { SYMLINK_BYTES_MAX } from '../../base/constants.ts';
import { inodeId } from '../../base/ids.ts';
import { makeSymbolicLink, replaceWith } from '../files/atomic-file.ts';
import { exactBytes } from '../files/exact-text.ts';
import { type Files, withFiles } from '../files/files.ts';
import { named, refusal } from '../files/named-error.ts';
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
  const into = await foundIfThere(files, path);
  const isInto = into !== undefined && isDirectory(into);
  const place = await placeOf(files, isInto ? joinPath(path, baseName(target)) : path);
  const { symbolic = false, force = false } = keys;
  if (symbolic && target.length > SYMLINK_BYTES_MAX) {
    throw refusal(path, 'NAME_TOO_LONG', `a symbolic link has ${SYMLINK_BYTES_MAX} bytes at most`);
  }
  const existing = force && symbolic ? await foundIfThere(files, place.path, { follow: false }) : undefined;
  try {
    if (!symbolic) await makeHardLink(files, target, place, force);
    else if (existing === undefined) await makeSymbolicLink(files, place, target);
    else await replaceWith(files, place, (passing) => makeSymbolicLink(files, passing, target));
  } catch (error) {
    throw named(place.path, error);
  }
}

async function makeHardLink(
  files: Files,
  target: Buffer,
  place: NamedPlace,
  replace: boolean,
): Promise<void> {
  const { client, call } = files;
  const source = await found(files, target, { follow: false });
  if (isDirectory(source)) {
    throw refusal(target, 'IS_DIRECTORY', 'is a directory, and has one name; -s makes a symbolic link');
  }
  await client.makeLink(inodeId(source.inode), place, { replace }, call);
}
