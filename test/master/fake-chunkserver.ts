import type { Env } from '../../src/base/env.ts';
import { GfsError } from '../../src/base/errors.ts';
import {
  type ChunkState,
  ChunkserverDefinition,
  type HeartbeatRequest,
  type HeartbeatResponse,
  MasterDefinition,
  type StrayCopy,
  type TeachRequest,
  type VersionRecord,
} from '../../src/rpc/messages.ts';
import {
  bindService,
  type ClientStream,
  type Connection,
  type Handlers,
  type Listener,
  type Network,
} from '../../src/rpc/network.ts';

const { methods } = MasterDefinition;

export interface FakeChunkserverOptions {
  readonly network: Network;
  readonly env: Env;
  readonly master: string;
  readonly freeBytes: number;
  /** Of all fakes' one machine. */
  readonly device: number;
}

type Refused = 'setVersion' | 'create' | 'delete' | 'checkVersion' | 'teach' | 'cloneHere';

/** What a master sees of a chunkserver: it records versions, and says what it holds. It keeps no bytes. */
export class FakeChunkserver {
  readonly #options: FakeChunkserverOptions;
  /** What it holds; a test may put in what it likes. */
  readonly replicas = new Map<number, ChunkState>();
  readonly records: VersionRecord[] = [];
  /** Names of the operations for which it was asked about versions, or ordered to record some. */
  readonly raisedFor = new Set<string>();
  onClone: (() => Promise<void>) | undefined;
  readonly cloned: { record: VersionRecord; source: number }[] = [];
  readonly created: { record: VersionRecord; copy: boolean }[] = [];
  readonly deleted: number[] = [];
  /** Methods that are refused now. */
  readonly refuses = new Set<Refused>();
  readonly taught: TeachRequest[] = [];
  readonly strays: StrayCopy[] = [];
  /** What is done before a lesson is answered. */
  onTeach: ((request: TeachRequest) => Promise<void>) | undefined;
  /** What is done before it says what it holds. */
  onCheckVersion: (() => Promise<void>) | undefined;
  readonly answers: HeartbeatResponse[] = [];
  server = 0;
  filesystemId = '';
  incarnation = '';
  /** Sent with each heartbeat. */
  leases: HeartbeatRequest['leases'] = [];
  #listener: Listener | undefined;
  #connection: Connection | undefined;
  #stream: ClientStream<HeartbeatRequest, HeartbeatResponse> | undefined;
  #beating: Promise<unknown> = Promise.resolve();
  #stopped = false;
  #reportId = 0;

  constructor(options: FakeChunkserverOptions) {
    this.#options = options;
  }

  get address(): string {
    return this.#listener?.address ?? '';
  }

