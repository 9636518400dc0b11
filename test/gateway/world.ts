// Gateways on a simulated network before a real master and real chunkservers, one for each person who asks.
import { must } from '../../src/base/assert.ts';
import { type Bytes, NO_PAYLOAD } from '../../src/base/bytes.ts';
import { codeOf, GfsError } from '../../src/base/errors.ts';
import type { Identity } from '../../src/client/api.ts';
import { Gateway } from '../../src/gateway/gateway.ts';
import {
  type FilesAppendRequest,
  type FilesAppendResponse,
  type FilesAppendStart,
  FilesDefinition,
  type FilesEntry,
  type FilesListRequest,
  type FilesListResponse,
  type FilesMkdirRequest,
  type FilesReadRequest,
  type FilesRemoveRequest,
  type FilesRenameRequest,
  type FilesStatRequest,
  FilesWriteKind,
  type FilesWriteRequest,
  type FilesWriteResponse,
  type FilesWriteStart,
} from '../../src/rpc/messages.ts';
import type { CallOptions, ClientStream, Connection, Method } from '../../src/rpc/network.ts';
import { inRealCluster, type RealCluster, type RealClusterOptions } from '../client/real-cluster.ts';
import { SimEnv } from '../sim/sim-env.ts';

const methods = FilesDefinition.methods;
export const ROOT: Identity = { uid: 0, gid: 0, groups: [] };
export const ALICE: Identity = { uid: 1000, gid: 1000, groups: [] };
export const BOB: Identity = { uid: 1001, gid: 1001, groups: [] };

/** What a request leaves out is as protobuf has it. */
type Some<T> = Partial<Omit<T, 'path'>>;
type Path = string | Uint8Array;
type Options = Pick<CallOptions, 'signal' | 'deadlineMs'>;

export interface FilesWorld {
  readonly cluster: RealCluster;
  /** A gateway all of whose callers are this person, and a program that asks it. */
  as(person: Identity): Promise<Program>;
  /** As kill -9 does. */
  killProgram(program: Program): void;
  /** The one that it asks. */
  killGateway(of: Program): void;
}

export function inFilesWorld(
  body: (world: FilesWorld) => Promise<void>,
  options: RealClusterOptions = {},
): Promise<void> {
  return inRealCluster(
    1,
    async (cluster) => {
      const gateways = new Map<string, { gateway: Gateway; env: SimEnv }>();
      const as = async (callers: Identity) => {
        const host = `g${gateways.size + 1}`;
        const env = new SimEnv(cluster.simulation, host);
        const network = cluster.network.processView(env, host);
        const masters = ['m:7400'];
        const listen = `${host}:7401`;
        const gateway = await Gateway.start({ env, network, masters, listen, host, callers });
        gateways.set(host, { gateway, env });
        const programEnv = new SimEnv(cluster.simulation, `p${gateways.size}`);
        const view = cluster.network.processView(programEnv, `p${gateways.size}`);
        return new Program(view.connect(gateway.address), programEnv, host);
      };
      const kill = (env: SimEnv) => {
        env.kill();
        cluster.network.processDied(env);
      };
      const killGateway = ({ gateway }: Program) => {
        const { env } = must(gateways.get(gateway), 'it runs');
        gateways.delete(gateway);
        kill(env);
      };
      await body({ cluster, as, killProgram: ({ env }) => kill(env), killGateway });
      for (const { gateway } of gateways.values()) await gateway.close();
    },
    options,
  );
}

/** A program that uses the API. */
export class Program {
  readonly connection: Connection;
  readonly env: SimEnv;
  /** The gateway's machine. */
  readonly gateway: string;

  constructor(connection: Connection, env: SimEnv, gateway: string) {
    this.connection = connection;
    this.env = env;
    this.gateway = gateway;
  }

  async stat(path: Path, more: Some<FilesStatRequest> = {}, options?: Options) {
    const request = { path: Buffer.from(path), noFollow: false, ...more };
    return (await this.connection.call(methods.stat, request, options)).message;
  }

  async mkdir(path: Path, more: Some<FilesMkdirRequest> = {}, options?: Options) {
    const request = { path: Buffer.from(path), mode: undefined, parents: false, ...more };
    return (await this.connection.call(methods.mkdir, request, options)).message;
  }

  async remove(path: Path, more: Some<FilesRemoveRequest> = {}, options?: Options): Promise<number> {
    const request = { path: Buffer.from(path), recursive: false, ...more };
    return (await this.connection.call(methods.remove, request, options)).message.count;
  }

  async rename(path: Path, newPath: Path, more: Some<FilesRenameRequest> = {}): Promise<void> {
    const paths = { path: Buffer.from(path), newPath: Buffer.from(newPath) };
    await this.connection.call(methods.rename, { noReplace: false, exchange: false, ...more, ...paths });
  }

  async list(path: Path, more: Some<FilesListRequest> = {}, options?: Options) {
    const entries: FilesEntry[] = [];
    const failures: FilesListResponse['failures'] = [];
    const plain = { noFollow: false, recursive: false, withAttributes: false };
    const request = { path: Buffer.from(path), ...plain, ...more };
    for await (const { message } of await this.#answers(methods.list, request, options)) {
      entries.push(...message.entries);
      failures.push(...message.failures);
    }
    return { entries, failures, names: entries.map((entry) => entry.path.toString()) };
  }

