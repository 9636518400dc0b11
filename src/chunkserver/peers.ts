import { GfsError } from '../base/errors.ts';
import { ChunkserverDefinition } from '../rpc/messages.ts';
import type { CallOptions, Connection, Network } from '../rpc/network.ts';

/** One connection to each other chunkserver, shared by all chunks; as many as there are servers. */
export class Peers {
  readonly #network: Network;
  readonly #connections = new Map<string, Connection>();
  #closed = false;

  constructor(network: Network) {
    this.#network = network;
  }

  at(address: string): Connection {
    const known = this.#connections.get(address);
    if (known !== undefined) return known;
    if (this.#closed) throw new GfsError('UNAVAILABLE', 'this server is closing');
    const connection = this.#network.connect(address);
    this.#connections.set(address, connection);
    return connection;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#connections.values()].map((connection) => connection.close()));
  }
}

const { checkVersion } = ChunkserverDefinition.methods;

/** A question that costs a chunkserver nothing: whoever answers it is there. */
export function probeOf(connection: Connection): (options: CallOptions) => Promise<unknown> {
  return (options) => connection.call(checkVersion, { chunks: [] }, options);
}
