import type {
  ClientDuplexStream,
  ClientReadableStream,
  ClientUnaryCall,
  ClientWritableStream,
  CallOptions as GrpcCallOptions,
  Metadata,
  ServiceError,
  StatusObject,
} from '@grpc/grpc-js';
import type { Bytes } from '../base/bytes.ts';
import { GfsError } from '../base/errors.ts';
import { type CallHome, ClientCall } from './client-call.ts';
import type { Asker } from './client-connection.ts';
import type { Route } from './contract.ts';
import { lostError, unreachableError } from './failure.ts';
import { STREAM_WINDOW_BYTES } from './frame-format.ts';
import type { Channel } from './grpc-connection.ts';
import { grpcJs } from './grpc-js.ts';
import { definitionOf, encodeWhole, errorOfStatus, REQUEST_ID_KEY } from './grpc-wire.ts';
import { Inbox } from './inbox.ts';
import type { ClientStream, Incoming, Reply, StreamOptions } from './network.ts';
import { decodeMessage } from './wire-message.ts';

/** grpc-js ends a call itself a little after we do: it must not tell another story first. */
const DEADLINE_MARGIN_MS = 50;

export abstract class GrpcCall extends ClientCall {
  #channel: Channel | undefined;
  #call: { cancel(): void } | undefined;

  begin(channel: Channel): void {
    this.#channel = channel;
    this.#call = this.start(channel);
  }

  /** Begins it at grpc-js. */
  protected abstract start(channel: Channel): { cancel(): void };

  protected override tellServer(): void {
    this.#call?.cancel();
  }

  protected metadata(): Metadata {
    const metadata = new (grpcJs().Metadata)();
    metadata.set(REQUEST_ID_KEY, this.requestId);
    return metadata;
  }

  protected options(): GrpcCallOptions {
    const { env } = this.home;
    if (this.deadlineMs === undefined) return {};
    return { deadline: env.nowMs() + this.deadlineMs - env.monotonicMs() + DEADLINE_MARGIN_MS };
  }

  /** What grpc-js reports, as every transport reports it. */
  protected errorOf(found: StatusObject | ServiceError): GfsError {
    const { status } = grpcJs();
    const { error, typed } = errorOfStatus(found);
    if (typed) return this.asSeenHere(error);
    const { address } = this.home;
    const cause = Object.assign(new Error(this.#channel?.reason ?? found.details), {
      code: /\bE[A-Z]{4,}\b/.exec(found.details)?.[0],
    });
    if (this.#channel?.wasReady !== true) {
      if (found.code !== status.UNAVAILABLE) return error;
      return isForeign(found.details)
        ? new GfsError('WRONG_SERVICE', `what answers at ${address} is not a gfs daemon`, { cause })
        : unreachableError(address, cause);
    }
    // A connection that breaks shows as one or the other, depending on where it was noticed.
    const broken =
      found.code === status.UNAVAILABLE || /ECONNRESET|EPIPE|Connection dropped/.test(found.details);
    return broken ? lostError(address, cause) : error;
  }
}

/** Something answered, but not in HTTP/2. */
function isForeign(details: string): boolean {
  return /Protocol error|HPE_|bad response/i.test(details);
}

export class GrpcUnaryCall extends GrpcCall {
  readonly #request: Buffer;
  readonly #asker: Asker;

  constructor(
    home: CallHome,
    route: Route,
    requestId: string,
    options: StreamOptions,
    request: Buffer,
    asker: Asker,
  ) {
    super(home, route, requestId, false, options);
    this.#request = request;
    this.#asker = asker;
  }

  protected override start({ client }: Channel): ClientUnaryCall {
    this.sent(this.#request.length);
    const { path, requestSerialize, responseDeserialize } = definitionOf(this.route);
    return client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      this.#request,
      this.metadata(),
      this.options(),
      (error, bytes) => {
        if (error !== null) this.fail(this.errorOf(error));
        else if (bytes !== undefined) this.#answered(bytes);
      },
    );
  }

  protected override failed(error: unknown): void {
    this.#asker.reject(error);
  }

