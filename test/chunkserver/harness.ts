// Chunkservers over loopback and real files, with a master that only deals ids and listens.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Bytes, joined } from '../../src/base/bytes.ts';
import { checksumsOf, crc32 } from '../../src/base/crc.ts';
import { GfsError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import { ChunkServer } from '../../src/chunkserver/chunk-server.ts';
import type { ChunkServerOptions } from '../../src/chunkserver/options.ts';
import {
  type AdmitRequest,
  type BlockChecksumsResponse,
  type ChunkReportRequest,
  type ChunkState,
  ChunkserverDefinition,
  type EvictRequest,
  type HeartbeatRequest,
  MasterDefinition,
  type MutateResponse,
  MutationKind,
  type Order,
  type RegisterRequest,
  type Replica,
  type ReportBadReplicaRequest,
  type VersionRecord,
} from '../../src/rpc/messages.ts';
import {
  bindService,
  type Connection,
  type Handlers,
  type Listener,
  type Network,
} from '../../src/rpc/network.ts';
import { NodeNetwork } from '../../src/rpc/node-network.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';

export const CHUNK_SIZE_BYTES = 1 * MiB;
export const PIECE_BYTES = 256 * KiB;
const EMPTY = Buffer.alloc(0);

export const env = new NodeEnv(silentLogger);

/** Deals ids, and keeps what it is told. */
export class FakeMaster {
  readonly registrations: RegisterRequest[] = [];
  readonly heartbeats: HeartbeatRequest[] = [];
  readonly reports: ChunkReportRequest[] = [];
  readonly badReplicas: ReportBadReplicaRequest[] = [];
  chunkSizeBytes = CHUNK_SIZE_BYTES;
  readonly evictions: EvictRequest[] = [];
  /** Carries an eviction out before it is answered. */
  onEvict: ((request: EvictRequest) => Promise<void>) | undefined;
  readonly admissions: AdmitRequest[] = [];
  /** Carries an admission out before it is answered. */
  onAdmit: ((request: AdmitRequest) => Promise<void>) | undefined;
  /** Thrown at the next registrations. */
  refusal: GfsError | undefined;
  #listener: Listener | undefined;
  #serverCount = 0;

  static async start(network: Network, listen = '127.0.0.1:0'): Promise<FakeMaster> {
    const master = new FakeMaster();
    master.#listener = await network.listen(listen, [bindService(MasterDefinition, master.#handlers())]);
    return master;
  }

  get address(): string {
    return this.#listener?.address ?? '';
  }

  async close(): Promise<void> {
    await this.#listener?.close();
  }

  #handlers(): Handlers<typeof MasterDefinition> {
    const handlers: Record<string, unknown> = {};
    for (const name of Object.keys(MasterDefinition.methods)) {
      handlers[name] = async () => {
        throw new GfsError('UNIMPLEMENTED', `${name}: not here`);
      };
    }
    const own: Partial<Handlers<typeof MasterDefinition>> = {
      register: async ({ message }) => {
        this.registrations.push(message);
        if (this.refusal !== undefined) throw this.refusal;
        if (message.server === 0) this.#serverCount += 1;
        const server = message.server === 0 ? this.#serverCount : message.server;
        return {
          message: {
            server,
            filesystemId: 'fs',
            chunkSizeBytes: this.chunkSizeBytes,
            heartbeatIntervalMs: 50,
          },
        };
      },
      heartbeat: async (stream) => {
        for await (const { message } of stream.requests) {
          this.heartbeats.push(message);
          await stream.send({ sequence: message.sequence, extensions: [], sendFullReport: false });
        }
      },
      chunkReport: async ({ message }) => {
        this.reports.push(message);
        return { message: {} };
      },
      evict: async ({ message }) => {
        this.evictions.push(message);
        if (this.onEvict === undefined) throw new GfsError('TOO_FEW_REPLICAS', 'nobody is evicted');
        await this.onEvict(message);
        return { message: { version: message.version + 1 } };
      },
      admit: async ({ message }) => {
        this.admissions.push(message);
        if (this.onAdmit === undefined) throw new GfsError('NOT_READY', 'nobody is admitted');
        await this.onAdmit(message);
        return { message: { version: message.version + 1 } };
      },
      reportBadReplica: async ({ message }) => {
        this.badReplicas.push(message);
        return { message: {} };
      },
    };
    return { ...handlers, ...own } as unknown as Handlers<typeof MasterDefinition>;
  }
}

