import type { Env } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import type { ChunkHandle, ServerId } from '../base/ids.ts';
import { joinedRequestIds } from '../base/request-ids.ts';
import { MINUTE_MS, SECOND_MS } from '../base/units.ts';
import type { ServerTable } from '../core/server-table.ts';
import {
  type ChunkState,
  ChunkserverDefinition,
  type SetVersionResult,
  type StrayCopy,
  type SystemReport,
  type TeachRequest,
  type VersionRecord,
} from '../rpc/messages.ts';
import type { CallOptions, Connection, Method, Network } from '../rpc/network.ts';
import { watched } from '../rpc/watched-call.ts';

const methods = ChunkserverDefinition.methods;
const { checkVersion, chunkLength, cloneHere, create, deleteStrays, setVersion, teach } = methods;
const { delete: deleteMethod } = methods;

/** A question is answered from memory or by opening a file; clients wait while a silent server is asked. */
const ASK_MS_MAX = 750;
/** An order ends on the server's disk. */
const ORDER_MS_MAX = 3 * SECOND_MS;
const DELETE_MS_MAX = 30 * SECOND_MS;
/** A whole chunk is copied, behind clients' work. One that takes longer goes on, and is asked for again. */
const TEACH_MS_MAX = 10 * MINUTE_MS;
/** A chunk is copied on one disk. */
const CLONE_MS_MAX = 1 * MINUTE_MS;
/** Chunks in one call: one sync of the server's disk for all of them, and a bound on how long it takes. */
const BATCH_SIZE_MAX = 1000;

export interface CheckedReplica {
  readonly state: ChunkState | undefined;
  readonly full: boolean;
}

/**
 * Calls to chunkservers. Questions and orders for one server that are made in one turn travel together: after a
 * failure many chunks are raised at once.
 */
export class ChunkserverCalls {
  readonly #env: Env;
  readonly #network: Network;
  readonly #servers: ServerTable<SystemReport>;
  readonly #connections = new Map<ServerId, Connection>();
  readonly #questions = new Map<ServerId, Batch<ChunkHandle, CheckedReplica>>();
  readonly #orders = new Map<ServerId, Batch<VersionRecord, SetVersionResult>>();

  constructor(parts: { env: Env; network: Network; servers: ServerTable<SystemReport> }) {
    this.#env = parts.env;
    this.#network = parts.network;
    this.#servers = parts.servers;
  }

