import type { Command } from 'commander';
import { codeOf } from '../../base/errors.ts';
import { type Files, withFiles } from '../files/files.ts';
import { reasonOf, refusal } from '../files/named-error.ts';
import {
  baseName,
  clusterPath,
  found,
  foundIfThere,
  isDirectory,
  joinPath,
  type NamedPlace,
  placeOf,
  trimmed,
} from '../files/places.ts';
import { shown } from '../files/shown-name.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';
import { splitTarget } from './put.ts';

interface Keys extends CommonKeys {
  readonly clobber: boolean;
}

export function addMv(gfs: Command): void {
  const command = gfs
    .command('mv')
    .argument('<path...>', 'what to move, and where to: a directory, or one new name')
    .usage('[options] <path...> <target>')
    .summary('rename files and directories')
    .description('rename files and directories, or move them into a directory; in one step each')
    .option('-n, --no-clobber', 'never replace what is there: an error');
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: gfs mv /incoming/beach.raw /photos/2024/');
  command.action(async (words: string[], keys: Keys) => {
    const { sources, target } = splitTarget(words);
    const paths = sources.map(clusterPath);
    const path = clusterPath(target);
    await withFiles(keys, 'gfs mv', (files) => moveAll(files, paths, path, { noReplace: !keys.clobber }));
  });
}

async function moveAll(
  files: Files,
  sources: readonly Buffer[],
  target: Buffer,
  options: { noReplace: boolean },
): Promise<void> {
  const existing = await foundIfThere(files, target);
  const isInto = existing !== undefined && isDirectory(existing);
  if (!isInto && sources.length > 1) throw refusal(target, 'NOT_DIRECTORY', 'not a directory');
  for (const source of sources) {
    await files.attempt(source, async () => {
      const from = await placeOf(files, trimmed(source));
      const moved = await found(files, from.path, { follow: false });
      if (!isInto && trimmed(target).length < target.length && !isDirectory(moved)) {
        throw refusal(target, 'NOT_DIRECTORY', 'no such directory');
      }
      const to = await placeOf(files, isInto ? joinPath(target, baseName(source)) : trimmed(target));
      await move(files, from, to, options);
    });
  }
}

async function move(
  files: Files,
  from: NamedPlace,
  to: NamedPlace,
  options: { noReplace: boolean },
): Promise<void> {
  try {
    await files.client.rename(from, to, options, files.call);
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    throw refusal(from.path, codeOf(error), `cannot become ${shown(to.path)}: ${reason}`);
  }
}
