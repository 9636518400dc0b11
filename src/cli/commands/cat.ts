import type { Command } from 'commander';
import { ClusterSide } from '../files/cluster-side.ts';
import { FileCopies } from '../files/copy-file.ts';
import { withFiles } from '../files/files.ts';
import { refusal } from '../files/named-error.ts';
import { clusterPath } from '../files/places.ts';
import { Progress } from '../files/progress.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

export function addCat(gfs: Command): void {
  const command = gfs
    .command('cat')
    .argument('<path...>', 'files in the cluster')
    .description('print files, one after the other');
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: gfs cat /logs/web.log | grep ERROR');
  command.action(async (paths: string[], keys: CommonKeys) => {
    const wanted = paths.map(clusterPath);
    await withFiles(keys, 'gfs cat', async (files) => {
      const side = new ClusterSide(files);
      const copies = new FileCopies(files, Progress.none(files));
      for (const path of wanted) {
        await files.attempt(path, async () => {
          const node = await side.node(path);
          mustBeFile(node);
          await copies.getInto(node, (bytes) => files.out.bytes(bytes));
        });
      }
    });
  });
}

/** What has bytes to read. */
export function mustBeFile({ kind, path }: { readonly kind: string; readonly path: Buffer }): void {
  if (kind === 'directory') throw refusal(path, 'IS_DIRECTORY', 'is a directory');
  if (kind !== 'file') throw refusal(path, 'INVALID_ARGUMENT', 'not a regular file');
}