  async read(path: Path, more: Some<FilesReadRequest> = {}, options?: Options): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    const request = { path: Buffer.from(path), noFollow: false, offset: 0, length: undefined, ...more };
    for await (const { payload } of await this.#answers(methods.read, request, options))
      pieces.push(...payload);
    return Buffer.concat(pieces);
  }

  async write(path: Path, bytes: Bytes, more: Some<FilesWriteStart> = {}, options?: Options) {
    const writing = this.openWrite(path, more, options);
    for (const piece of bytes) await writing.send(piece);
    return await writing.finish();
  }

  /** A Write whose stream stays open until it is finished. */
  openWrite(path: Path, more: Some<FilesWriteStart> = {}, options?: Options): Writing {
    return new Writing(this.connection.stream(methods.write, options), startOf(path, more));
  }

  /** As the client "a", if nothing else is said. Resolves to where the record lies. */
  async append(
    path: Path,
    sequence: number,
    bytes: Uint8Array,
    more: Some<FilesAppendStart> = {},
    options: Options = {},
  ): Promise<number> {
    const request = { start: appendStartOf(path, more), sequence, payload: NO_PAYLOAD };
    const { message } = await this.connection.call(methods.append, request, { ...options, payload: [bytes] });
    return message.offset;
  }

  openAppend(path: Path, more: Some<FilesAppendStart> = {}, options?: Options): Appending {
    return new Appending(this.connection.stream(methods.appendStream, options), appendStartOf(path, more));
  }

  async #answers<Req, Res>(method: Method<Req, Res>, request: Req, options: Options | undefined) {
    const stream = this.connection.stream(method, options);
    await stream.send(request);
    stream.end();
    return stream.answers;
  }
}

function startOf(path: Path, more: Some<FilesWriteStart>): FilesWriteStart {
  return {
    path: Buffer.from(path),
    noFollow: false,
    kind: FilesWriteKind.FILES_WRITE_KIND_ATOMIC,
    offset: 0,
    exclusive: false,
    mode: undefined,
    length: undefined,
    sync: false,
    ...more,
  };
}

function appendStartOf(path: Path, more: Some<FilesAppendStart>): FilesAppendStart {
  const plain = { noFollow: false, clientId: Buffer.from('a'), create: true, mode: undefined };
  return { ...plain, ...more, path: Buffer.from(path) };
}

/** An AppendStream, and the acks so far: as [sequence, offset]. */
export class Appending {
  readonly stream: ClientStream<FilesAppendRequest, FilesAppendResponse>;
  readonly acks: [number, number][] = [];
  readonly #done: Promise<void>;

  constructor(stream: ClientStream<FilesAppendRequest, FilesAppendResponse>, start?: FilesAppendStart) {
    this.stream = stream;
    this.#done = this.#listen();
    // It is told where it is waited for.
    this.#done.catch(() => undefined);
    if (start !== undefined) void this.send(0, [], start);
  }

  /** What is refused breaks the stream; its end says why. */
  async send(sequence: number, payload: Bytes, start?: FilesAppendStart): Promise<void> {
    await this.stream.send({ start, sequence, payload: NO_PAYLOAD }, payload).catch(() => undefined);
  }

  async finish(): Promise<void> {
    this.stream.end();
    await this.#done;
  }

  async #listen(): Promise<void> {
    for await (const { message } of this.stream.answers) this.acks.push([message.sequence, message.offset]);
  }
}

export class Writing {
  readonly stream: ClientStream<FilesWriteRequest, FilesWriteResponse>;
  readonly #finished: Promise<FilesWriteResponse>;
  readonly #begun: Promise<void>;

  constructor(stream: ClientStream<FilesWriteRequest, FilesWriteResponse>, start?: FilesWriteStart) {
    this.stream = stream;
    this.#finished = stream.finished().then(({ message }) => message);
    // It is told where it is waited for.
    this.#finished.catch(() => undefined);
    this.#begun =
      start === undefined ? Promise.resolve() : this.#send({ start, last: false, payload: NO_PAYLOAD }, []);
  }

  async send(piece: Uint8Array): Promise<void> {
    await this.#begun;
    await this.#send({ start: undefined, last: false, payload: NO_PAYLOAD }, [piece]);
  }

  /** Once more. */
  async start(path: Path): Promise<void> {
    await this.#send({ start: startOf(path, {}), last: false, payload: NO_PAYLOAD }, []);
  }

  async finish({ last = true } = {}): Promise<FilesWriteResponse> {
    await this.#begun;
    if (last) await this.#send({ start: undefined, last, payload: NO_PAYLOAD }, []);
    this.stream.end();
    return await this.#finished;
  }

  /** What is refused breaks the stream; the answer says why. */
  async #send(message: FilesWriteRequest, payload: Bytes): Promise<void> {
    await this.stream.send(message, payload).catch(() => undefined);
  }
}

/** The error's code, or "none". */
export async function codeFrom(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return codeOf(error);
  }
}

/** The error itself. */
export async function errorFrom(promise: Promise<unknown>): Promise<GfsError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof GfsError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}
