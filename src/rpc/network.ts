import type { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { Bytes } from '../base/bytes.ts';

/**
 * How processes talk, without saying over what. `NodeNetwork` speaks frames or gRPC over TCP; the simulator delivers
 * the same messages on virtual time. Services are written once, against these types.
 */
export interface Network {
  /** Serves until closed. `address` is "host:port"; port 0 lets the kernel choose. */
  listen(address: string, services: readonly ServiceBinding[]): Promise<Listener>;
  /**
   * A connection to one address, dialled at the first call and, after a loss, again at the next call (the name is
   * resolved anew). Never rejects by itself: calls fail with UNAVAILABLE while nobody answers.
   */
  connect(address: string): Connection;
}

export interface Listener {
  /** Where it can be reached, with the real port. */
  readonly address: string;
  /** Refuses new calls, lets those in flight finish (a second at most), then closes all connections. */
  close(): Promise<void>;
}

export interface Connection {
  readonly address: string;
  /**
   * One request, one answer. Rejects with the server's `GfsError`; with UNAVAILABLE when the connection cannot be had
   * or is lost (whether the request was carried out is then not known); DEADLINE_EXCEEDED; CANCELLED.
   * Request payload buffers are borrowed until it settles; the answer's belong to the caller.
   */
  call<Req, Res>(method: Method<Req, Res>, request: Req, options?: CallOptions): Promise<Reply<Res>>;
  /** A call with a stream up, down or both. */
  stream<Req, Res>(method: Method<Req, Res>, options?: StreamOptions): ClientStream<Req, Res>;
  /** Called at each loss of an established connection, at once; not by `close`. */
  onLost(listener: (error: Error) => void): void;
  close(): Promise<void>;
}

/** A method as generated from the contract. */
export interface Method<Req, Res> {
  readonly name: string;
  readonly requestType: MessageType<Req>;
  readonly requestStream: boolean;
  readonly responseType: MessageType<Res>;
  readonly responseStream: boolean;
}

export interface MessageType<T> {
  encode(message: T, writer?: BinaryWriter): { finish(): Uint8Array };
  decode(input: Uint8Array): T;
  create(base?: never): T;
}

export interface ServiceDefinition {
  readonly name: string;
  readonly fullName: string;
  readonly methods: Readonly<
    Record<string, Pick<Method<unknown, unknown>, 'name' | 'requestStream' | 'responseStream'>>
  >;
}

/**
 * A message and, beside it, its `payload` field: file data as the buffers it arrived in or lies in, never joined.
 * In `message` itself the field is always empty.
 */
export interface Reply<T> {
  readonly message: T;
  readonly payload: Bytes;
}
export type Incoming<T> = Reply<T>;
/** What a handler returns: a bare message, or one with payload. */
export type Outgoing<T> = { readonly message: T; readonly payload?: Bytes };

export interface CallOptions {
  readonly payload?: Bytes | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Absolute, on `Env.monotonicMs` of this process; crosses the wire as what is left of it. */
  readonly deadlineMs?: number | undefined;
  /** Shown in every log line of every process that works on the request; made up when absent. */
  readonly requestId?: string | undefined;
}
export type StreamOptions = Omit<CallOptions, 'payload'>;

export interface ClientStream<Req, Res> {
  /** Resolves when there is room for more: awaiting it is the backpressure. Payload is borrowed until then. */
  send(message: Req, payload?: Bytes): Promise<void>;
  /** No more will be sent. */
  end(): void;
  /** Answers in order; ends with the call, throws its error. For a single answer, `finished`. */
  readonly answers: AsyncIterable<Incoming<Res>>;
  /** The only answer of a client stream. */
  finished(): Promise<Incoming<Res>>;
  cancel(reason?: unknown): void;
}

/** What a handler knows of its call. */
export interface ServerContext {
  readonly requestId: string;
  /** Aborts when the caller cancels, its connection is lost, or the deadline passes. */
  readonly signal: AbortSignal;
  /** Absolute, on this process's monotonic clock; undefined: the caller set none. */
  readonly deadlineMs: number | undefined;
  /** "address:port" of the caller. */
  readonly peer: string;
  /** What a gRPC caller sent beside the request, by a key in lower case; several values have commas in between. Frames bring none. */
  metadata(key: string): string | undefined;
}

export interface ServerStream<Req, Res> {
  readonly requests: AsyncIterable<Incoming<Req>>;
  send(message: Res, payload?: Bytes): Promise<void>;
}

type StreamFlag<M, K extends 'requestStream' | 'responseStream'> = M extends Record<K, true> ? true : false;
type RequestOf<M> = M extends { requestType: MessageType<infer Req> } ? Req : never;
type ResponseOf<M> = M extends { responseType: MessageType<infer Res> } ? Res : never;

/** The handler of one method, by its kind. A thrown `GfsError` travels with code and fields; anything else is INTERNAL. */
export type Handler<M> =
  StreamFlag<M, 'responseStream'> extends true
    ? (stream: ServerStream<RequestOf<M>, ResponseOf<M>>, context: ServerContext) => Promise<void>
    : StreamFlag<M, 'requestStream'> extends true
      ? (
          requests: AsyncIterable<Incoming<RequestOf<M>>>,
          context: ServerContext,
        ) => Promise<Outgoing<ResponseOf<M>>>
      : (request: Incoming<RequestOf<M>>, context: ServerContext) => Promise<Outgoing<ResponseOf<M>>>;

export type Handlers<D extends { methods: object }> = {
  readonly [K in keyof D['methods']]: Handler<D['methods'][K]>;
};

/** A service with its implementation, as `listen` takes it; made by `bindService`. */
export interface ServiceBinding {
  readonly definition: ServiceDefinition;
  readonly handlers: Readonly<Record<string, (...args: never[]) => Promise<unknown>>>;
}

/** Ties handlers to a service definition; the compiler refuses a missing or mistyped one. */
export function bindService<D extends { name: string; fullName: string; methods: object }>(
  definition: D,
  handlers: Handlers<D>,
): ServiceBinding {
  return { definition, handlers } as unknown as ServiceBinding;
}
