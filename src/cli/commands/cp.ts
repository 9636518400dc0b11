import type { Command } from 'commander';
import { inodeId } from '../../base/ids.ts';
import { type ClusterNode, ClusterSide, inodeOf } from '../files/cluster-side.ts';
import { FileCopies } from '../files/copy-file.ts';
import { copySources } from '../files/copy-sources.ts';
import { type Files, withFiles } from '../files/files.ts';
import { refusal } from '../files/named-error.ts';
import { clusterPath, joinPath } from '../files/places.ts';
import { Progress } from '../files/progress.ts';
import type { Keeping } from '../files/side.ts';
import { TreeCopier } from '../files/tree-copier.ts';
import { addCopiesKey, type CopiesKeys, tellOfFewServers } from '../files/wanted-copies.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';
import { splitTarget } from './put.ts';

interface Keys extends CommonKeys, CopiesKeys {
  readonly recursive?: boolean;
  readonly preserve?: boolean;
  readonly quiet?: boolean;
}

export function addCp(gfs: Command): void {
  const command = gfs
    .command('cp')
    .argument('<path...>', 'what to copy, and where to: a directory, or one new name')
    .usage('[options] <path...> <target>')
    .summary('copy files within the cluster')
    .description(
      'copy files within the cluster: its servers do that, large ones are shared until one of them is written to. Each copy is there whole or not at all',
    )
    .option('-r, --recursive', 'copy directories with all that is below; symbolic links stay links')
    .option(
      '-p, --preserve',
      'keep times, modes and, where the caller may, owners; otherwise copies are new files',
    )
    .option('-q, --quiet', 'show no progress');
  addCopiesKey(command);
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: gfs cp -r /projects/apollo /backup/');
  command.action(async (words: string[], keys: Keys) => {
    const { sources, target } = splitTarget(words);
    const paths = sources.map(clusterPath);
    const path = clusterPath(target);
    await withFiles(keys, 'gfs cp', (files) =>
      Progress.during(files, keys, (progress) => copyAll(files, paths, path, keys, progress)),
    );
  });
}

async function copyAll(
  files: Files,
  sources: readonly Buffer[],
  path: Buffer,
  keys: Keys,
  progress: Progress,
): Promise<void> {
  const { preserve = false, recursive } = keys;
  await tellOfFewServers(files, keys);
  const keeping: Keeping = { times: preserve, owner: preserve, umask: preserve ? 0 : process.umask() };
  const copies = new FileCopies(files, progress, keys);
  const side = new ClusterSide(files);
  const copier = new TreeCopier<ClusterNode, ClusterNode>({
    ...{ files, source: side, target: side, progress, keeping },
    copyFile: (node, parent, name) =>
      copies.copy(node, { parent: inodeOf(parent), name, path: joinPath(parent.path, name) }, keeping),
  });
  const check = async (source: ClusterNode, parent: ClusterNode, existing: ClusterNode | undefined) => {
    if (existing?.attributes.inode === source.attributes.inode) {
      throw refusal(source.path, 'INVALID_ARGUMENT', 'cannot be copied onto itself');
    }
    if (source.kind === 'directory' && (await isBelow(files, parent, source))) {
      throw refusal(source.path, 'INVALID_ARGUMENT', 'cannot be copied into itself');
    }
  };
  await copySources({ files, source: side, target: side, copier, progress, recursive, check }, sources, path);
}

/** Whether a directory is another one, or below it. */
async function isBelow(
  { client, call }: Files,
  directory: ClusterNode,
  above: ClusterNode,
): Promise<boolean> {
  const wanted = inodeOf(above);
  for (let at = inodeOf(directory); at !== wanted; ) {
    if (at === client.rootInode) return false;
    at = inodeId((await client.lookup(at, DOT_DOT, call)).inode);
  }
  return true;
}

const DOT_DOT = Buffer.from('..');
