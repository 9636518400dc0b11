import type { Command } from 'commander';
import { ClusterSide, clusterNode } from '../files/cluster-side.ts';
import { type Files, withFiles } from '../files/files.ts';
import { isNotFound, refusal } from '../files/named-error.ts';
import { baseName, clusterPath, found, isDirectory, isEntryName, placeOf, trimmed } from '../files/places.ts';
import { Progress } from '../files/progress.ts';
import { TreeRemover } from '../files/remove-tree.ts';
import { countTree } from '../files/tree-copier.ts';
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
  command.addHelpText('after', '\nExample: gfs rm -r /projects/apollo/tmp');
  command.action(async (paths: string[], keys: Keys) => {
    const wanted = paths.map(clusterPath);
    await withFiles(keys, 'gfs rm', (files) =>
      Progress.during(files, { quiet: keys.quiet || !keys.recursive, unit: 'files' }, async (progress) => {
        const remover = new TreeRemover(files, () => progress.add(1));
        for (const path of wanted) {
          await files.attempt(path, () => remove(files, path, { keys, remover, progress }));
        }
      }),
    );
  });
}

async function remove(
  files: Files,
  path: Buffer,
  { keys, remover, progress }: { keys: Keys; remover: TreeRemover; progress: Progress },
): Promise<void> {
  if (!isEntryName(baseName(path))) {
    throw refusal(path, 'INVALID_ARGUMENT', 'the root, "." and ".." are not removed');
  }
  const whole = trimmed(path);
  try {
    const attributes = await found(files, whole, { follow: false });
    const { parent, name } = await placeOf(files, whole);
    const isTree = isDirectory(attributes);
    if (!isTree && whole.length < path.length) throw refusal(path, 'NOT_DIRECTORY', 'not a directory');
    if (isTree && !keys.recursive) {
      throw refusal(path, 'IS_DIRECTORY', 'is a directory; -r removes it with all that is below');
    }
    const node = clusterNode(name, whole, attributes);
    const counting = progress.isShown
      ? countTree(files, new ClusterSide(files), node, progress, () => 1)
      : undefined;
    try {
      await remover.remove(parent, node);
    } finally {
      await counting;
    }
  } catch (error) {
    if (!keys.force || !isNotFound(error)) throw error;
  }
}
