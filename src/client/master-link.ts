import { must } from '../base/assert.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { SECOND_MS } from '../base/units.ts';
import type { ClientStream, Connection, Method, Network } from '../rpc/network.ts';
import { type Attempt, isTransient, type Patience } from './patience.ts';

/** A master that is silent for so long is asked again, or the next one is. */
const MASTER_ATTEMPT_MS = 15 * SECOND_MS;

/** The master, wherever it is now: the addresses of a list are tried in turn until one answers. */
export class MasterLink {
  readonly #connections: readonly Connection[];
  readonly #env: Env;
  #current = 0;
  #heardMs = Number.NEGATIVE_INFINITY;

  constructor(env: Env, network: Network, addresses: readonly string[]) {
    if (addresses.length === 0) throw new GfsError('INVALID_ARGUMENT', 'no master is given');
    this.#env = env;
    this.#connections = addresses.map((address) => network.connect(address));
  }

  /** What it answered last, it was asked at that time or later: so long ago at most it was there. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** Called when the connection in use was lost: the master may have been started anew. */
  onLost(listener: () => void): void {
    this.#connections.forEach((connection, index) => {
      connection.onLost(() => {
        if (index === this.#current) listener();
      });
    });
  }

  /**
   * Asks until there is an answer or a refusal. The request is the same each time, its command number too. `attemptMs`: how long
   * a master may think about it, of whose connection nothing else is wrong.
   */
  async call<Req, Res>(
    method: Method<Req, Res>,
    request: Req,
    patience: Patience,
    attemptMs = MASTER_ATTEMPT_MS,
  ): Promise<Res> {
    for (;;) {
      const asked = this.#current;
      try {
        return await this.once(method, request, patience.attempt(attemptMs));
      } catch (error) {
        const elsewhere = codeOf(error) === 'WRONG_SERVICE' && this.#connections.length > 1;
        if (!elsewhere && !isTransient(error)) throw error;
        if (this.#current === asked) this.#current = (asked + 1) % this.#connections.length;
        await patience.pause(error);
      }
    }
  }

  /** One attempt, at the master in use. */
  async once<Req, Res>(method: Method<Req, Res>, request: Req, options: Attempt): Promise<Res> {
    const connection = must(this.#connections[this.#current], 'the index stays within the list');
    const askedMs = this.#env.monotonicMs();
    const { message } = await connection.call(method, request, options);
    // The answer may be old: it has lain here while this process was stopped, or on a slow network.
    this.#heardMs = Math.max(this.#heardMs, askedMs);
    return message;
  }

  /** A stream to the master in use; it ends with the connection. */
  stream<Req, Res>(method: Method<Req, Res>, options: { signal: AbortSignal }): ClientStream<Req, Res> {
    return must(this.#connections[this.#current], 'the index stays within the list').stream(method, options);
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
  }
}
