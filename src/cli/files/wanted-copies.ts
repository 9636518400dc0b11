import type { Command } from 'commander';
import { REPLICATION_MAX } from '../../base/constants.ts';
import { checked, parseCount } from '../program.ts';
import type { Files } from './files.ts';

/** Of commands that make files in the cluster. */
export interface CopiesKeys {
  /** Of each chunk; undefined: as many as the file system has by default. */
  readonly replication?: number;
}

export function addCopiesKey(command: Command): void {
  command.option(
    '--replication <n>',
    `copies of each chunk of the files that are written, 1 to ${REPLICATION_MAX} (default: as the file system has)`,
    checked(parseCount({ min: 1, max: REPLICATION_MAX })),
  );
}

/** Where fewer servers are alive, files have fewer copies for now: that is said once. */
export async function tellOfFewServers(files: Files, { replication }: CopiesKeys): Promise<void> {
  if (replication === undefined) return;
  const { serverCountAlive } = await files.client.status(files.call);
  if (serverCountAlive >= replication) return;
  files.warn(
    `${replication} copies are wanted, and ${serverCountAlive} chunkservers are alive: the others are made when there are more`,
  );
}