  /** Registers as a new process, reports what it holds, and beats. */
  async start(): Promise<void> {
    this.#listener ??= await this.#options.network.listen('127.0.0.1:0', [
      bindService(ChunkserverDefinition, this.#handlers()),
    ]);
    this.incarnation = this.#options.env.uniqueId();
    await this.connect();
  }

  /** A new connection of the same process. */
  async connect(options: { report?: boolean } = {}): Promise<void> {
    this.#stopped = false;
    this.#connection = this.#options.network.connect(this.#options.master);
    const { message } = await this.#connection.call(methods.register, {
      server: this.server,
      filesystemId: this.filesystemId,
      address: this.address,
      rack: '',
      incarnation: this.incarnation,
      bootId: 'boot',
      host: 'fake',
      pid: 1,
      dataDirectory: '/fake',
    });
    this.server = message.server;
    this.filesystemId = message.filesystemId;
    const stream = this.#connection.stream(methods.heartbeat);
    this.#stream = stream;
    const answered = new Promise<void>((resolve) => {
      this.#beating = Promise.allSettled([
        this.#beat(stream, message.heartbeatIntervalMs),
        this.#listen(stream, resolve),
      ]);
    });
    if (options.report !== false) await this.report(true, [...this.replicas.values()]);
    await answered;
  }

  async report(full: boolean, chunks: ChunkState[]): Promise<void> {
    const { server, incarnation } = this;
    this.#reportId += 1;
    const report = { server, incarnation, full, reportId: this.#reportId, last: true, chunks };
    await this.#connection?.call(methods.chunkReport, report);
  }

  holds(chunk: number, change: Partial<ChunkState> = {}): void {
    this.replicas.set(chunk, {
      ...ChunkStateZero,
      chunk,
      version: 1,
      whole: true,
      reconciled: true,
      reconciledVersion: 1,
      ...change,
    });
  }

  /** The process dies: connections break, memory is gone. */
  async kill(): Promise<void> {
    this.#stopped = true;
    await this.#connection?.close();
    await this.#beating;
  }

  /** It says nothing any more, but its connection stands. */
  hang(): void {
    this.#stopped = true;
  }

  async close(): Promise<void> {
    await this.kill();
    await this.#listener?.close();
  }

  async #beat(stream: ClientStream<HeartbeatRequest, HeartbeatResponse>, intervalMs: number): Promise<void> {
    for (let sequence = 1; !this.#stopped && this.#stream === stream; sequence += 1) {
      await stream.send({
        server: this.server,
        incarnation: this.incarnation,
        sequence,
        leases: this.leases,
        space: {
          totalBytes: this.#options.freeBytes * 2,
          freeBytes: this.#options.freeBytes,
          usedBytes: 0,
          reserveBytes: 0,
          chunkCount: this.replicas.size,
          device: this.#options.device,
        },
        activeOperations: 0,
        load: 0,
        operations: [],
        corruptBlockCount: 0,
        report: undefined,
      });
      await this.#options.env.sleep(intervalMs);
    }
  }

  async #listen(stream: ClientStream<HeartbeatRequest, HeartbeatResponse>, first: () => void): Promise<void> {
    for await (const { message } of stream.answers) {
      this.answers.push(message);
      first();
    }
  }

  #handlers(): Handlers<ChunkserverDefinition> {
    const unused = async (): Promise<never> => {
      throw new GfsError('UNIMPLEMENTED', 'no bytes here');
    };
    const mayRefuse = (method: Refused) => {
      if (this.refuses.has(method)) throw new GfsError('UNAVAILABLE', `${method} is refused`);
    };
    return {
      read: unused,
      findData: unused,
      push: unused,
      pushRange: unused,
      mutate: unused,
      chunkLength: unused,
      recall: unused,
      sync: unused,
      apply: unused,
      blockChecksums: unused,
      readBlock: unused,
      reconcile: unused,
      clone: unused,
      cloneHere: async ({ message: { incarnation, record, source } }) => {
        mayRefuse('cloneHere');
        if (incarnation !== this.incarnation) throw new GfsError('WRONG_SERVICE', 'another incarnation');
        const there = this.replicas.get(source);
        if (record === undefined || there === undefined) throw new GfsError('NO_SUCH_CHUNK', `${source}`);
        if (there.version !== record.version) throw new GfsError('VERSION_MISMATCH', `${there.version}`);
        this.cloned.push({ record, source });
        await this.onClone?.();
        const began = { restarted: true, inCharge: false, reconciled: true };
        this.holds(record.chunk, { ...there, chunk: record.chunk, record, ...began });
        return { message: {} };
      },
      learn: unused,
      teach: async ({ message }) => {
        mayRefuse('teach');
        this.taught.push(message);
        await this.onTeach?.(message);
        return { message: {} };
      },
      deleteStrays: async ({ message: { copies } }) => {
        this.strays.push(...copies);
        for (const { chunk, version } of copies) {
          if ((this.replicas.get(chunk)?.version ?? 0) <= version) this.replicas.delete(chunk);
        }
        return { message: {} };
      },
      systemReport: unused,
      create: async ({ message: { record, copy } }) => {
        mayRefuse('create');
        if (record === undefined) throw new GfsError('INVALID_ARGUMENT', 'no record');
        if (this.replicas.has(record.chunk)) throw new GfsError('EXISTS', 'there is one');
        this.created.push({ record, copy });
        this.holds(record.chunk, { version: record.version, record, whole: !copy, reconciled: !copy });
        return { message: {} };
      },
      setVersion: async ({ message: { incarnation, records } }, { requestId }) => {
        this.raisedFor.add(requestId);
        mayRefuse('setVersion');
        if (incarnation !== this.incarnation) throw new GfsError('WRONG_SERVICE', 'another incarnation');
        return { message: { results: records.map((record) => this.#record(record)) } };
      },
      checkVersion: async ({ message: { chunks } }, { requestId }) => {
        this.raisedFor.add(requestId);
        mayRefuse('checkVersion');
        await this.onCheckVersion?.();
        const states = chunks.flatMap((chunk) => this.replicas.get(chunk) ?? []);
        const { server, incarnation } = this;
        return { message: { chunks: states, server, incarnation, full: false } };
      },
      delete: async ({ message: { chunks } }) => {
        mayRefuse('delete');
        for (const chunk of chunks) this.replicas.delete(chunk);
        this.deleted.push(...chunks);
        return { message: {} };
      },
    };
  }

  #record(record: VersionRecord) {
    const { chunk, version } = record;
    const state = this.replicas.get(chunk);
    if (state === undefined) return { chunk, recorded: false, code: 'NO_SUCH_CHUNK', state };
    if (state.version >= version) return { chunk, recorded: false, code: 'VERSION_MISMATCH', state };
    this.records.push(record);
    const inCharge = record.primary === this.server;
    const whole = state.whole || state.learner;
    const began = { reconciled: false, restarted: false, inCharge, learner: false };
    const recorded = { ...state, version, record, whole, ...began };
    this.replicas.set(chunk, recorded);
    return { chunk, recorded: true, code: '', state: recorded };
  }
}

const ChunkStateZero: ChunkState = {
  chunk: 0,
  version: 0,
  length: 0,
  sealed: false,
  reconciled: false,
  whole: false,
  deleted: false,
  lost: false,
  restarted: false,
  inCharge: false,
  record: undefined,
  reconciledVersion: 0,
  orders: 0,
  learner: false,
};
