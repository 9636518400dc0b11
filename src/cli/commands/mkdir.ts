import type { Command } from 'commander';
import { NAME_BYTES_MAX, PATH_BYTES_MAX } from '../../base/constants.ts';
import { codeOf, GfsError } from '../../base/errors.ts';
import { FileType } from '../../rpc/messages.ts';
import { type Files, withFiles } from '../files/files.ts';
import { changedMode } from '../files/mode-changes.ts';
import { named, refusal } from '../files/named-error.ts';
import { baseName, clusterPath, directoryName, foundIfThere, isDirectory, placeOf } from '../files/places.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys {
  readonly parents?: boolean;
  readonly mode?: string;
}

const NEW_DIRECTORY_MODE = 0o777;

export function addMkdir(gfs: Command): void {
  const command = gfs
    .command('mkdir')
    .argument('<path...>', 'directories in the cluster')
    .description('make directories')
    .option('-p, --parents', 'with all that are missing on the way; one that is there is no error')
    .option('-m, --mode <mode>', 'mode, as of chmod, not 0777 without the umask');
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: gfs mkdir -p -m 0750 /projects/apollo/data');
  command.action(async (paths: string[], keys: Keys) => {
    const wanted = paths.map(clusterPath);
    const umask = process.umask();
    const mode =
      keys.mode === undefined
        ? undefined
        : changedMode(keys.mode, { mode: NEW_DIRECTORY_MODE, isDirectory: true, umask });
    await withFiles(keys, 'gfs mkdir', async (files) => {
      for (const path of wanted) {
        await files.attempt(path, async () => {
          if (keys.parents) await makeParents(files, path, umask);
          await make(files, path, mode, keys.parents ?? false);
        });
      }
    });
  });
}

async function makeParents(files: Files, path: Buffer, umask: number): Promise<void> {
  checkLengths(path);
  const missing: Buffer[] = [];
  for (let at = directoryName(path); at.length > 1; at = directoryName(at)) {
    if ((await foundIfThere(files, at)) !== undefined) break;
    missing.push(at);
  }
  for (const at of missing.reverse()) await make(files, at, undefined, true, umask);
}

/** Before anything on the way is made. */
function checkLengths(path: Buffer): void {
  let nameBytesMax = 0;
  for (let at = path; at.length > 1; at = directoryName(at))
    nameBytesMax = Math.max(nameBytesMax, baseName(at).length);
  if (path.length > PATH_BYTES_MAX || nameBytesMax > NAME_BYTES_MAX)
    throw named(path, new GfsError('NAME_TOO_LONG', ''));
}

async function make(
  files: Files,
  path: Buffer,
  mode: number | undefined,
  mayExist: boolean,
  umask = process.umask(),
): Promise<void> {
  const existing = mayExist ? await foundIfThere(files, path) : undefined;
  if (existing !== undefined) {
    if (!isDirectory(existing)) throw refusal(path, 'EXISTS', 'exists, and is not a directory');
    return;
  }
  const { parent, name } = await placeOf(files, path);
  const node = {
    type: FileType.FILE_TYPE_DIRECTORY,
    ...(mode === undefined ? { mode: NEW_DIRECTORY_MODE, umask } : { mode }),
  };
  try {
    await files.client.makeNode(parent, name, node, files.call);
  } catch (error) {
    // Somebody else made it in this moment.
    if (!mayExist || codeOf(error) !== 'EXISTS') throw error;
  }
}
