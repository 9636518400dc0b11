import type { Command } from 'commander';
import { codeOf, type GfsError } from '../../base/errors.ts';
import { parseSize } from '../../base/units.ts';
import { ClusterSide, inodeOf } from '../files/cluster-side.ts';
import { withFiles } from '../files/files.ts';
import { named, refusal } from '../files/named-error.ts';
import { clusterPath } from '../files/places.ts';
import { download } from '../files/transfer.ts';
import { UsageError } from '../program.ts';
import { mustBeFile } from './cat.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

export function addGetrange(gfs: Command): void {
  const command = gfs
    .command('getrange')
    .argument('<path>', 'a file in the cluster')
    .argument('<offset>', 'of the first byte; 64MiB and the like do, too')
    .argument('<length>', 'how many bytes; fewer are printed where the file ends')
    .description('print a part of a file');
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: gfs getrange /images/disk.img 1MiB 512 | xxd');
  command.action(async (argument: string, offset: string, length: string, keys: CommonKeys) => {
    const path = clusterPath(argument);
    const start = sizeOf('offset', offset);
    const end = start + sizeOf('length', length);
    if (!Number.isSafeInteger(end)) throw new UsageError('no file is as long as that');
    await withFiles(keys, 'gfs getrange', async (files) => {
      const node = await new ClusterSide(files).node(path);
      mustBeFile(node);
      try {
        const opened = await files.client.open(inodeOf(node), { read: true }, files.call);
        const { length: fileLength } = opened.attributes;
        if (start > fileLength) {
          throw refusal(path, 'INVALID_ARGUMENT', `offset ${start} is past the end, at ${fileLength}`);
        }
        const range = { start, end: Math.min(end, fileLength) };
        await download(files, opened.file, range, (bytes) => files.out.bytes(bytes));
      } catch (error) {
        throw named(path, error);
      }
    });
  });
}

function sizeOf(what: string, text: string): number {
  try {
    return parseSize(text);
  } catch (error) {
    if (codeOf(error) !== 'INVALID_ARGUMENT') throw error;
    throw new UsageError(`${what}: ${(error as GfsError).message}`);
  }
}
