import { hostname } from 'node:os';
import type { Command } from 'commander';
import { MASTER_ADDRESS_DEFAULT } from '../../base/constants.ts';
import type { Env } from '../../base/env.ts';
import { GfsError } from '../../base/errors.ts';
import { NodeEnv } from '../../base/node-env.ts';
import { SECOND_MS } from '../../base/units.ts';
import type { ClientOptions, Identity } from '../../client/api.ts';
import { GfsClient } from '../../client/gfs-client.ts';
import type { Method, Network, Reply } from '../../rpc/network.ts';
import { NodeNetwork } from '../../rpc/node-network.ts';
import { createLogger } from '../logger.ts';
import { addConfigFile, addKey, parseAddresses } from '../program.ts';

/** How long a person waits before a command says that nobody answers. */
const PATIENCE_MS = 10 * SECOND_MS;

export interface CommonKeys {
  readonly master: string[];
  readonly json?: boolean;
}

/** The keys that every command of `gfs` takes. */
export function addCommonKeys(command: Command, options: { json: boolean }): void {
  addKey(command, '--master <host:port,...>', 'the master; several are tried in turn', {
    parse: parseAddresses,
    default: [MASTER_ADDRESS_DEFAULT],
    defaultText: MASTER_ADDRESS_DEFAULT,
  });
  if (options.json) command.option('--json', 'print JSON, for programs');
  addConfigFile(command);
}

export interface World {
  readonly env: Env;
  readonly network: Network;
}

export function realWorld(): World {
  const env = new NodeEnv(createLogger({ name: 'gfs', level: 'error' }));
  return { env, network: new NodeNetwork({ env }) };
}

/** Asks the first master of the list that answers. */
export async function askMaster<Req, Res>(
  world: World,
  masters: readonly string[],
  method: Method<Req, Res>,
  request: Req,
): Promise<Res> {
  let failure: unknown = new GfsError('INVALID_ARGUMENT', '--master names no address');
  for (const address of masters) {
    try {
      return (await askServer(world, address, method, request)).message;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

export async function askServer<Req, Res>(
  { env, network }: World,
  address: string,
  method: Method<Req, Res>,
  request: Req,
): Promise<Reply<Res>> {
  const connection = network.connect(address);
  try {
    return await connection.call(method, request, { deadlineMs: env.monotonicMs() + PATIENCE_MS });
  } finally {
    await connection.close();
  }
}

/** What a command wants of its client that others do not. */
export interface ClientNeeds extends Pick<ClientOptions, 'ioTimeoutMs' | 'cacheBytes'> {
  /** For the session to be there, and for each call unless `ioTimeoutMs` says more. */
  readonly patienceMs?: number;
  /** Nobody waits for the session any more. */
  readonly signal?: AbortSignal;
}

/** Runs `work` with a client of its own, and closes that however it ends. */
export async function withClient<T>(
  world: World,
  masters: readonly string[],
  program: string,
  work: (client: GfsClient) => Promise<T>,
  { patienceMs = PATIENCE_MS, signal, ...more }: ClientNeeds = {},
): Promise<T> {
  const { env } = world;
  const options = { ...world, masters, host: hostname(), program, ioTimeoutMs: patienceMs, ...more };
  const client = await GfsClient.connect(options, { deadlineMs: env.monotonicMs() + patienceMs, signal });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** The person who runs the program. */
export function ownIdentity(): Identity {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, groups: process.getgroups?.() ?? [] };
}

/** Prints a value as JSON, or what `text` makes of it. A reader that goes away (`gfs status | head`) is no error. */
export function print<T>(value: T, json: boolean | undefined, text: (value: T) => string): void {
  process.stdout.on('error', () => undefined);
  process.stdout.write(`${json ? JSON.stringify(value, undefined, 2) : text(value)}\n`);
}
