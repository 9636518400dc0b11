import { LEASE_DURATION_MS, SERVER_SILENCE_MS } from '../base/constants.ts';
import { backoffMs, type Env } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { sharedAbort } from '../base/shared-abort.ts';
import { SECOND_MS } from '../base/units.ts';
import { TakenPlace } from '../core/taken-place.ts';
import {
  type AdmitRequest,
  type EvictRequest,
  type HeartbeatRequest,
  type HeartbeatResponse,
  MasterDefinition,
  type RegisterRequest,
  type RegisterResponse,
} from '../rpc/messages.ts';
import type { ClientStream, Connection, Network } from '../rpc/network.ts';
import type { ReplicaStore, StoreSpace } from '../storage/replica-store.ts';
import type { ChunkReporter } from './chunk-reporter.ts';
import type { ChunkTable } from './chunk-table.ts';
import type { Activity } from './counted.ts';
import type { SystemReporter } from './system-reporter.ts';

const REGISTER_MS_MAX = 5 * SECOND_MS;
/** The master asks all members and orders a new version; some may be silent. */
const EVICT_MS_MAX = 15 * SECOND_MS;
const RETRY_DELAYS = { delayMsMin: 50, delayMsMax: 2 * SECOND_MS };

export interface MasterLinkOptions {
  readonly env: Env;
  readonly network: Network;
  readonly masters: readonly string[];
  readonly store: ReplicaStore;
  readonly chunks: ChunkTable;
  readonly activity: Activity;
  readonly reporter: ChunkReporter;
  readonly reportIntervalMs: number;
  readonly systemReporter: SystemReporter | undefined;
  /** What does not change while the process runs. */
  readonly introduction: Omit<RegisterRequest, 'server' | 'filesystemId'>;
  /** Called at each registration, after the identity is on disk. */
  readonly onRegistered: (response: RegisterResponse) => void;
}

/**
 * The server's tie to its master: registers, sends heartbeats and chunk reports, takes what comes back; and all over again
 * when it breaks, for as long as the server lives. Only a master that refuses this server for good ends it.
 */
export class MasterLink {
  readonly #options: MasterLinkOptions;
  readonly #env: Env;
  readonly #ending = sharedAbort();
  readonly #place = new TakenPlace({ silenceMs: SERVER_SILENCE_MS, marginMs: 1 * SECOND_MS });
  #answeredMs = Number.NEGATIVE_INFINITY;
  #sequence = 0;
  #reportedAtMs = 0;
  #connection: Connection | undefined;
  #server = 0;

  constructor(options: MasterLinkOptions) {
    this.#options = options;
    this.#env = options.env;
  }

  /** The master has said something lately. */
  get masterAnswers(): boolean {
    return this.#env.monotonicMs() - this.#answeredMs < SERVER_SILENCE_MS;
  }

  /** A master has this server, and the tie to it holds. */
  get isRegistered(): boolean {
    return this.#connection !== undefined;
  }

