import type { Command } from 'commander';
import { writeAtomically } from '../files/atomic-file.ts';
import { type ClusterNode, ClusterSide, inodeOf } from '../files/cluster-side.ts';
import { FileCopies } from '../files/copy-file.ts';
import { copySources } from '../files/copy-sources.ts';
import { exactBytes } from '../files/exact-text.ts';
import { type Files, withFiles } from '../files/files.ts';
import { type LocalNode, LocalSide } from '../files/local-side.ts';
import { clusterPath, filePlace, joinPath } from '../files/places.ts';
import { Progress } from '../files/progress.ts';
import { KEEPS_MODE_AND_TIMES } from '../files/side.ts';
import { standardInput } from '../files/standard-streams.ts';
import { TreeCopier } from '../files/tree-copier.ts';
import { addCopiesKey, type CopiesKeys, tellOfFewServers } from '../files/wanted-copies.ts';
import { UsageError } from '../program.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys, CopiesKeys {
  readonly recursive?: boolean;
  readonly quiet?: boolean;
}

/** In place of a name: standard input or output. */
export const STANDARD_STREAM = '-';
const NEW_FILE_MODE = 0o666;

export function addPut(gfs: Command): void {
  const command = gfs
    .command('put')
    .argument('<local...>', 'files or directories of this machine; "-" is standard input')
    .usage('[options] <local...> <path>')
    .summary('copy files of this machine into the cluster')
    .description(
      'copy files of this machine into the cluster. Each is there whole or not at all, and replaces what has its name in one step. Modes and times are kept; the owner is the caller',
    )
    .option('-r, --recursive', 'copy directories with all that is below; symbolic links stay links')
    .option('-q, --quiet', 'show no progress');
  addCopiesKey(command);
  addCommonKeys(command, { json: false });
  command.addHelpText(
    'after',
    '\nExample: gfs put -r photos /archive\n         mysqldump shop | gfs put - /backup/shop.sql',
  );
  command.action(async (words: string[], keys: Keys) => {
    const { sources, target } = splitTarget(words);
    const path = clusterPath(target);
    if (sources.includes(STANDARD_STREAM) && sources.length > 1) {
      throw new UsageError('standard input is one source; it goes with no others');
    }
    await withFiles(keys, 'gfs put', (files) =>
      Progress.during(files, keys, async (progress) => {
        await tellOfFewServers(files, keys);
        const work = { files, progress, keys };
        if (sources[0] === STANDARD_STREAM) await putStandardInput(work, path);
        else await putAll(work, sources.map(exactBytes), path);
      }),
    );
  });
}

/** The last of several names is where the others go. */
export function splitTarget(words: readonly string[]): { sources: readonly string[]; target: string } {
  const target = words.at(-1);
  if (target === undefined || words.length < 2) throw new UsageError('where it should go is missing');
  return { sources: words.slice(0, -1), target };
}

interface Work {
  readonly files: Files;
  readonly progress: Progress;
  readonly keys: Keys;
}

async function putAll(work: Work, sources: readonly Buffer[], path: Buffer): Promise<void> {
  const { files, progress, keys } = work;
  const copies = new FileCopies(files, progress, keys);
  const source = new LocalSide(files);
  const target = new ClusterSide(files);
  const copier = new TreeCopier<LocalNode, ClusterNode>({
    ...{ files, source, target, progress, keeping: KEEPS_MODE_AND_TIMES },
    copyFile: (node, parent, name) =>
      copies.put(node, { parent: inodeOf(parent), name, path: joinPath(parent.path, name) }),
  });
  const { recursive } = keys;
  await copySources({ files, progress, recursive, source, target, copier }, sources, path);
}

async function putStandardInput({ files, progress, keys }: Work, path: Buffer): Promise<void> {
  const { place } = await filePlace(files, path);
  const how = { mode: NEW_FILE_MODE, umask: process.umask(), goal: keys.replication };
  await writeAtomically(files, place, how, async (file) => {
    let position = 0;
    for await (const piece of standardInput(files.signal)) {
      await file.writeTaken(position, [piece], () => undefined, files.call);
      position += piece.length;
      progress.add(piece.length);
    }
  });
}
