import * as fs from 'node:fs/promises';
import type { Command } from 'commander';
import { joined } from '../../base/bytes.ts';
import { type ClusterNode, ClusterSide } from '../files/cluster-side.ts';
import { FileCopies } from '../files/copy-file.ts';
import { copySources } from '../files/copy-sources.ts';
import { exactBytes } from '../files/exact-text.ts';
import { type Files, withFiles } from '../files/files.ts';
import { type LocalNode, LocalSide } from '../files/local-side.ts';
import { named } from '../files/named-error.ts';
import { clusterPath, joinPath } from '../files/places.ts';
import { Progress } from '../files/progress.ts';
import { KEEPS_MODE_AND_TIMES } from '../files/side.ts';
import { TreeCopier } from '../files/tree-copier.ts';
import { UsageError } from '../program.ts';
import { mustBeFile } from './cat.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';
import { STANDARD_STREAM, splitTarget } from './put.ts';

interface Keys extends CommonKeys {
  readonly recursive?: boolean;
  readonly quiet?: boolean;
}

export function addGet(gfs: Command): void {
  const command = gfs
    .command('get')
    .argument('<path...>', 'files or directories in the cluster')
    .usage('[options] <path...> <local>')
    .summary('copy files of the cluster to this machine')
    .description(
      'copy files of the cluster to this machine; "-" is standard output. Each is there whole or not at all, and replaces what has its name in one step. Modes and times are kept; the owner is the caller',
    )
    .option('-r, --recursive', 'copy directories with all that is below; symbolic links stay links')
    .option('-q, --quiet', 'show no progress');
  addCommonKeys(command, { json: false });
  command.addHelpText(
    'after',
    '\nExample: gfs get /photos/2024/beach.raw .\n         gfs get /backup/shop.sql - | mysql shop',
  );
  command.action(async (words: string[], keys: Keys) => {
    const { sources, target } = splitTarget(words);
    const paths = sources.map(clusterPath);
    const local = exactBytes(target);
    if (local.length === 0) throw new UsageError('the name of the local file is empty');
    await withFiles(keys, 'gfs get', (files) =>
      Progress.during(files, keys, (progress) =>
        getAll({ files, progress, recursive: keys.recursive }, paths, local),
      ),
    );
  });
}

interface Work {
  readonly files: Files;
  readonly progress: Progress;
  readonly recursive: boolean | undefined;
}

async function getAll(work: Work, paths: readonly Buffer[], local: Buffer): Promise<void> {
  const { files, progress } = work;
  const copies = new FileCopies(files, progress);
  const source = new ClusterSide(files);
  const target = new LocalSide(files);
  const isStandardOutput = local.equals(Buffer.from(STANDARD_STREAM));
  const existing = isStandardOutput ? undefined : await target.nodeIfThere(local);
  if (isStandardOutput || existing?.kind === 'other') {
    // A device or a pipe gets the bytes, and stays what it is.
    for (const path of paths) {
      await files.attempt(path, async () => {
        const node = await source.node(path);
        mustBeFile(node);
        progress.expect(node.length);
        if (isStandardOutput) await copies.getInto(node, (bytes) => files.out.bytes(bytes));
        else await getIntoOpen(copies, node, local);
      });
    }
    return;
  }
  const copier = new TreeCopier<ClusterNode, LocalNode>({
    ...{ files, source, target, progress, keeping: KEEPS_MODE_AND_TIMES },
    copyFile: (node, parent, name) => copies.get(node, joinPath(parent.path, name)),
  });
  await copySources({ ...work, source, target, copier }, paths, local);
}

async function getIntoOpen(copies: FileCopies, node: ClusterNode, local: Buffer): Promise<void> {
  const handle = await fs.open(local, 'w').catch((error: unknown) => {
    throw named(local, error);
  });
  try {
    await copies.getInto(node, (bytes) => handle.writeFile(joined(bytes)));
  } finally {
    await handle.close();
  }
}