  /** Runs until `close`; rejects when the master will never have this server. */
  async run(): Promise<void> {
    const { signal } = this.#ending;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      for (const address of this.#options.masters) {
        try {
          await this.#serve(address, () => {
            attempt = 0;
          });
        } catch (error) {
          if (signal.aborted) return;
          if (this.#isFinal(error)) throw refusedBy(address, error);
          this.#env.log
            .of('servers')
            .warn({ master: address, code: codeOf(error), error: messageOf(error) }, 'no tie to the master');
        }
      }
      try {
        await this.#env.sleep(backoffMs(this.#env, attempt, RETRY_DELAYS), { signal });
      } catch {
        return;
      }
    }
  }

  /** A bad block was found: clients are sent elsewhere before they meet it. Lost when the master is away. */
  async reportBadReplica(chunk: number, version: number): Promise<void> {
    const report = { chunk, version, server: this.#server, reason: 'CHECKSUM_MISMATCH' };
    const deadlineMs = this.#env.monotonicMs() + REGISTER_MS_MAX;
    await this.#connection?.call(MasterDefinition.methods.reportBadReplica, report, { deadlineMs });
  }

  /** Resolves to the chunk's version as the master has it then (P12). */
  async evict(request: EvictRequest, signal: AbortSignal): Promise<number> {
    if (this.#connection === undefined) throw new GfsError('UNAVAILABLE', 'the master is away');
    const deadlineMs = this.#env.monotonicMs() + EVICT_MS_MAX;
    const options = { deadlineMs, signal };
    const answer = await this.#connection.call(MasterDefinition.methods.evict, request, options);
    return answer.message.version;
  }

  /** Resolves to the chunk's version when the learner is a member of it (P9). */
  async admit(request: AdmitRequest): Promise<number> {
    if (this.#connection === undefined) throw new GfsError('UNAVAILABLE', 'the master is away');
    const options = { deadlineMs: this.#env.monotonicMs() + EVICT_MS_MAX };
    return (await this.#connection.call(MasterDefinition.methods.admit, request, options)).message.version;
  }

  close(): void {
    this.#ending.abort();
  }

  /** What trying again cannot change. */
  #isFinal(error: unknown): boolean {
    switch (codeOf(error)) {
      case 'WRONG_FILESYSTEM':
      case 'WRONG_SERVICE':
      case 'UNIMPLEMENTED':
        return true;
      case 'ALREADY_RUNNING': {
        const { incarnation = '' } = error instanceof GfsError ? error.fields : {};
        return this.#place.refused(incarnation, this.#env.monotonicMs());
      }
      default:
        return false;
    }
  }

  /** One connection's life. Its name is resolved anew each time. */
  async #serve(address: string, onRegistered: () => void): Promise<void> {
    const connection = this.#options.network.connect(address);
    const heartbeats = sharedAbort();
    const stop = () => heartbeats.abort();
    this.#ending.signal.addEventListener('abort', stop);
    try {
      const registered = await this.#register(connection);
      onRegistered();
      this.#connection = connection;
      this.#env.log.of('servers').info({ master: address, server: registered.server }, 'registered');
      await this.#beat(connection, registered, heartbeats);
    } finally {
      this.#connection = undefined;
      this.#ending.signal.removeEventListener('abort', stop);
      heartbeats.abort();
      await connection.close();
    }
  }

  async #register(connection: Connection): Promise<RegisterResponse> {
    const { store, introduction, onRegistered } = this.#options;
    const { serverId, filesystemId } = store.identity ?? { serverId: 0, filesystemId: '' };
    const request = { ...introduction, server: serverId, filesystemId };
    const deadlineMs = this.#env.monotonicMs() + REGISTER_MS_MAX;
    const options = { deadlineMs, signal: this.#ending.signal };
    const { message } = await connection.call(MasterDefinition.methods.register, request, options);
    if (serverId === 0) {
      // On disk before anybody can count on it: a server that forgot its id would strand its replicas.
      await store.setIdentity({ serverId: message.server, filesystemId: message.filesystemId });
    } else if (message.server !== serverId || message.filesystemId !== filesystemId) {
      throw new GfsError(
        'WRONG_FILESYSTEM',
        `the master takes server ${serverId} for server ${message.server}`,
      );
    }
    this.#server = message.server;
    this.#place.registered();
    this.#answeredMs = this.#env.monotonicMs();
    onRegistered(message);
    return message;
  }

  /** Heartbeats, their answers, and reports beside them, until one of the three fails. */
  async #beat(connection: Connection, registered: RegisterResponse, stop: AbortController): Promise<void> {
    const { signal } = stop;
    const stream = connection.stream(MasterDefinition.methods.heartbeat, { signal });
    const news = { fullReportWanted: true, sentMs: new Map<number, number>() };
    const lost = new Promise<never>((_, reject) => {
      connection.onLost(reject);
      signal.addEventListener('abort', () => reject(new GfsError('CANCELLED', 'heartbeats end')));
    });
    const parts = [
      this.#send(stream, registered, news, signal),
      this.#receive(stream, news),
      this.#report(connection, registered, news, signal),
      lost,
    ];
    try {
      await Promise.race(parts);
    } finally {
      stop.abort();
      stream.cancel();
      // All have an end of their own now; the first error is the one that is told.
      await Promise.allSettled(parts);
    }
  }

  async #send(
    stream: ClientStream<HeartbeatRequest, HeartbeatResponse>,
    registered: RegisterResponse,
    news: News,
    signal: AbortSignal,
  ): Promise<void> {
    let sentReportAtMs = 0;
    for (;;) {
      const nowMs = this.#env.monotonicMs();
      if (nowMs - this.#answeredMs > SERVER_SILENCE_MS)
        throw new GfsError('UNAVAILABLE', 'the master is silent');
      const space = await this.#options.store.space();
      const heartbeat = this.#heartbeat(registered.server, space, sentReportAtMs);
      if (heartbeat.report !== undefined) sentReportAtMs = heartbeat.report.collectedAtMs;
      news.sentMs.set(heartbeat.sequence, nowMs);
      await stream.send(heartbeat);
      await this.#env.sleep(registered.heartbeatIntervalMs, { signal });
    }
  }

  #heartbeat(server: number, space: StoreSpace, sentReportAtMs: number): HeartbeatRequest {
    const { introduction, chunks, activity, store, systemReporter } = this.#options;
    const latest = systemReporter?.latest();
    this.#sequence += 1;
    return {
      server,
      incarnation: introduction.incarnation,
      sequence: this.#sequence,
      leases: chunks.takeLeases(),
      space,
      activeOperations: activity.active,
      load: latest?.loadAverage ?? 0,
      operations: activity.counters.take(),
      corruptBlockCount: store.corruptBlockCount,
      report:
        latest !== undefined && latest.collectedAtMs > sentReportAtMs
          ? { ...latest, chunkCount: store.chunkCount }
          : undefined,
    };
  }

  async #receive(stream: ClientStream<HeartbeatRequest, HeartbeatResponse>, news: News): Promise<void> {
    for await (const { message } of stream.answers) {
      this.#answeredMs = this.#env.monotonicMs();
      // A lease counts from when its extension was asked for: so it ends here before it ends there (§3.1).
      const sentMs = news.sentMs.get(message.sequence) ?? this.#answeredMs - LEASE_DURATION_MS;
      for (const sequence of news.sentMs.keys())
        if (sequence <= message.sequence) news.sentMs.delete(sequence);
      for (const { chunk, version, durationMs } of message.extensions) {
        this.#options.chunks.extendLease(chunk, version, sentMs + durationMs);
      }
      news.fullReportWanted ||= message.sendFullReport;
    }
    throw new GfsError('UNAVAILABLE', 'the master ended the heartbeats');
  }

  /** Increments at the pace of heartbeats; everything when it is due or wanted. */
  async #report(
    connection: Connection,
    registered: RegisterResponse,
    news: News,
    signal: AbortSignal,
  ): Promise<void> {
    const { reporter, reportIntervalMs } = this.#options;
    for (;;) {
      if (news.fullReportWanted || this.#env.monotonicMs() - this.#reportedAtMs > reportIntervalMs) {
        news.fullReportWanted = false;
        this.#reportedAtMs = this.#env.monotonicMs();
        await reporter.full(connection, registered.server, signal);
      } else {
        await reporter.increment(connection, registered.server, signal);
      }
      await this.#env.sleep(registered.heartbeatIntervalMs, { signal });
    }
  }
}

interface News {
  fullReportWanted: boolean;
  /** When heartbeats that are not answered yet were sent, by sequence. */
  readonly sentMs: Map<number, number>;
}

function refusedBy(address: string, error: unknown): GfsError {
  // What answers is one of ours, but no master.
  const code = codeOf(error) === 'UNIMPLEMENTED' ? 'WRONG_SERVICE' : codeOf(error);
  return new GfsError(code, `master ${address}: ${messageOf(error)}`, { cause: error });
}
