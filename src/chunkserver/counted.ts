import { lengthOf } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import { OperationCounters } from '../core/operation-counters.ts';
import type { Incoming, Outgoing, ServerContext } from '../rpc/network.ts';
import type { ChunkserverHandlers } from './server-parts.ts';

/** Counts what handlers do: how often, how many bytes, how long, how many at a time (for heartbeats). */
export class Activity {
  readonly counters = new OperationCounters();
  readonly #env: Env;
  #active = 0;

  constructor(env: Env) {
    this.#env = env;
  }

  /** Handlers that run now. */
  get active(): number {
    return this.#active;
  }

  counted(handlers: ChunkserverHandlers): ChunkserverHandlers {
    const counted: Record<string, unknown> = {};
    for (const [name, handler] of Object.entries(handlers)) {
      const operation = name.charAt(0).toUpperCase() + name.slice(1);
      counted[name] =
        name === 'push'
          ? this.#countedPush(handlers.push)
          : this.#countedUnary(operation, handler as UnaryHandler);
    }
    return counted as unknown as ChunkserverHandlers;
  }

  #countedUnary(operation: string, handler: UnaryHandler): UnaryHandler {
    return async (request, context) => {
      const startMs = this.#begin();
      try {
        const answer = await handler(request, context);
        const bytes =
          lengthOf(request.payload) + (answer.payload === undefined ? 0 : lengthOf(answer.payload));
        this.#end(operation, startMs, bytes, false);
        return answer;
      } catch (error) {
        this.#end(operation, startMs, lengthOf(request.payload), true);
        throw error;
      }
    };
  }

  #countedPush(handler: ChunkserverHandlers['push']): ChunkserverHandlers['push'] {
    return async (requests, context) => {
      const startMs = this.#begin();
      const counted = new CountedRequests(requests);
      try {
        const answer = await handler(counted, context);
        this.#end('Push', startMs, counted.bytes, false);
        return answer;
      } catch (error) {
        this.#end('Push', startMs, counted.bytes, true);
        throw error;
      }
    };
  }

  #begin(): number {
    this.#active += 1;
    return this.#env.monotonicMs();
  }

  #end(operation: string, startMs: number, bytes: number, failed: boolean): void {
    this.#active -= 1;
    const latencyUs = (this.#env.monotonicMs() - startMs) * 1000;
    this.counters.record(operation, { failed, bytes, latencyUs });
  }
}

type UnaryHandler = (request: Incoming<unknown>, context: ServerContext) => Promise<Outgoing<unknown>>;

/** A stream of requests, with the bytes that went by. */
class CountedRequests<T> implements AsyncIterable<Incoming<T>> {
  bytes = 0;
  readonly #requests: AsyncIterable<Incoming<T>>;

  constructor(requests: AsyncIterable<Incoming<T>>) {
    this.#requests = requests;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Incoming<T>> {
    for await (const request of this.#requests) {
      this.bytes += lengthOf(request.payload);
      yield request;
    }
  }
}
