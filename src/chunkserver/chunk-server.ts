import { AssertionError, must } from '../base/assert.ts';
import { MUTATION_BYTES_MAX } from '../base/constants.ts';
import type { Env, Timer } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { Figure } from '../base/metrics.ts';
import { Semaphore } from '../base/mutex.ts';
import { TaskGroup } from '../base/task-group.ts';
import { SECOND_MS } from '../base/units.ts';
import { PushBuffer } from '../core/push-buffer.ts';
import { NO_RULES } from '../core/rules.ts';
import { ChunkserverDefinition, type RegisterResponse } from '../rpc/messages.ts';
import { bindService, type Listener } from '../rpc/network.ts';
import { ReplicaStore } from '../storage/replica-store.ts';
import type { Accusation } from './accuser.ts';
import { BlockMender } from './block-mender.ts';
import { ChunkReporter } from './chunk-reporter.ts';
import { ChunkTable } from './chunk-table.ts';
import { Activity } from './counted.ts';
import { learnHandlers } from './learn-handlers.ts';
import type { Admission } from './lesson.ts';
import { MasterLink } from './master-link.ts';
import { memberHandlers } from './member-handlers.ts';
import { mutateHandlers } from './mutate-handlers.ts';
import {
  type ChunkServerOptions,
  PUSH_BUFFER_BYTES_DEFAULT,
  REPORT_INTERVAL_MS_DEFAULT,
  RESERVE_BYTES_MIN,
  type RunningChunkServer,
} from './options.ts';
import { Peers } from './peers.ts';
import type { RoleParts } from './primary-role.ts';
import { pushHandlers } from './push-handlers.ts';
import { readHandlers } from './read-handlers.ts';
import { recallHandler } from './recall-handler.ts';
import { serverFigures } from './server-figures.ts';
import type { ServerParts } from './server-parts.ts';
import { versionHandlers } from './version-handlers.ts';

/** How often is looked for what waits too long or is not used any more. */
const TICK_MS = 1 * SECOND_MS;
/** Blocks that reconciles have in flight together: 64 KiB each. */
const RECONCILE_BLOCKS_MAX = 32;

/** A server of chunks: replicas in a data directory, served to clients, to other servers and to the master (§2.1). */
export class ChunkServer implements RunningChunkServer, AsyncDisposable {
  readonly #options: ChunkServerOptions;
  readonly #env: Env;
  readonly #incarnation: string;
  readonly #tasks: TaskGroup;
  readonly #peers: Peers;
  readonly #pushes: PushBuffer;
  readonly #activity: Activity;
  readonly #store: ReplicaStore;
  readonly #chunks: ChunkTable;
  readonly #mender: BlockMender;
  readonly #registration = new Registration();
  #listener: Listener | undefined;
  #link: MasterLink | undefined;
  #roleParts: RoleParts | undefined;
  #tickTimer: Timer | undefined;
  #failed = false;
  #closing: Promise<void> | undefined;