  /** The server's replica, if it ever had one, and whether it has room to record versions. */
  checkVersion(server: ServerId, chunk: ChunkHandle, requestId: string): Promise<CheckedReplica> {
    const send = (chunks: readonly ChunkHandle[], ids: string) => this.#checkAll(server, chunks, ids);
    return batchOf(this.#questions, server, send).add(chunk, requestId);
  }

  /** Orders the process that is registered now to record a version (P2). */
  setVersion(server: ServerId, record: VersionRecord, requestId: string): Promise<SetVersionResult> {
    const send = (records: readonly VersionRecord[], ids: string) => this.#setAll(server, records, ids);
    return batchOf(this.#orders, server, send).add(record, requestId);
  }

  /** As the primary answers it (P22): what all members have. */
  async chunkLength(server: ServerId, chunk: ChunkHandle, version: number): Promise<number> {
    return (await this.#call(server, chunkLength, { chunk, version }, ORDER_MS_MAX)).length;
  }

  async create(server: ServerId, record: VersionRecord, copy: boolean, requestId: string): Promise<void> {
    await this.#call(server, create, { record, copy }, ORDER_MS_MAX, { requestId });
  }

  /**
   * Orders the process that is registered now to make a chunk of this record from another one that it has (P20), however
   * long its disk takes for that; resolves when it is there. UNAVAILABLE: the server is silent.
   */
  async cloneHere(server: ServerId, record: VersionRecord, source: ChunkHandle): Promise<void> {
    const incarnation = this.#servers.get(server)?.identity.incarnation ?? '';
    const connection = this.#connectionTo(server);
    const probe = (options: { deadlineMs: number; signal: AbortSignal }) =>
      connection.call(checkVersion, { chunks: [] }, options);
    await watched(this.#env, { probe }, (signal) =>
      this.#call(server, cloneHere, { incarnation, record, source }, CLONE_MS_MAX, { signal }),
    );
  }

  async delete(server: ServerId, chunks: ChunkHandle[]): Promise<void> {
    await this.#call(server, deleteMethod, { chunks }, DELETE_MS_MAX);
  }

  /** Deletes copies of chunks that the server is no member of, unless they have a higher version by now (P24). */
  async deleteStrays(server: ServerId, copies: StrayCopy[]): Promise<void> {
    await this.#call(server, deleteStrays, { copies }, DELETE_MS_MAX);
  }

  /** To a primary: resolves when it has made a copy and that is a member (P9). */
  async teach(server: ServerId, request: TeachRequest, signal: AbortSignal): Promise<void> {
    await this.#call(server, teach, request, TEACH_MS_MAX, { signal });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#connections.values()].map((connection) => connection.close()));
    this.#connections.clear();
  }

  async #checkAll(
    server: ServerId,
    chunks: readonly ChunkHandle[],
    requestId: string,
  ): Promise<CheckedReplica[]> {
    const answer = await this.#call(server, checkVersion, { chunks: [...chunks] }, ASK_MS_MAX, { requestId });
    const incarnation = this.#servers.get(server)?.identity.incarnation;
    if (answer.server !== server || answer.incarnation !== incarnation) {
      // What a stranger does not have, the server may (P23).
      throw new GfsError('UNAVAILABLE', `another process answers where server ${server} was`);
    }
    const states = new Map(answer.chunks.map((state) => [state.chunk, state]));
    return chunks.map((chunk) => ({ state: states.get(chunk), full: answer.full }));
  }

  async #setAll(
    server: ServerId,
    records: readonly VersionRecord[],
    requestId: string,
  ): Promise<SetVersionResult[]> {
    const incarnation = this.#servers.get(server)?.identity.incarnation ?? '';
    const request = { incarnation, records: [...records] };
    const answer = await this.#call(server, setVersion, request, ORDER_MS_MAX, { requestId });
    const results = new Map(answer.results.map((result) => [result.chunk, result]));
    return records.map(
      ({ chunk }) => results.get(chunk) ?? { chunk, recorded: false, code: 'INTERNAL', state: undefined },
    );
  }

  async #call<Req, Res>(
    server: ServerId,
    method: Method<Req, Res>,
    request: Req,
    timeoutMs: number,
    { signal, requestId = this.#env.newRequestId() }: Pick<CallOptions, 'signal' | 'requestId'> = {},
  ): Promise<Res> {
    const connection = this.#connectionTo(server);
    const deadlineMs = this.#env.monotonicMs() + timeoutMs;
    try {
      return (await connection.call(method, request, { deadlineMs, signal, requestId })).message;
    } catch (error) {
      const fields = { requestId, server, address: connection.address, method: method.name };
      const failure = { code: codeOf(error), error: messageOf(error) };
      this.#env.log.of('servers').warn({ ...fields, ...failure }, 'a call to a chunkserver failed');
      throw error;
    }
  }

  /** To where the server is now: it may have come back at another address. */
  #connectionTo(server: ServerId): Connection {
    const address = this.#servers.get(server)?.identity.address;
    if (address === undefined) throw new GfsError('UNAVAILABLE', `server ${server} is not registered`);
    const known = this.#connections.get(server);
    if (known?.address === address) return known;
    const connection = this.#network.connect(address);
    this.#connections.set(server, connection);
    known?.close().catch((error: unknown) => {
      this.#env.log
        .of('servers')
        .warn({ server, error: messageOf(error) }, 'an old connection did not close');
    });
    return connection;
  }
}

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly requestId: string;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** `requestId`: of all who asked. */
type Send<Item, Answer> = (items: readonly Item[], requestId: string) => Promise<Answer[]>;

/** Gathers what is asked in one turn, and asks for all of it together. */
class Batch<Item, Answer> {
  readonly #send: Send<Item, Answer>;
  #waiting: Waiting<Item, Answer>[] = [];

  constructor(send: Send<Item, Answer>) {
    this.#send = send;
  }

  add(item: Item, requestId: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, requestId, resolve, reject });
      if (this.#waiting.length === 1) queueMicrotask(() => this.#flush());
      else if (this.#waiting.length === BATCH_SIZE_MAX) this.#flush();
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (waiting.length === 0) return;
    const requestIds = joinedRequestIds(waiting.map(({ requestId }) => requestId));
    this.#send(
      waiting.map(({ item }) => item),
      requestIds,
    ).then(
      (answers) => {
        for (const [index, { resolve }] of waiting.entries()) resolve(answers[index] as Answer);
      },
      (error: unknown) => {
        for (const { reject } of waiting) reject(error);
      },
    );
  }
}

function batchOf<Item, Answer>(
  batches: Map<ServerId, Batch<Item, Answer>>,
  server: ServerId,
  send: Send<Item, Answer>,
): Batch<Item, Answer> {
  let batch = batches.get(server);
  if (batch === undefined) {
    batch = new Batch(send);
    batches.set(server, batch);
  }
  return batch;
}