export interface TestServer {
  server: ChunkServer;
  readonly directory: string;
  connection: Connection;
  readonly fatal: unknown[];
}

/** An order as a primary gives it, to a member alone: by default a seal of a chunk of ten bytes. */
export function orderTo(chunk: number, version: number, order: Partial<Order> & { readonly serial: number }) {
  return {
    ...{ chunk, version, first: undefined, committedSerial: 0, payload: EMPTY },
    orders: [
      {
        kind: MutationKind.MUTATION_KIND_SEAL,
        ...{ writer: 0, number: 0, chunkOffset: 10, length: 0, recordChecksum: 0 },
        ...{ pushId: undefined, checksums: [], recordLengths: [], ...order },
      },
    ],
  };
}

/** Where a cluster lives: this machine, or a simulated world. */
export interface World {
  readonly root: string;
  /** "host:0" that process `name` listens on. */
  listenAt(name: string): string;
  process(name: string): Pick<ChunkServerOptions, 'env' | 'disk' | 'network'>;
  close(): Promise<void>;
}

async function nodeWorld(): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), 'gfs-chunkserver-'));
  return {
    root,
    listenAt: () => '127.0.0.1:0',
    process: () => ({ env, disk: new NodeDisk(), network: new NodeNetwork({ env }) }),
    close: () => rm(root, { recursive: true, force: true }),
  };
}

/** A master, some chunkservers, and what a client and a master would ask of them. */
export class Cluster implements AsyncDisposable {
  readonly world: World;
  readonly network: Network;
  readonly servers: TestServer[] = [];
  master: FakeMaster;
  #number = 0;
  readonly #firstRecords = new Map<number, VersionRecord>();

  private constructor(world: World, master: FakeMaster) {
    this.world = world;
    this.network = world.process('client').network;
    this.master = master;
  }

  static async start(
    count: number,
    options: Partial<ChunkServerOptions> = {},
    world?: World,
    chunkSizeBytes = CHUNK_SIZE_BYTES,
  ): Promise<Cluster> {
    const home = world ?? (await nodeWorld());
    const master = await FakeMaster.start(home.process('master').network, home.listenAt('master'));
    master.chunkSizeBytes = chunkSizeBytes;
    const cluster = new Cluster(home, master);
    for (let index = 0; index < count; index += 1) await cluster.add(options);
    return cluster;
  }

  get root(): string {
    return this.world.root;
  }

  async add(options: Partial<ChunkServerOptions> = {}): Promise<TestServer> {
    const directory = join(this.root, `server-${this.servers.length}`);
    const one = await this.#open(directory, options);
    this.servers.push(one);
    return one;
  }

  /** As a new process on the same directory. */
  async restart(index: number): Promise<void> {
    const one = this.at(index);
    await one.server.close();
    await one.connection.close();
    await this.reopen(index);
  }

