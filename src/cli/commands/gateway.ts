import { hostname } from 'node:os';
import type { Command } from 'commander';
import { GATEWAY_ADDRESS_DEFAULT } from '../../base/constants.ts';
import type { LogLevel } from '../../base/log.ts';
import { type Callers, parseCallers } from '../../gateway/callers.ts';
import { Gateway } from '../../gateway/gateway.ts';
import { isLoopback } from '../../rpc/address.ts';
import { Monitor } from '../../rpc/monitor.ts';
import { NodeNetwork } from '../../rpc/node-network.ts';
import { addLogKeys, runDaemon } from '../daemon.ts';
import { addConfigCheck, addKey, parseAddress, UsageError } from '../program.ts';
import { VERSION } from '../version.ts';
import { addCommonKeys, type CommonKeys } from './common.ts';

interface Keys extends CommonKeys {
  readonly listen: string;
  readonly identity?: Callers;
  readonly logLevel: LogLevel;
}

export function addGateway(gfs: Command): void {
  const command = gfs
    .command('gateway')
    .description('serve gfs.v1.Files, the gRPC API for programs in any language');
  addKey(command, '--listen <host:port>', 'address to serve on; port 0 takes a free one', {
    parse: parseAddress,
    default: GATEWAY_ADDRESS_DEFAULT,
  });
  addKey(
    command,
    '--identity <who>',
    'who callers are: "metadata", as each says by x-user and x-groups, who says nothing is nobody; or ' +
      'UID:GID[,GID...], all of them that one (default: metadata, where only this machine can connect)',
    { parse: parseCallers },
  );
  addLogKeys(command);
  addCommonKeys(command, { json: false });
  addConfigCheck(command, ({ listen, identity }: Keys) => callersOf(listen, identity));
  command.addHelpText('after', '\nExample: gfs gateway --listen 10.0.0.1:7401 --identity 1000:1000');
  command.action(async ({ listen, master, identity, logLevel }: Keys) => {
    const callers = callersOf(listen, identity);
    await runDaemon('gfs gateway', logLevel, async (env, onFatal, services) => {
      const monitor = new Monitor({ env, version: VERSION });
      const network = new NodeNetwork({
        env,
        onBug: onFatal,
        metrics: monitor,
        http: monitor.routes,
        services,
      });
      const gateway = await Gateway.start({
        env,
        network,
        masters: master,
        listen,
        host: hostname(),
        callers,
        metrics: monitor,
      });
      monitor.serves();
      return { ready: { address: gateway.address }, close: () => gateway.close() };
    });
  });
}

/** Whoever connects may say that he is root. That is to be told for other machines, and not to be a default. */
function callersOf(listen: string, identity: Callers | undefined): Callers {
  if (identity !== undefined) return identity;
  if (isLoopback(listen)) return 'metadata';
  throw new UsageError(
    `--identity is missing: other machines can connect to ${listen}; "metadata" believes who they say they are`,
  );
}