  #answered(bytes: Buffer): void {
    this.received(bytes.length);
    let reply: Reply<unknown>;
    try {
      reply = decodeMessage(this.route.method.responseType, bytes, [], this.route.fullName);
    } catch (error) {
      this.fail(new GfsError('INTERNAL', 'the answer cannot be read', { cause: error }));
      return;
    }
    if (this.finish()) this.#asker.resolve(reply);
  }
}

export class GrpcStreamCall extends GrpcCall implements ClientStream<unknown, unknown> {
  readonly #inbox: Inbox<unknown>;
  #inboxBytes = 0;
  #up: ClientWritableStream<Buffer> | ClientDuplexStream<Buffer, Buffer> | undefined;
  #down: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer> | undefined;
  /** Sends that wait for the socket. */
  readonly #sending = new Set<(error: unknown) => void>();
  #error: { error: unknown } | undefined;

  constructor(home: CallHome, route: Route, requestId: string, options: StreamOptions) {
    super(home, route, requestId, true, options);
    this.#inbox = new Inbox(
      (sizeBytes) => this.#taken(sizeBytes),
      () => this.cancel(),
    );
  }

  get answers(): AsyncIterable<Incoming<unknown>> {
    return this.#inbox;
  }

  send(message: unknown, payload?: Bytes): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.over)
        throw this.#error?.error ?? new GfsError('CANCELLED', `${this.route.fullName} has ended`);
      const bytes = encodeWhole(this.route.method.requestType, message, payload);
      this.sent(bytes.length);
      this.#sending.add(reject);
      this.#up?.write(bytes, (error: Error | null | undefined) => {
        this.#sending.delete(reject);
        if (error) reject(new GfsError('CANCELLED', `${this.route.fullName} has ended`, { cause: error }));
        else resolve();
      });
    });
  }

  end(): void {
    if (!this.over) this.#up?.end();
  }

  finished(): Promise<Incoming<unknown>> {
    return this.onlyAnswer(this.#inbox);
  }

  protected override start({ client }: Channel): { cancel(): void } {
    const { path, requestSerialize, responseDeserialize } = definitionOf(this.route);
    if (this.route.method.responseStream) {
      const call = client.makeBidiStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        this.metadata(),
        this.options(),
      );
      this.#up = call;
      this.#down = call;
      call.on('data', (bytes: Buffer) => this.#receive(bytes));
      call.on('error', (error: ServiceError) => this.fail(this.errorOf(error)));
      call.on('end', () => this.#ended());
      return call;
    }
    const call = client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      this.metadata(),
      this.options(),
      (error, bytes) => {
        if (error !== null) {
          this.fail(this.errorOf(error));
        } else if (bytes !== undefined) {
          this.#receive(bytes);
          this.#ended();
        }
      },
    );
    call.on('error', () => undefined);
    this.#up = call;
    return call;
  }

  protected override failed(error: unknown): void {
    this.#error = { error };
    this.#inbox.fail(error);
    this.#stopSending(error);
  }

  #receive(bytes: Buffer): void {
    if (this.over) return;
    this.received(bytes.length);
    try {
      const answer = decodeMessage(this.route.method.responseType, bytes, [], this.route.fullName);
      this.#inboxBytes += bytes.length;
      if (this.#inboxBytes >= STREAM_WINDOW_BYTES) this.#down?.pause();
      this.#inbox.push(answer, bytes.length);
    } catch (error) {
      this.cancelWith(new GfsError('INTERNAL', 'an answer cannot be read', { cause: error }));
    }
  }

  #taken(sizeBytes: number): void {
    this.#inboxBytes -= sizeBytes;
    if (this.#inboxBytes < STREAM_WINDOW_BYTES) this.#down?.resume();
  }

  /** The stream of answers has ended well: grpc-js tells an error before the end. */
  #ended(): void {
    if (!this.finish()) return;
    this.#inbox.end();
    this.#stopSending(new GfsError('CANCELLED', `${this.route.fullName} has ended`));
  }

  #stopSending(error: unknown): void {
    for (const reject of this.#sending) reject(error);
    this.#sending.clear();
  }
}