  /** A new process on the directory of one that has ended by itself. */
  async reopen(index: number): Promise<void> {
    const one = this.at(index);
    Object.assign(one, await this.#open(one.directory, {}));
  }

  at(index: number): TestServer {
    const one = this.servers[index];
    if (one === undefined) throw new Error(`no server ${index}`);
    return one;
  }

  record(
    chunk: number,
    version = 1,
    primary = 0,
    members = this.servers.map((_, index) => index),
  ): VersionRecord {
    return {
      chunk,
      version,
      members: members.map((index) => this.replica(index)),
      primary: this.at(primary).server.serverId ?? 0,
      cutVersion: undefined,
      cutLength: undefined,
      loss: 0,
      frozen: false,
    };
  }

  replica(index: number): Replica {
    const { server } = this.at(index);
    return {
      server: server.serverId ?? 0,
      address: server.address,
      rack: '',
      incarnation: this.incarnation(index),
    };
  }

  /** A write with its data in the request. */
  async write(chunk: number, chunkOffset: number, data: Uint8Array, options: WriteOptions = {}) {
    return await this.mutate(chunk, data, {
      ...options,
      chunkOffset,
      kind: MutationKind.MUTATION_KIND_WRITE,
    });
  }

  /** A range of zeros, of which no byte is sent. */
  async zero(chunk: number, chunkOffset: number, length: number, options: WriteOptions = {}) {
    const kind = MutationKind.MUTATION_KIND_ZERO;
    return await this.mutate(chunk, EMPTY, { ...options, chunkOffset, kind, length, checksums: [] });
  }

  async append(chunk: number, data: Uint8Array, options: WriteOptions = {}) {
    return await this.mutate(chunk, data, {
      ...options,
      chunkOffset: 0,
      kind: MutationKind.MUTATION_KIND_APPEND,
    });
  }

  /** As the master gave it out when it placed the chunk, whatever became of the servers since. */
  #firstRecord(chunk: number, primary: number): VersionRecord {
    const record = this.#firstRecords.get(chunk) ?? this.record(chunk, 1, primary);
    this.#firstRecords.set(chunk, record);
    return record;
  }

  async mutate(
    chunk: number,
    data: Uint8Array,
    options: WriteOptions & { chunkOffset: number; kind: MutationKind; length?: number },
  ): Promise<MutateResponse> {
    const { version = 1, primary = 0, kind, chunkOffset } = options;
    this.#number += 1;
    const isAppend = kind === MutationKind.MUTATION_KIND_APPEND;
    const request = {
      chunk,
      version,
      writer: options.writer ?? 1,
      number: options.number ?? this.#number,
      kind,
      chunkOffset,
      pushId: options.pushId,
      length: options.length ?? data.length,
      checksums: options.checksums ?? (isAppend ? [crc32(data)] : checksumsOf([data], chunkOffset)),
      first: version === 1 ? this.#firstRecord(chunk, primary) : undefined,
      recordLengths: [...(options.recordLengths ?? [])],
      payload: EMPTY,
    };
    const payload = options.pushId === undefined ? [data] : [];
    const { connection } = this.at(primary);
    return (await connection.call(ChunkserverDefinition.methods.mutate, request, { payload })).message;
  }

