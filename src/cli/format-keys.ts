import type { Command } from 'commander';
import { REPLICATION_MAX } from '../base/constants.ts';
import { addKey, parseCount, parseSize } from './program.ts';

/** What is fixed when a file system is created; absent later: as it was then. */
export interface FormatKeys {
  readonly chunkSize?: number;
  readonly replication?: number;
}

export function addFormatKeys(command: Command): void {
  addKey(command, '--chunk-size <size>', 'bytes in a chunk; fixed at the first start (default: 64MiB)', {
    parse: parseSize,
  });
  addKey(command, '--replication <n>', 'copies of each chunk; fixed at the first start (default: 3)', {
    parse: parseCount({ min: 1, max: REPLICATION_MAX }),
  });
}
