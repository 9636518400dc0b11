import type { Env } from '../base/env.ts';
import type { Metrics } from '../base/metrics.ts';
import { GfsClient } from '../client/gfs-client.ts';
import { FilesDefinition } from '../rpc/messages.ts';
import { bindService, type Listener, type Network, type ServiceBinding } from '../rpc/network.ts';
import { appendHandlers } from './append.ts';
import type { Callers } from './callers.ts';
import type { FilesParts } from './files-parts.ts';
import { listHandler } from './list.ts';
import { nameHandlers } from './names.ts';
import { OpenAppenders } from './open-appenders.ts';
import { readHandler } from './read.ts';
import { removeHandler } from './remove.ts';
import { writeHandler } from './write.ts';

export interface GatewayOptions {
  readonly env: Env;
  readonly network: Network;
  /** "host:port" of each; tried in turn. */
  readonly masters: readonly string[];
  readonly listen: string;
  /** This machine's name, for people. */
  readonly host: string;
  readonly callers: Callers;
  /** Who is told this process's figures. */
  readonly metrics?: Metrics | undefined;
}

/** `gfs.v1.Files`, by one client of the file system for all its callers. */
export class Gateway {
  readonly #client: GfsClient;
  readonly #appenders: OpenAppenders;
  readonly #listener: Listener;

  static async start(options: GatewayOptions): Promise<Gateway> {
    const { env, network, masters, listen, host, callers, metrics } = options;
    const program = `gateway ${listen}`;
    const client = await GfsClient.connect({ env, network, masters, host, program, metrics });
    try {
      const appenders = new OpenAppenders(env, client);
      const service = filesService({ env, client, callers }, appenders);
      return new Gateway(client, appenders, await network.listen(listen, [service]));
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  private constructor(client: GfsClient, appenders: OpenAppenders, listener: Listener) {
    this.#client = client;
    this.#appenders = appenders;
    this.#listener = listener;
  }

  get address(): string {
    return this.#listener.address;
  }

  async close(): Promise<void> {
    await this.#listener.close();
    this.#appenders.close();
    await this.#client.close();
  }
}

function filesService(parts: FilesParts, appenders: OpenAppenders): ServiceBinding {
  return bindService(FilesDefinition, {
    ...nameHandlers(parts),
    list: listHandler(parts),
    read: readHandler(parts),
    write: writeHandler(parts),
    ...appendHandlers(parts, appenders),
    remove: removeHandler(parts),
  });
}
