import type { Env, Timer } from '../base/env.ts';
import { TaskGroup } from '../base/task-group.ts';
import { SECOND_MS } from '../base/units.ts';
import { ChunkserverDefinition } from '../rpc/messages.ts';
import type { CallOptions, ClientStream, Connection, Method, Network, Reply } from '../rpc/network.ts';
import { watched } from '../rpc/watched-call.ts';

const IDLE_MS_MAX = 60 * SECOND_MS;
/** A server that failed to answer is asked last for so long. */
const SUSPECT_MS = 5 * SECOND_MS;

interface Entry {
  readonly connection: Connection;
  inUse: number;
  usedAtMs: number;
}

/** Connections to chunkservers by address: made when first needed, closed when idle. */
export class ServerPool {
  readonly #env: Env;
  readonly #network: Network;
  readonly #entries = new Map<string, Entry>();
  readonly #suspectUntilMs = new Map<string, number>();
  readonly #closing: TaskGroup;
  #sweep: Timer | undefined;

  constructor(env: Env, network: Network) {
    this.#env = env;
    this.#network = network;
    this.#closing = new TaskGroup((error) =>
      env.log.of('files').warn({ error }, 'a connection to a chunkserver did not close well'),
    );
  }

  async call<Req, Res>(
    address: string,
    method: Method<Req, Res>,
    request: Req,
    options: CallOptions,
  ): Promise<Reply<Res>> {
    return await this.#using(address, (connection) => connection.call(method, request, options));
  }

  /**
   * As `call`, for what may take long at a server that lives: disks are slow, a member is being evicted. One that does
   * not even answer a question is given up within two seconds.
   */
  async callWatched<Req, Res>(
    address: string,
    method: Method<Req, Res>,
    request: Req,
    options: CallOptions,
  ): Promise<Reply<Res>> {
    const probe = (limits: CallOptions) => this.probe(address, limits);
    return await watched(this.#env, { signal: options.signal, probe }, (signal) =>
      this.call(address, method, request, { ...options, signal }),
    );
  }

  /** Resolves when the server answers a question that costs it nothing; a silent one is suspect from then on. */
  async probe(address: string, options: CallOptions): Promise<void> {
    try {
      await this.call(address, ChunkserverDefinition.methods.checkVersion, { chunks: [] }, options);
    } catch (error) {
      if (!options.signal?.aborted) this.suspect(address);
      throw error;
    }
  }

  /** Runs `work` with a stream; the connection stays open until it settles. */
  async streaming<Req, Res, T>(
    address: string,
    method: Method<Req, Res>,
    options: Omit<CallOptions, 'payload'>,
    work: (stream: ClientStream<Req, Res>) => Promise<T>,
  ): Promise<T> {
    return await this.#using(address, (connection) => work(connection.stream(method, options)));
  }

  /** This server did not answer, or answered nonsense: others are asked first for a while. */
  suspect(address: string): void {
    this.#suspectUntilMs.set(address, this.#env.monotonicMs() + SUSPECT_MS);
  }

  isSuspect(address: string): boolean {
    if (this.#suspectUntilMs.size === 0) return false;
    const untilMs = this.#suspectUntilMs.get(address);
    if (untilMs === undefined) return false;
    if (untilMs > this.#env.monotonicMs()) return true;
    this.#suspectUntilMs.delete(address);
    return false;
  }

  async close(): Promise<void> {
    this.#sweep?.cancel();
    const connections = [...this.#entries.values()].map(({ connection }) => connection);
    this.#entries.clear();
    await Promise.all(connections.map((connection) => connection.close()));
    await this.#closing.drain();
  }

  /** Keeps the connection open until `work` settles. */
  async #using<T>(address: string, work: (connection: Connection) => Promise<T>): Promise<T> {
    const entry = this.#entry(address);
    entry.inUse += 1;
    try {
      return await work(entry.connection);
    } finally {
      entry.inUse -= 1;
    }
  }

  #entry(address: string): Entry {
    let entry = this.#entries.get(address);
    if (entry === undefined) {
      entry = { connection: this.#network.connect(address), inUse: 0, usedAtMs: 0 };
      this.#entries.set(address, entry);
      this.#sweep ??= this.#env.setTimer(IDLE_MS_MAX, () => this.#closeIdle());
    }
    entry.usedAtMs = this.#env.monotonicMs();
    return entry;
  }

  #closeIdle(): void {
    const idleSinceMs = this.#env.monotonicMs() - IDLE_MS_MAX;
    for (const [address, entry] of this.#entries) {
      if (entry.inUse > 0 || entry.usedAtMs > idleSinceMs) continue;
      this.#entries.delete(address);
      this.#closing.run(() => entry.connection.close());
    }
    this.#sweep =
      this.#entries.size === 0 ? undefined : this.#env.setTimer(IDLE_MS_MAX, () => this.#closeIdle());
  }
}
