import type { Command } from 'commander';
import { GfsError, messageOf } from '../../base/errors.ts';
import { MasterDefinition } from '../../rpc/messages.ts';
import { addKey, EXIT_FAILURE, parseAddress } from '../program.ts';
import { askServer, type CommonKeys, type World } from './common.ts';

/** A process that can be asked. */
export interface Daemon {
  /** "master", "server 3"; absent: it was named by its address. */
  readonly name?: string;
  readonly address: string;
}

export interface DaemonKeys extends Pick<CommonKeys, 'master'> {
  /** That one, and no other. */
  readonly server?: string;
  /** The master and its chunkservers. */
  readonly all?: boolean;
}

/** The flag that names one daemon, and, if that is not what is meant anyway, the one for all. */
export function addDaemonKeys(command: Command, all?: string): void {
  addKey(command, '--server <host:port>', 'of that daemon: a chunkserver, a gateway, a mount with --listen', {
    parse: parseAddress,
  });
  if (all !== undefined) command.option('--all', all);
}

/** The daemons that a command is about. Fails if no master can say which there are. */
export async function daemonsOf(world: World, { master, server, all }: DaemonKeys): Promise<Daemon[]> {
  if (server !== undefined) return [{ address: server }];
  let failure: unknown = new GfsError('INVALID_ARGUMENT', '--master names no address');
  for (const address of master) {
    try {
      const { servers } = (await askServer(world, address, MasterDefinition.methods.listServers, {})).message;
      const chunkservers = servers
        .filter(({ alive }) => alive)
        .map((known) => ({ name: `server ${known.server}`, address: known.address }));
      return [{ name: 'master', address }, ...(all ? chunkservers : [])];
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** Asks all of them. Of several, one that fails is told, the others are asked all the same, and the command ends with 1. */
export async function eachDaemon<T>(
  daemons: readonly Daemon[],
  work: (daemon: Daemon) => Promise<T>,
): Promise<T[]> {
  const [only] = daemons;
  if (only !== undefined && daemons.length === 1) return [await work(only)];
  const results = await Promise.allSettled(daemons.map(work));
  return results.flatMap((result, index) => {
    if (result.status === 'fulfilled') return [result.value];
    tellOfFailure(daemons[index], result.reason);
    return [];
  });
}

/** Of one of several. */
export function tellOfFailure(daemon: Daemon | undefined, error: unknown): void {
  process.exitCode = EXIT_FAILURE;
  process.stderr.write(`gfs: ${daemon?.name ?? 'daemon'} at ${daemon?.address}: ${messageOf(error)}\n`);
}
