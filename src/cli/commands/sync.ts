import type { Command } from 'commander';
import { formatSize } from '../../base/units.ts';
import { type ClusterNode, ClusterSide, inodeOf } from '../files/cluster-side.ts';
import { FileCopies } from '../files/copy-file.ts';
import { exactBytes } from '../files/exact-text.ts';
import { type Files, withFiles } from '../files/files.ts';
import { type LocalNode, LocalSide } from '../files/local-side.ts';
import { refusal } from '../files/named-error.ts';
import { baseName, CLUSTER_PREFIX, clusterPath, directoryName, joinPath } from '../files/places.ts';
import { Progress } from '../files/progress.ts';
import { shown } from '../files/shown-name.ts';
import { isSameTime, KEEPS_MODE_AND_TIMES, type Side, type TreeNode } from '../files/side.ts';
import { type Comparing, countTree, TreeCopier } from '../files/tree-copier.ts';
import { addCopiesKey, type CopiesKeys, tellOfFewServers } from '../files/wanted-copies.ts';
import { UsageError } from '../program.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys, CopiesKeys {
  readonly checksum?: boolean;
  readonly delete?: boolean;
  readonly dryRun?: boolean;
  readonly quiet?: boolean;
}

export function addSync(gfs: Command): void {
  const command = gfs
    .command('sync')
    .argument('<source>', 'a directory')
    .argument('<target>', `a directory; one of both is in the cluster, and begins with ${CLUSTER_PREFIX}`)
    .summary('make a directory the same as another one, by what differs')
    .description(
      'make a directory the same as another one, of this machine and of the cluster. Only files are copied whose size or time of change differs; each is there whole or not at all. Modes and times are kept; the owner is the caller',
    )
    .option('-c, --checksum', 'compare what is in files of one size, not their times')
    .option('--delete', 'remove what the source has not, and what is in the way')
    .option('-n, --dry-run', 'print what would be done, and do nothing')
    .option('-q, --quiet', 'show no progress, and no summary');
  addCopiesKey(command);
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: gfs sync --delete photos gfs:/archive/photos');
  command.action(async (source: string, target: string, keys: Keys) => {
    const isUp = target.startsWith(CLUSTER_PREFIX);
    if (isUp === source.startsWith(CLUSTER_PREFIX)) {
      throw new UsageError(`one of both is in the cluster, and begins with ${CLUSTER_PREFIX}`);
    }
    if (!isUp && keys.replication !== undefined) {
      throw new UsageError('--replication is for files that are written in the cluster');
    }
    const cluster = clusterPath(isUp ? target : source);
    const local = exactBytes(isUp ? source : target);
    await withFiles(keys, 'gfs sync', (files) =>
      Progress.during(files, keys, async (progress) => {
        await tellOfFewServers(files, keys);
        const copies = new FileCopies(files, progress, keys);
        const localSide = new LocalSide(files);
        const clusterSide = new ClusterSide(files);
        if (isUp) {
          await synchronize<LocalNode, ClusterNode>(
            { files, keys, progress, source: localSide, target: clusterSide },
            { from: local, to: cluster },
            {
              copyFile: (node, parent, name) =>
                copies.put(node, { parent: inodeOf(parent), name, path: joinPath(parent.path, name) }),
              hasSameBytes: (node, other) => copies.hasSameBytes(node, other),
            },
          );
        } else {
          await synchronize<ClusterNode, LocalNode>(
            { files, keys, progress, source: clusterSide, target: localSide },
            { from: cluster, to: local },
            {
              copyFile: (node, parent, name) => copies.get(node, joinPath(parent.path, name)),
              hasSameBytes: (node, other) => copies.hasSameBytes(other, node),
            },
          );
        }
      }),
    );
  });
}

interface Work<S extends TreeNode, T extends TreeNode> {
  readonly files: Files;
  readonly keys: Keys;
  readonly progress: Progress;
  readonly source: Side<S>;
  readonly target: Side<T>;
}

async function synchronize<S extends TreeNode, T extends TreeNode>(
  { files, keys, progress, source, target }: Work<S, T>,
  { from, to }: { from: Buffer; to: Buffer },
  how: {
    readonly copyFile: (node: S, parent: T, name: Buffer) => Promise<void>;
    readonly hasSameBytes: (source: S, target: T) => Promise<boolean>;
  },
): Promise<void> {
  const node = await source.node(from);
  if (node.kind !== 'directory') throw refusal(from, 'NOT_DIRECTORY', 'not a directory');
  let removedCount = 0;
  const comparing: Comparing<S, T> = {
    deletes: keys.delete ?? false,
    onlyTells: keys.dryRun ?? false,
    isSame: async (one, other) =>
      keys.checksum ? await how.hasSameBytes(one, other) : isSameTime(one.mtime, other.mtime),
    onChange: async (kind, changed) => {
      if (kind === 'remove') removedCount += 1;
      if (keys.dryRun) await files.out.line(`${kind} ${shown(changed.path)}`);
    },
  };
  const copier = new TreeCopier<S, T>({
    ...{ files, source, target, progress, keeping: KEEPS_MODE_AND_TIMES, comparing },
    copyFile: how.copyFile,
  });
  const existing = await target.nodeIfThere(to);
  if (existing !== undefined && existing.kind !== 'directory') {
    throw refusal(to, 'NOT_DIRECTORY', 'not a directory');
  }
  const counting = progress.isShown ? countTree(files, source, node, progress) : undefined;
  try {
    if (existing !== undefined) {
      await copier.copyContents(node, existing);
    } else {
      const parent = await target.node(directoryName(to));
      await copier.copy(node, parent, baseName(to), undefined);
    }
  } finally {
    await counting;
  }
  if (keys.quiet || keys.dryRun) return;
  const copied = `${progress.fileCount} copied (${formatSize(progress.done)})`;
  await files.out.line(`${copied}, ${progress.skippedCount} unchanged, ${removedCount} removed`);
}
