import type { Env } from '../../src/base/env.ts';
import { type Component, type LogFields, type Logger, silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import type {
  Connection,
  Incoming,
  Listener,
  Outgoing,
  ServerContext,
  ServerStream,
  ServiceBinding,
  ServiceDefinition,
} from '../../src/rpc/network.ts';
import { NodeNetwork, type NodeNetworkOptions } from '../../src/rpc/node-network.ts';
import { CHUNKSERVER_SAMPLES, MASTER_SAMPLES } from './samples.ts';
import { simPair } from './sim-pair.ts';
import { type CuttableWire, Wire } from './wire.ts';

/** 'sim' is the simulator's network, turned by the real clock. */
export type Transport = 'frames' | 'grpc' | 'sim';

interface AnyMethod {
  readonly name: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestType: { create(base?: never): unknown };
  readonly responseType: { create(base?: never): unknown };
}

export interface Case {
  /** "gfs.v1.Master/Lookup". */
  readonly fullName: string;
  readonly method: AnyMethod;
  readonly request: unknown;
  readonly response: unknown;
}

export const CASES: readonly Case[] = [
  ...casesOf(MasterDefinition, MASTER_SAMPLES),
  ...casesOf(ChunkserverDefinition, CHUNKSERVER_SAMPLES),
];

function casesOf(
  definition: { readonly fullName: string; readonly methods: Readonly<Record<string, AnyMethod>> },
  samples: Readonly<Record<string, readonly [unknown, unknown]>>,
): Case[] {
  return Object.entries(definition.methods).flatMap(([key, method]) => {
    const sample = samples[key];
    if (sample === undefined) return [];
    return {
      fullName: `${definition.fullName}/${method.name}`,
      method,
      request: method.requestType.create(sample[0] as never),
      response: method.responseType.create(sample[1] as never),
    };
  });
}

type UnaryBehaviour = (request: Incoming<never>, context: ServerContext) => Promise<Outgoing<unknown>>;
type StreamBehaviour = (stream: ServerStream<never, never>, context: ServerContext) => Promise<void>;

/** The contract's services with no file system behind them: sample answers, unless a test says otherwise. */
export class TestServices {
  /** Requests as they arrived, oldest first. */
  readonly received: { method: string; request: unknown; context: ServerContext }[] = [];
  readonly #behaviours = new Map<string, (...args: never[]) => Promise<unknown>>();

  onUnary(fullName: string, behaviour: UnaryBehaviour): void {
    this.#behaviours.set(fullName, behaviour as (...args: never[]) => Promise<unknown>);
  }

  onStream(fullName: string, behaviour: StreamBehaviour): void {
    this.#behaviours.set(fullName, behaviour as (...args: never[]) => Promise<unknown>);
  }

  onRequestStream(
    fullName: string,
    behaviour: (
      requests: AsyncIterable<Incoming<never>>,
      context: ServerContext,
    ) => Promise<Outgoing<unknown>>,
  ): void {
    this.#behaviours.set(fullName, behaviour as (...args: never[]) => Promise<unknown>);
  }

  bindings(
    definitions: readonly ServiceDefinition[] = [MasterDefinition, ChunkserverDefinition],
  ): ServiceBinding[] {
    return definitions.map((definition) => ({
      definition,
      handlers: Object.fromEntries(
        Object.entries(definition.methods).map(([key, { name }]) => [
          key,
          this.#handlerOf(`${definition.fullName}/${name}`),
        ]),
      ),
    }));
  }

  #handlerOf(fullName: string): (...args: never[]) => Promise<unknown> {
    const known = CASES.find((one) => one.fullName === fullName);
    const response = known?.response;
    const note = (request: unknown, context: ServerContext) =>
      this.received.push({ method: fullName, request, context });
    const standard = async (first: unknown, context: ServerContext): Promise<unknown> => {
      if (known?.method.responseStream) {
        const stream = first as ServerStream<unknown, unknown>;
        for await (const { message } of stream.requests) {
          note(message, context);
          await stream.send(response);
        }
        return undefined;
      }
      if (known?.method.requestStream) {
        for await (const { message } of first as AsyncIterable<Incoming<unknown>>) note(message, context);
      } else {
        note((first as Incoming<unknown>).message, context);
      }
      return { message: response };
    };
    return (...args) => {
      const behaviour =
        this.#behaviours.get(fullName) ?? (standard as (...args: never[]) => Promise<unknown>);
      return behaviour(...args);
    };
  }
}

/** Lines that a test can look at. */
export class LogBook implements Logger {
  readonly debugs = true;
  readonly lines: { level: string; fields: LogFields; message: string }[] = [];

  debug(fields: LogFields, message: string): void {
    this.lines.push({ level: 'debug', fields, message });
  }
  info(fields: LogFields, message: string): void {
    this.lines.push({ level: 'info', fields, message });
  }
  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: 'warn', fields, message });
  }
  error(fields: LogFields, message: string): void {
    this.lines.push({ level: 'error', fields, message });
  }
  of(component: Component): Logger {
    const line = (level: 'debug' | 'info' | 'warn' | 'error') => (fields: LogFields, message: string) =>
      this[level]({ component, ...fields }, message);
    const lines = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
    return { ...lines, debugs: true, of: (other) => this.of(other) };
  }
  at(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }
}

export interface Pair extends AsyncDisposable {
  readonly transport: Transport;
  readonly services: TestServices;
  readonly listener: Listener;
  readonly connection: Connection;
  readonly env: Env;
  readonly log: LogBook;
  /** One more client of the same server. */
  connect(): Connection;
  /** A client whose wire can be cut. */
  throughWire(): Promise<{ connection: Connection; wire: CuttableWire }>;
}

export type PairOptions = Pick<NodeNetworkOptions, 'limits' | 'onBug'> & {
  readonly services?: readonly ServiceDefinition[];
};

/** A server and a client in this process. */
export async function pair(transport: Transport, options: PairOptions = {}): Promise<Pair> {
  return transport === 'sim' ? await simPair(options) : await socketPair(transport, options);
}

export interface SocketPair extends Pair {
  throughWire(): Promise<{ connection: Connection; wire: Wire }>;
}

/** The same over a real socket. */
export async function socketPair(
  transport: 'frames' | 'grpc',
  options: PairOptions = {},
): Promise<SocketPair> {
  const services = new TestServices();
  const log = new LogBook();
  const env = new NodeEnv(silentLogger);
  const server = new NodeNetwork({ limits: options.limits, onBug: options.onBug, env: new NodeEnv(log) });
  const listener = await server.listen('127.0.0.1:0', services.bindings(options.services));
  const connections: Connection[] = [];
  const wires: Wire[] = [];
  const connect = (address = listener.address) => {
    const network = new NodeNetwork({ env, transport, limits: options.limits });
    const connection = network.connect(address);
    connections.push(connection);
    return connection;
  };
  return {
    transport,
    services,
    listener,
    connection: connect(),
    env,
    log,
    connect,
    throughWire: async () => {
      const wire = await new Wire(listener.address).open();
      wires.push(wire);
      return { connection: connect(wire.address), wire };
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(connections.map((connection) => connection.close()));
      await Promise.all(wires.map((wire) => wire.close()));
      await listener.close();
    },
  };
}
