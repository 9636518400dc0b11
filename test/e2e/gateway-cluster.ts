// Real daemons without a mount, and a gateway that programs ask.
import { join } from 'node:path';
import type { ServiceClientConstructor, ServiceError } from '@grpc/grpc-js';
import {
  type Client,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { NODE_FLAGS } from '../../src/base/node-flags.ts';
import { GFS, ROOT } from './cluster.ts';
import { Daemon } from './daemon.ts';
import { DaemonCluster } from './daemon-cluster.ts';

export const PROTOS = join(ROOT, 'proto');

export class GatewayCluster {
  readonly directory: string;
  readonly master: string;
  readonly address: string;
  readonly gateway: Daemon;
  readonly #cluster: DaemonCluster;

  static async start(...keys: string[]): Promise<GatewayCluster> {
    const cluster = await DaemonCluster.create({ chunkservers: 3, mounts: 0 });
    try {
      await cluster.start();
      const { address: master } = (await cluster.master.ready()) as { address: string };
      const argv = [...NODE_FLAGS, GFS, 'gateway', '--master', master, '--listen', '127.0.0.1:0', ...keys];
      const gateway = new Daemon('gateway', [process.execPath, ...argv], join(cluster.directory, 'log'));
      gateway.start();
      try {
        const { address } = (await gateway.ready()) as { address: string };
        return new GatewayCluster(cluster, gateway, { master, address });
      } catch (error) {
        await gateway.kill();
        throw error;
      }
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  private constructor(
    cluster: DaemonCluster,
    gateway: Daemon,
    { master, address }: { master: string; address: string },
  ) {
    this.#cluster = cluster;
    this.gateway = gateway;
    this.directory = cluster.directory;
    this.master = master;
    this.address = address;
  }

  async close(): Promise<void> {
    await this.gateway.stop();
    await this.#cluster.close();
  }
}

/** Of a file, as a program of another language has it: fields in camel case, numbers as numbers. */
export type Answer = Record<string, unknown>;
export type Attributes = {
  readonly length: number;
  readonly uid: number;
  readonly gid: number;
  readonly inode: number;
};

/** A program that has the .proto files, and nothing else of ours. */
export class Stranger {
  readonly client: Client;
  readonly #metadata: Metadata;
  // The methods are made when the files are read, so that no type can know them.
  readonly #methods: Record<
    string,
    (...args: unknown[]) => ClientReadableStream<Answer> & NodeJS.WritableStream
  >;

  constructor(address: string, metadata: Record<string, string> = {}) {
    const contract = loadPackageDefinition(
      loadSync('gfs/v1/files.proto', { includeDirs: [PROTOS], longs: Number, enums: String, defaults: true }),
    ) as unknown as { gfs: { v1: { Files: ServiceClientConstructor } } };
    const client = new contract.gfs.v1.Files(address, credentials.createInsecure());
    this.client = client;
    this.#methods = client as never;
    this.#metadata = new Metadata();
    for (const [key, value] of Object.entries(metadata)) this.#metadata.set(key, value);
  }

  /** A call with one answer; `deadline` is on the wall clock. */
  call(method: string, request: object, options: { deadline?: number } = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#methods[method]?.(request, this.#metadata, options, answered(resolve, reject));
    });
  }

  async answers(method: string, request: object, options: { deadline?: number } = {}): Promise<Answer[]> {
    const all: Answer[] = [];
    const stream = this.#methods[method]?.(request, this.#metadata, options);
    for await (const answer of stream ?? []) all.push(answer as unknown as Answer);
    return all;
  }

  write(start: object, pieces: readonly Buffer[] = [], options: { deadline?: number } = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const stream = this.#methods.Write?.(this.#metadata, options, answered(resolve, reject));
      stream?.write({ start } as never);
      for (const payload of pieces) stream?.write({ payload } as never);
      stream?.write({ last: true } as never);
      stream?.end();
    });
  }

  /** A Write that is begun; nobody hears how it ends. */
  openWrite(start: object): NodeJS.WritableStream & { cancel(): void } {
    const ignored = () => undefined;
    const stream = this.#methods.Write?.(this.#metadata, {}, ignored);
    stream?.write({ start } as never);
    return stream as NodeJS.WritableStream & { cancel(): void };
  }

  /** An AppendStream that is told all at once: its acks, and what it failed with in the end. */
  async append(
    start: object,
    records: readonly object[],
    options: { deadline?: number } = {},
  ): Promise<{ acks: Answer[]; error: unknown }> {
    const stream = this.#methods.AppendStream?.(this.#metadata, options);
    for (const message of [{ start }, ...records]) stream?.write(message as never);
    const acks: Answer[] = [];
    try {
      stream?.end();
      for await (const ack of stream ?? []) acks.push(ack as unknown as Answer);
      return { acks, error: undefined };
    } catch (error) {
      return { acks, error };
    }
  }

  async read(path: string): Promise<Buffer> {
    const pieces = await this.answers('Read', { path: Buffer.from(path) });
    return Buffer.concat(pieces.map(({ payload }) => payload as Buffer));
  }

  async names(path: string): Promise<readonly string[]> {
    const pages = await this.answers('List', { path: Buffer.from(path) });
    return pages.flatMap(({ entries }) =>
      (entries as { path: Buffer }[]).map((entry) => entry.path.toString()),
    );
  }
}

function answered(resolve: (answer: Answer) => void, reject: (error: ServiceError) => void) {
  return (error: ServiceError | null, answer: Answer) => (error === null ? resolve(answer) : reject(error));
}
