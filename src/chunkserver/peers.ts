import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { SECOND_MS } from '../base/units.ts';
import { ChunkserverDefinition } from '../rpc/messages.ts';
import type { CallOptions, Connection, Method, Network, Reply } from '../rpc/network.ts';
import { watched } from '../rpc/watched-call.ts';

/** Of a server that answers questions meanwhile: its disk may be slow. */
export const PATIENT_CALL_MS_MAX = 30 * SECOND_MS;

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

/** A call that may take long, but is given up as soon as the other one answers no questions. */
export function callPatiently<Req, Res>(
  env: Env,
  connection: Connection,
  method: Method<Req, Res>,
  request: Req,
  { signal, ...more }: Pick<CallOptions, 'payload' | 'requestId'> & { readonly signal: AbortSignal },
): Promise<Reply<Res>> {
  return watched(env, { signal, probe: probeOf(connection) }, (whileThere) => {
    const deadlineMs = env.monotonicMs() + PATIENT_CALL_MS_MAX;
    return connection.call(method, request, { deadlineMs, signal: whileThere, ...more });
  });
}
