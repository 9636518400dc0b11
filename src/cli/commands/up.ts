import type { Command } from 'commander';
import { GATEWAY_ADDRESS_DEFAULT, MASTER_ADDRESS_DEFAULT } from '../../base/constants.ts';
import { GfsError } from '../../base/errors.ts';
import type { LogLevel } from '../../base/log.ts';
import { NodeEnv } from '../../base/node-env.ts';
import { isLoopback } from '../../rpc/address.ts';
import { TRANSPORTS, type Transport } from '../../rpc/node-network.ts';
import { addLogKeys } from '../daemon.ts';
import { addFormatKeys, type FormatKeys } from '../format-keys.ts';
import { createLogger } from '../logger.ts';
import {
  addConfigCheck,
  addConfigFile,
  addKey,
  parseAddress,
  parseChoice,
  parseCount,
  parseSize,
} from '../program.ts';
import { defaultDataDirectory, defaultMountPoint } from '../up/tools.ts';
import { up } from '../up/up.ts';

interface Keys extends FormatKeys {
  readonly data?: string;
  readonly mount?: string;
  readonly chunkservers: number;
  readonly listen: string;
  readonly gateway: string;
  readonly reserve?: number;
  readonly transport: Transport;
  readonly logLevel: LogLevel;
}

export function addUp(gfs: Command): void {
  const command = gfs
    .command('up')
    .description('run a whole cluster on this machine and mount it, until Ctrl-C');
  addKey(
    command,
    '--data <dir>',
    'where everything is kept (default: /var/lib/gfs; ~/.local/share/gfs if not root)',
  );
  addKey(
    command,
    '--mount <dir>',
    'where it is mounted (default: /mnt/gfs; ~/gfs if that may not be created)',
  );
  addKey(command, '--chunkservers <n>', 'chunkservers to start', {
    parse: parseCount({ min: 1, max: 64 }),
    default: 3,
  });
  addKey(command, '--listen <host:port>', "the master's address", {
    parse: parseAddress,
    default: MASTER_ADDRESS_DEFAULT,
  });
  addKey(command, '--gateway <host:port>', 'where programs of this machine find the gRPC API', {
    parse: parseOwnAddress,
    default: GATEWAY_ADDRESS_DEFAULT,
  });
  addFormatKeys(command);
  addKey(command, '--reserve <size>', 'space on the disk that stays free (default: 1GiB)', {
    parse: parseSize,
  });
  addKey<Transport>(command, '--transport <name>', 'how the mount talks to the daemons: frames or grpc', {
    parse: parseChoice(TRANSPORTS),
    default: 'frames',
  });
  addLogKeys(command);
  addConfigFile(command);
  addConfigCheck(command);
  command.addHelpText('after', '\nExample: gfs up --data /srv/gfs --mount /mnt/gfs --chunkservers 3');
  command.action(async (keys: Keys) => {
    await up({
      env: new NodeEnv(createLogger({ name: 'gfs up', level: keys.logLevel })),
      data: keys.data ?? defaultDataDirectory(),
      mount: keys.mount ?? defaultMountPoint(),
      chunkserverCount: keys.chunkservers,
      listen: keys.listen,
      gateway: keys.gateway,
      chunkSizeBytes: keys.chunkSize,
      replication: keys.replication,
      reserveBytes: keys.reserve,
      transport: keys.transport,
      logLevel: keys.logLevel,
      stopRequested: stopSignal(),
    });
  });
}

/** Whoever reaches the gateway of a cluster on one machine is believed who he says he is. */
function parseOwnAddress(text: string): string {
  const address = parseAddress(text);
  if (isLoopback(address)) return address;
  throw new GfsError(
    'INVALID_ARGUMENT',
    `other machines can connect to ${text}: for those, run "gfs gateway" with --identity`,
  );
}

/** The first SIGINT, SIGTERM or SIGHUP; a person who presses Ctrl-C again still gets the orderly way. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
}
