import type { EventEmitter } from 'node:events';
import type {
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
} from '@grpc/grpc-js';
import type { Bytes } from '../base/bytes.ts';
import { GfsError } from '../base/errors.ts';
import { requestIdOf } from '../base/request-ids.ts';
import type { RequestStreamHandler, ResponseStreamHandler, Route, UnaryHandler } from './contract.ts';
import { STREAM_WINDOW_BYTES } from './frame-format.ts';
import { encodeWhole, REQUEST_ID_KEY, statusOfError } from './grpc-wire.ts';
import { Inbox } from './inbox.ts';
import type { Incoming, Outgoing, ServerStream } from './network.ts';
import { ServerCall } from './server-call.ts';
import type { Serving } from './serving.ts';
import { decodeMessage } from './wire-message.ts';

type Unary = ServerUnaryCall<Buffer, Buffer>;
type RequestStream = ServerReadableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;
type ResponseStream = ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** A call of any kind that came by gRPC. */
export class GrpcServerCall extends ServerCall implements ServerStream<unknown, unknown> {
  readonly #call: Unary | RequestStream | ResponseStream;
  readonly #callback: sendUnaryData<Buffer> | undefined;
  readonly #inbox: Inbox<unknown>;
  #inboxBytes = 0;
  /** Sends that wait for the socket. */
  readonly #sending = new Set<(error: unknown) => void>();

  constructor(
    serving: Serving,
    route: Route,
    call: Unary | RequestStream | ResponseStream,
    callback: sendUnaryData<Buffer> | undefined,
  ) {
    super(serving, route, {
      requestId: requestIdOf(call.metadata.get(REQUEST_ID_KEY)[0]) ?? serving.env.newRequestId(),
      deadlineLeftMs: leftMs(call.getDeadline(), serving.env.nowMs()),
      peer: call.getPeer(),
    });
    this.#call = call;
    this.#callback = callback;
    this.#inbox = new Inbox(
      (sizeBytes) => this.#taken(sizeBytes),
      () => undefined,
    );
  }

  get requests(): AsyncIterable<Incoming<unknown>> {
    return this.#inbox;
  }

  override metadata(key: string): string | undefined {
    const values = this.#call.metadata.get(key);
    return values.length === 0 ? undefined : values.join(',');
  }

  send(message: unknown, payload?: Bytes): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.over) throw new GfsError('CANCELLED', 'the call has ended');
      const bytes = encodeWhole(this.route.method.responseType, message, payload);
      this.sent(bytes.length);
      this.#sending.add(reject);
      (this.#call as ResponseStream).write(bytes, (error: Error | null | undefined) => {
        this.#sending.delete(reject);
        if (error) reject(new GfsError('CANCELLED', 'the call has ended', { cause: error }));
        else resolve();
      });
    });
  }

  run(onSettled: () => void): void {
    this.serving.began();
    const events: EventEmitter = this.#call;
    // Cancelled by the caller, connection lost, or its deadline passed: grpc-js tells it in one word.
    events.on('cancelled', () => this.giveUp(new GfsError('CANCELLED', 'the caller has gone')));
    // What went wrong with the stream is told by 'cancelled'.
    events.on('error', () => undefined);
    const settle = () => {
      onSettled();
      this.serving.settled();
    };
    this.#begin()
      .then(
        (answer) => this.#answered(answer),
        (error: unknown) => this.#failed(error),
      )
      .finally(settle);
  }

  /** The listener closes: what has no natural end is ended. */
  shutDown(): void {
    if (!this.route.method.requestStream || !this.route.method.responseStream || this.over) return;
    const error = new GfsError('UNAVAILABLE', 'the server is shutting down');
    this.#sendError(error);
    this.giveUp(error);
  }

  protected override abandoned(error: GfsError): void {
    this.#close(error);
  }

  async #begin(): Promise<Outgoing<unknown> | undefined> {
    const { method } = this.route;
    const handler = this.serving.handlers.of(this.route);
    if (this.serving.closing) throw new GfsError('UNAVAILABLE', 'the server is shutting down');
    if (!method.requestStream && !method.responseStream) {
      const request = this.#decode((this.#call as Unary).request);
      return await (handler as UnaryHandler)(request, this);
    }
    if (method.requestStream) {
      this.#receiveRequests(this.#call as RequestStream);
    } else {
      this.#inbox.push(this.#decode((this.#call as unknown as Unary).request), 0);
      this.#inbox.end();
    }
    if (!method.responseStream) return await (handler as RequestStreamHandler)(this.#inbox, this);
    await (handler as ResponseStreamHandler)(this, this);
    return undefined;
  }

  #decode(bytes: Buffer): Incoming<unknown> {
    this.received(bytes.length);
    return decodeMessage(this.route.method.requestType, bytes, [], this.route.fullName);
  }

  #receiveRequests(stream: RequestStream): void {
    stream.on('data', (bytes: Buffer) => {
      try {
        const request = this.#decode(bytes);
        this.#inboxBytes += bytes.length;
        if (this.#inboxBytes >= STREAM_WINDOW_BYTES) stream.pause();
        this.#inbox.push(request, bytes.length);
      } catch (error) {
        this.#inbox.fail(error);
      }
    });
    // A call that is broken off ends its requests first and says so a little later: not every end is a good one.
    stream.on('end', () => this.serving.env.setTimer(0, () => this.#inbox.end()));
  }

  #taken(sizeBytes: number): void {
    this.#inboxBytes -= sizeBytes;
    if (this.route.method.requestStream && this.#inboxBytes < STREAM_WINDOW_BYTES) {
      (this.#call as RequestStream).resume();
    }
  }

  #answered(answer: Outgoing<unknown> | undefined): void {
    if (this.over) return;
    if (answer === undefined) {
      (this.#call as ResponseStream).end();
    } else {
      let bytes: Buffer;
      try {
        bytes = encodeWhole(this.route.method.responseType, answer.message, answer.payload);
      } catch (error) {
        this.#failed(error);
        return;
      }
      this.sent(bytes.length);
      this.#callback?.(null, bytes);
    }
    this.succeed();
    this.#close(new GfsError('CANCELLED', 'the call has ended'));
  }

  #failed(thrown: unknown): void {
    const error = this.failWith(thrown);
    if (error === undefined) return;
    this.#sendError(error);
    this.#close(error);
  }

  #sendError(error: GfsError): void {
    const status = statusOfError(error);
    if (this.#callback !== undefined) this.#callback({ ...status, name: error.code, message: error.message });
    else this.#call.emit('error', Object.assign(new Error(error.message), status));
  }

  #close(error: GfsError): void {
    this.#inbox.fail(error);
    for (const reject of this.#sending) reject(error);
    this.#sending.clear();
  }
}

function leftMs(deadline: Date | number, nowMs: number): number | undefined {
  const endMs = typeof deadline === 'number' ? deadline : deadline.getTime();
  return Number.isFinite(endMs) ? endMs - nowMs : undefined;
}
