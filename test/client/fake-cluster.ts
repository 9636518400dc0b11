// A master and chunkservers that hold everything in memory and do the least that the contract asks: the other end for
// tests of the client. `onCall` sees every request first, and may refuse or delay it; `onAnswer` may lose or delay an answer.
import { assert, must } from '../../src/base/assert.ts';
import { lengthOf } from '../../src/base/bytes.ts';
import { GfsError } from '../../src/base/errors.ts';
import { KiB } from '../../src/base/units.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import type { Incoming, Network, ServiceBinding, ServiceDefinition } from '../../src/rpc/network.ts';
import { FakeMaster } from './fake-master.ts';
import { FakeServer } from './fake-server.ts';

export interface FakeCall {
  readonly method: string;
  /** "master", or a chunkserver's id. */
  readonly at: string;
  readonly request: unknown;
  readonly payloadBytes: number;
}

type AnyHandler = (incoming: unknown, context: unknown) => Promise<unknown>;

export class FakeCluster {
  readonly chunkSizeBytes: number;
  /** Of the master's clock: each time it tells is another. */
  tick = 0;
  readonly master = new FakeMaster(this);
  readonly servers: FakeServer[] = [];
  readonly dead = new Set<number>();
  /** Every unary call, in order; a push counts as one. */
  readonly calls: FakeCall[] = [];
  onCall: ((call: FakeCall) => void | Promise<void>) | undefined;
  onAnswer: ((call: FakeCall) => void | Promise<void>) | undefined;
  /** A mutation takes a moment. */
  pause: () => Promise<void> = async () => undefined;

  constructor({ chunkSizeBytes = 256 * KiB, serverCount = 3 } = {}) {
    this.chunkSizeBytes = chunkSizeBytes;
    for (let id = 1; id <= serverCount; id += 1) this.servers.push(new FakeServer(id, this));
  }

  /** Puts the master and each chunkserver on the network; `host` names the machine of each. */
  async listen(network: (machine: string) => Network, host: (machine: string) => string): Promise<void> {
    const master = this.#binding(MasterDefinition, this.master.handlers(), 'master');
    this.master.address = (await network('master').listen(host('master'), [master])).address;
    for (const server of this.servers) {
      const binding = this.#binding(ChunkserverDefinition, server.handlers(), String(server.id));
      const machine = `s${server.id}`;
      server.address = (await network(machine).listen(host(machine), [binding])).address;
    }
  }

  server(id: number): FakeServer {
    return must(this.servers[id - 1], `there is no server ${id}`);
  }

  place(): number[] {
    return this.servers.map(({ id }) => id).filter((id) => !this.dead.has(id));
  }

  /** How often each method was called since the last time this was asked; the channel of a client, opened once, aside. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { method } of this.calls.splice(0)) {
      if (method !== 'Listen') counts[method] = (counts[method] ?? 0) + 1;
    }
    return counts;
  }

  /** All replicas of all chunks are the same; a promise of the real cluster that the fake keeps by construction. */
  contents(inode: number): Buffer {
    const { attributes, extents } = this.master.node(inode);
    const result = Buffer.alloc(attributes.length);
    for (const { start, chunk } of extents) {
      const copies = this.servers.flatMap(({ replicas }) => replicas.get(chunk) ?? []);
      const [first, ...others] = copies.map(({ data, length }) => data.subarray(0, length));
      if (first === undefined) continue;
      assert(
        others.every((other) => other.equals(first)),
        'replicas are the same',
      );
      first.copy(result, start);
    }
    return result;
  }

  #binding(definition: ServiceDefinition, handlers: object, at: string): ServiceBinding {
    const wrapped: Record<string, AnyHandler> = {};
    for (const [key, method] of Object.entries(definition.methods)) {
      const handler = (handlers as Record<string, AnyHandler | undefined>)[key];
      wrapped[key] = async (incoming, context) => {
        const { message, payload } = method.requestStream
          ? { message: undefined, payload: [] }
          : (incoming as Incoming<unknown>);
        const call = { method: method.name, at, request: message, payloadBytes: lengthOf(payload) };
        this.calls.push(call);
        if (this.dead.has(Number(at))) throw new GfsError('UNAVAILABLE', `server ${at} is dead`);
        await this.onCall?.(call);
        if (handler === undefined) throw new GfsError('UNIMPLEMENTED', method.name);
        const answer = await handler(incoming, context);
        await this.onAnswer?.(call);
        return answer;
      };
    }
    return { definition, handlers: wrapped as unknown as ServiceBinding['handlers'] };
  }
}
