import type { Command } from 'commander';
import type { RemovedTree } from '../../client/api.ts';
import { type Files, withFiles } from '../files/files.ts';
import { isNotFound, refusal } from '../files/named-error.ts';
import { baseName, clusterPath, found, isDirectory, isEntryName, placeOf, trimmed } from '../files/places.ts';
import { Progress } from '../files/progress.ts';
import { removeTree, showRemovals } from '../files/remove-tree.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys {
  readonly recursive?: boolean;
  readonly force?: boolean;
  readonly quiet?: boolean;
}

export function addRm(gfs: Command): void {
  const command = gfs
    .command('rm')
    .argument('<path...>', 'what to remove in the cluster')
    .description('remove files; a symbolic link itself, not what it leads to')
    .option('-r, --recursive', 'remove directories with all that is below')
    .option('-f, --force', 'what is not there is no error')
    .option('-q, --quiet', 'show no progress');
  addCommonKeys(command, { json: false });
  command.addHelpText(
    'after',
    `
A tree is out of sight at once and as a whole, or, where something of it may not
be removed, nothing of it is. Its space comes back behind that, which a terminal
is shown: Ctrl-C ends the showing alone, and \`gfs status\` tells, too.

Example: gfs rm -r /projects/apollo/tmp`,
  );
  command.action(async (paths: string[], keys: Keys) => {
    const wanted = paths.map(clusterPath);
    await withFiles(keys, 'gfs rm', (files) =>
      Progress.during(files, { quiet: keys.quiet || !keys.recursive, unit: 'files' }, async (progress) => {
        const removed: RemovedTree[] = [];
        for (const path of wanted) {
          await files.attempt(path, async () => {
            removed.push(...(await remove(files, path, keys)));
          });
        }
        if (progress.isShown) await showRemovals(files, removed, progress);
      }),
    );
  });
}

/** A tree's space comes back when it is out of sight. */
async function remove(files: Files, path: Buffer, keys: Keys): Promise<RemovedTree[]> {
  if (!isEntryName(baseName(path))) {
    throw refusal(path, 'INVALID_ARGUMENT', 'the root, "." and ".." are not removed');
  }
  const whole = trimmed(path);
  try {
    const attributes = await found(files, whole, { follow: false });
    const place = await placeOf(files, whole);
    const isTree = isDirectory(attributes);
    if (!isTree && whole.length < path.length) throw refusal(path, 'NOT_DIRECTORY', 'not a directory');
    if (isTree && !keys.recursive) {
      throw refusal(path, 'IS_DIRECTORY', 'is a directory; -r removes it with all that is below');
    }
    if (isTree) return [await removeTree(files, place)];
    await files.client.unlink(place.parent, place.name, files.call);
    return [];
  } catch (error) {
    if (!keys.force || !isNotFound(error)) throw error;
    return [];
  }
}
