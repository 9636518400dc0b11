import type { Command } from 'commander';
import { GfsError } from '../../base/errors.ts';
import { inodeId } from '../../base/ids.ts';
import { SECOND_MS } from '../../base/units.ts';
import type { Time } from '../../rpc/messages.ts';
import { type Files, withFiles } from '../files/files.ts';
import { named } from '../files/named-error.ts';
import { behindLinks, clusterPath, endsInSlash, foundIfThere, placeOf } from '../files/places.ts';
import { UsageError } from '../program.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys {
  readonly create: boolean;
  readonly date?: string;
}

const NEW_FILE_MODE = 0o666;
const NANOS_PER_MS = 1_000_000;

export function addTouch(gfs: Command): void {
  const command = gfs
    .command('touch')
    .argument('<path...>', 'files in the cluster')
    .description('set times of access and change to now; what is not there is made, empty')
    .option('-c, --no-create', 'make nothing')
    .option('-d, --date <date>', 'that time instead, as 2024-05-31T17:08:00Z');
  addCommonKeys(command, { json: false });
  command.addHelpText('after', '\nExample: gfs touch /projects/apollo/READY');
  command.action(async (paths: string[], keys: Keys) => {
    const wanted = paths.map(clusterPath);
    const time = keys.date === undefined ? 'now' : timeOf(keys.date);
    await withFiles(keys, 'gfs touch', async (files) => {
      for (const path of wanted) await files.attempt(path, () => touch(files, path, { time, keys }));
    });
  });
}

async function touch(
  files: Files,
  path: Buffer,
  { time, keys }: { time: Time | 'now'; keys: Keys },
): Promise<void> {
  const { client, call } = files;
  let inode = (await foundIfThere(files, path))?.inode;
  if (inode === undefined) {
    if (!keys.create) return;
    if (endsInSlash(path)) throw named(path, new GfsError('NOT_FOUND', ''));
    const { parent, name } = await placeOf(files, await behindLinks(files, path));
    const how = { write: true, mode: NEW_FILE_MODE, umask: process.umask() };
    const { file } = await client.create(parent, name, how, call);
    inode = file.inode;
    await file.close(call);
    if (time === 'now') return;
  }
  await client.setAttributes(inodeId(inode), { atime: time, mtime: time }, call);
}

function timeOf(text: string): Time {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new UsageError(`"${text}" is no date such as 2024-05-31T17:08:00Z`);
  const seconds = Math.floor(ms / SECOND_MS);
  return { seconds, nanos: (ms - seconds * SECOND_MS) * NANOS_PER_MS };
}