  /** Pushes along the chain of servers given, in pieces; returns the id. */
  async push(
    chunk: number,
    chunkOffset: number,
    data: Uint8Array,
    options: { chain?: number[]; version?: number; pieceBytes?: number; damage?: boolean } = {},
  ): Promise<{ writer: number; number: number }> {
    const { chain = this.servers.map((_, index) => index), pieceBytes = PIECE_BYTES, version = 1 } = options;
    this.#number += 1;
    const pushId = { writer: 1, number: this.#number };
    const [first = 0, ...rest] = chain;
    const stream = this.at(first).connection.stream(ChunkserverDefinition.methods.push);
    const header = {
      pushId,
      chunk,
      version,
      chunkOffset,
      length: data.length,
      chain: rest.map((index) => this.replica(index)),
    };
    const finished = stream.finished();
    finished.catch(() => undefined);
    for (let offset = 0; offset < data.length; offset += pieceBytes) {
      const piece = data.subarray(offset, offset + pieceBytes);
      const checksums = checksumsOf([piece], chunkOffset + offset);
      if (options.damage && offset > 0) checksums[0] = (checksums[0] ?? 0) ^ 1;
      const sent = { header: offset === 0 ? header : undefined, checksums, payload: EMPTY };
      await stream.send(sent, [piece]).catch(() => undefined);
    }
    stream.end();
    await finished;
    return pushId;
  }

  async read(
    index: number,
    chunk: number,
    chunkOffset: number,
    length: number,
    version = 1,
  ): Promise<Buffer> {
    const request = { chunk, version, chunkOffset, length };
    const { message, payload } = await this.at(index).connection.call(
      ChunkserverDefinition.methods.read,
      request,
    );
    const found = checksumsOf(payload, chunkOffset);
    if (found.join() !== message.checksums.join()) throw new Error('checksums of a read are wrong');
    return Buffer.from(joined(payload as Bytes));
  }

  /** As the master does: version `version` with all servers as members. */
  async raise(chunk: number, version: number, primary = 0, indexes = this.servers.map((_, index) => index)) {
    const record = this.record(chunk, version, primary);
    const answers = await Promise.all(
      indexes.map(async (index) => {
        const request = { incarnation: this.incarnation(index), records: [record] };
        return (await this.at(index).connection.call(ChunkserverDefinition.methods.setVersion, request))
          .message;
      }),
    );
    return answers.map(({ results }) => results[0]);
  }

  /** As the master does for those that are left. */
  async raiseWithout(chunk: number, version: number, without: readonly number[], primary = 0) {
    const left = this.servers.map((_, index) => index).filter((index) => !without.includes(index));
    await this.raiseTo(chunk, version, left, primary);
  }

  /** As the master does for these members, each of which has to record it. */
  async raiseTo(chunk: number, version: number, members: readonly number[], primary: number) {
    const record = this.record(chunk, version, primary, [...members]);
    await Promise.all(
      members.map(async (index) => {
        const request = { incarnation: this.incarnation(index), records: [record] };
        await this.at(index).connection.call(ChunkserverDefinition.methods.setVersion, request);
      }),
    );
  }

  /** As the master does for a copy that is to be repaired; resolves when the learner is admitted. */
  async teach(
    chunk: number,
    version: number,
    { primary = 0, learner }: { primary?: number; learner: number },
  ) {
    const request = { chunk, version, learner: this.replica(learner) };
    await this.at(primary).connection.call(ChunkserverDefinition.methods.teach, request);
  }

  async stateOf(index: number, chunk: number): Promise<ChunkState | undefined> {
    const { checkVersion } = ChunkserverDefinition.methods;
    return (await this.at(index).connection.call(checkVersion, { chunks: [chunk] })).message.chunks[0];
  }

  async sumsOf(index: number, chunk: number, version: number): Promise<BlockChecksumsResponse> {
    const { blockChecksums } = ChunkserverDefinition.methods;
    return (await this.at(index).connection.call(blockChecksums, { chunk, version })).message;
  }

  incarnation(index: number): string {
    const { address } = this.at(index).server;
    const registration = this.master.registrations.filter((one) => one.address === address).at(-1);
    return registration?.incarnation ?? '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { server, connection } of this.servers) {
      await connection.close();
      await server.close();
    }
    await this.master.close();
    await this.world.close();
  }

  async #open(directory: string, options: Partial<ChunkServerOptions>): Promise<TestServer> {
    const fatal: unknown[] = [];
    const name = basename(directory);
    const server = await ChunkServer.start({
      ...this.world.process(name),
      dataDirectory: directory,
      masters: [this.master.address],
      listen: this.world.listenAt(name),
      onFatal: (error) => fatal.push(error),
      ...options,
    });
    await server.registered();
    return { server, directory, fatal, connection: this.network.connect(server.address) };
  }
}

export interface WriteOptions {
  version?: number;
  primary?: number;
  writer?: number;
  number?: number;
  checksums?: number[];
  /** Of a batch of numbered records. */
  recordLengths?: readonly number[];
  pushId?: { writer: number; number: number };
}

/** Bytes that differ at every offset, and by seed. */
export function sample(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = (seed * 2654435761) >>> 0;
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** Waits, a few seconds at most, until it is so. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = env.monotonicMs() + 10_000;
  while (!(await holds())) {
    if (env.monotonicMs() > endMs) throw new Error(`not so after 10 s: ${what}`);
    await env.sleep(10);
  }
}

/** ava's `deepEqual` takes seconds for a megabyte, and meanwhile every server of the test looks silent. */
export function sameBytes(t: ExecutionContext, found: Buffer, expected: Buffer, message?: string): void {
  const firstDifference = found.equals(expected)
    ? -1
    : found.findIndex((byte, index) => byte !== expected[index]);
  t.is(found.length, expected.length, message);
  t.is(firstDifference, -1, message);
}