  private constructor(options: ChunkServerOptions, store: ReplicaStore) {
    this.#options = options;
    this.#env = options.env;
    this.#store = store;
    this.#incarnation = options.env.uniqueId();
    this.#tasks = new TaskGroup((error) => this.#fail(error));
    this.#peers = new Peers(options.network);
    this.#pushes = new PushBuffer({ limitBytes: options.pushBufferBytes ?? PUSH_BUFFER_BYTES_DEFAULT });
    this.#activity = new Activity(options.env);
    this.#chunks = new ChunkTable({
      env: options.env,
      store,
      roleParts: () => this.#roleParts,
      withoutRules: options.withoutRules ?? NO_RULES,
    });
    this.#mender = new BlockMender({
      env: options.env,
      peers: this.#peers,
      tasks: this.#tasks,
      self: () => this.serverId,
      onLost: (chunk, blockIndex) => this.#chunks.peek(chunk)?.role?.blockLost(blockIndex),
    });
  }

  /** Opens the data directory and serves; the master is looked for meanwhile, and may come later. */
  static async start(options: ChunkServerOptions): Promise<ChunkServer> {
    // Nothing is served before `server` is there, and a store finds nothing bad before it is read.
    let server: ChunkServer | undefined;
    const store = await ReplicaStore.open({
      env: options.env,
      disk: options.disk,
      directory: options.dataDirectory,
      reserveBytes: Math.max(options.reserveBytes ?? 0, RESERVE_BYTES_MIN),
      withoutRules: options.withoutRules,
      onCorrupt: (found) => {
        if (server !== undefined) server.#foundCorrupt(found);
      },
      onFatal: (error) => (server === undefined ? options.onFatal(error) : server.#fail(error)),
    });
    try {
      server = new ChunkServer(options, store);
      await server.#listen();
    } catch (error) {
      await store.close();
      throw error;
    }
    server.#begin(await options.disk.bootId());
    options.metrics?.add(server.#figures());
    return server;
  }

  get address(): string {
    const listened = must(this.#listener, 'a server that was started listens').address;
    const { advertise } = this.#options;
    return advertise === undefined ? listened : withPort(advertise, listened);
  }

  get serverId(): number | undefined {
    return this.#store.identity?.serverId;
  }

  get isRegistered(): boolean {
    return this.#link?.isRegistered ?? false;
  }

  registered(): Promise<number> {
    return this.#registration.wait();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #listen(): Promise<void> {
    const parts: ServerParts = {
      env: this.#env,
      chunks: this.#chunks,
      pushes: this.#pushes,
      peers: this.#peers,
      mender: this.#mender,
      checkRoom: (lengthBytes) => this.#checkRoom(lengthBytes),
      hasRoomForRecords: () => this.#store.hasRoomForRecords(),
      chunkCount: () => this.#store.chunkCount,
      systemReporter: this.#options.systemReporter,
      incarnation: this.#incarnation,
      self: () => this.serverId,
      mutationBytesMax: () => Math.max(MUTATION_BYTES_MAX, (this.#roleParts?.chunkSizeBytes ?? 0) / 4),
    };
    const handlers = this.#activity.counted({
      ...readHandlers(parts),
      ...recallHandler(parts),
      ...pushHandlers(parts),
      ...mutateHandlers(parts),
      ...memberHandlers(parts),
      ...learnHandlers(parts),
      ...versionHandlers(parts),
    });
    const service = bindService(ChunkserverDefinition, handlers);
    this.#listener = await this.#options.network.listen(this.#options.listen, [service]);
  }

  #figures(): Figure[] {
    return serverFigures({
      store: this.#store,
      activity: this.#activity,
      pushes: this.#pushes,
      mender: this.#mender,
      isRegistered: () => this.isRegistered,
    });
  }

  /** Whoever is refused has to know which of a chunk's servers it was. */
  #checkRoom(lengthBytes: number): Promise<void> | undefined {
    return this.#store.checkRoom(lengthBytes)?.catch((error: unknown) => {
      if (codeOf(error) !== 'NO_SPACE') throw error;
      const fields = { server: String(this.serverId ?? 0) };
      throw new GfsError('NO_SPACE', messageOf(error), { cause: error, fields });
    });
  }

  #begin(bootId: string): void {
    const { env, network, masters, rack, host, pid, systemReporter } = this.#options;
    const link = new MasterLink({
      env,
      network,
      masters,
      store: this.#store,
      chunks: this.#chunks,
      activity: this.#activity,
      reporter: new ChunkReporter({
        env,
        store: this.#store,
        chunks: this.#chunks,
        incarnation: this.#incarnation,
      }),
      reportIntervalMs: this.#options.reportIntervalMs ?? REPORT_INTERVAL_MS_DEFAULT,
      systemReporter,
      onRegistered: (response) => this.#onRegistered(response),
      introduction: {
        address: this.address,
        rack: rack ?? '',
        incarnation: this.#incarnation,
        bootId,
        host: host ?? '',
        pid: pid ?? 0,
        dataDirectory: this.#options.dataDirectory,
      },
    });
    this.#link = link;
    this.#tasks.run(() => link.run());
    this.#scheduleTick();
  }

  #onRegistered({ server, chunkSizeBytes }: RegisterResponse): void {
    this.#roleParts = {
      env: this.#env,
      peers: this.#peers,
      tasks: this.#tasks,
      blocksInFlight: this.#roleParts?.blocksInFlight ?? new Semaphore(RECONCILE_BLOCKS_MAX),
      chunkSizeBytes,
      self: server,
      evict: (accusation, signal) => this.#evict(server, accusation, signal),
      admit: (admission) => this.#admit(server, admission),
      mend: (replica, blockIndex) => this.#mender.mend(replica, blockIndex),
      onReconciled: (chunk) => this.#chunks.reconciled(chunk),
      withoutRules: this.#options.withoutRules ?? NO_RULES,
    };
    this.#registration.done(server);
  }

  #scheduleTick(): void {
    this.#tickTimer = this.#env.setTimer(TICK_MS, () => {
      if (this.#closing !== undefined) return;
      this.#pushes.expire(this.#env.monotonicMs());
      this.#chunks.tick({ masterAnswers: this.#link?.masterAnswers ?? false });
      this.#scheduleTick();
    });
  }

  async #evict(server: number, accusation: Accusation, signal: AbortSignal): Promise<number> {
    if (this.#link === undefined) throw new GfsError('UNAVAILABLE', 'there is no master');
    return await this.#link.evict({ server, incarnation: this.#incarnation, ...accusation }, signal);
  }

  async #admit(server: number, admission: Admission): Promise<number> {
    if (this.#link === undefined) throw new GfsError('UNAVAILABLE', 'there is no master');
    return await this.#link.admit({ server, incarnation: this.#incarnation, ...admission });
  }

  #foundCorrupt({ chunk, blockIndex }: { chunk: number; blockIndex: number }): void {
    const held = this.#chunks.peek(chunk);
    if (held !== undefined) this.#mender.found(held.replica, blockIndex);
    const version = held?.version ?? 0;
    this.#tasks.run(async () => {
      try {
        await this.#link?.reportBadReplica(chunk, version);
      } catch (error) {
        this.#env.log
          .of('repair')
          .warn({ chunk: hex(chunk), code: codeOf(error) }, 'a bad replica could not be reported');
      }
    });
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    const isBug = error instanceof AssertionError || codeOf(error) === 'INTERNAL';
    this.#env.log
      .of('daemon')
      .error({ code: codeOf(error), error: isBug ? error : messageOf(error) }, 'the server cannot go on');
    this.#registration.failed(error);
    this.#options.onFatal(error);
  }

  async #close(): Promise<void> {
    this.#tickTimer?.cancel();
    this.#registration.failed(new GfsError('UNAVAILABLE', 'the server was closed'));
    this.#link?.close();
    // Handlers in flight finish while members can still be reached; then nobody waits for anything any more.
    await this.#listener?.close();
    this.#chunks.close();
    this.#mender.close();
    await this.#peers.close();
    await this.#tasks.drain();
    await this.#options.systemReporter?.close();
    await this.#store.close();
  }
}

/** The first registration, for those who wait for it. */
class Registration {
  #state: { kind: 'waiting' } | { kind: 'done'; server: number } | { kind: 'failed'; error: unknown } = {
    kind: 'waiting',
  };
  #waiting: { resolve: (server: number) => void; reject: (error: unknown) => void }[] = [];

  wait(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#state.kind === 'done') resolve(this.#state.server);
      else if (this.#state.kind === 'failed') reject(this.#state.error);
      else this.#waiting.push({ resolve, reject });
    });
  }

  done(server: number): void {
    if (this.#state.kind !== 'waiting') return;
    this.#state = { kind: 'done', server };
    for (const { resolve } of this.#waiting.splice(0)) resolve(server);
  }

  failed(error: unknown): void {
    if (this.#state.kind !== 'waiting') return;
    this.#state = { kind: 'failed', error };
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

/** "host:port" where port 0 means the one that was got. */
function withPort(advertise: string, listened: string): string {
  if (!advertise.endsWith(':0')) return advertise;
  return `${advertise.slice(0, -2)}${listened.slice(listened.lastIndexOf(':'))}`;
}
