import type { Socket } from 'node:net';
import { GfsError, messageOf } from '../base/errors.ts';
import { type Route, routeById, type UnaryHandler } from './contract.ts';
import { detailOf } from './failure.ts';
import { FrameDecoder } from './frame-decoder.ts';
import {
  FLAG_END,
  FLAG_MESSAGE,
  FRAME_PREFACE,
  type Frame,
  KIND_CANCEL,
  KIND_ERROR,
  KIND_MESSAGE,
  KIND_OPEN,
  KIND_PING,
  KIND_PONG,
  messageBytesOf,
  NO_DEADLINE,
} from './frame-format.ts';
import { FrameWriter } from './frame-writer.ts';
import { ErrorDetail } from './messages.ts';
import type { Outgoing } from './network.ts';
import { ServerCall } from './server-call.ts';
import { ServerStreamCall } from './server-stream-call.ts';
import type { Serving } from './serving.ts';
import { decodeMessage, encodeMessage } from './wire-message.ts';

/**
 * One connection of a client that speaks frames, as the server sees it. A client that asks faster than it takes answers is
 * not read any further: TCP then holds it up, and nobody else.
 */
export class FrameSession {
  readonly #socket: Socket;
  readonly #serving: Serving;
  readonly #peer: string;
  readonly #writer: FrameWriter;
  readonly #decoder = new FrameDecoder();
  /** Calls whose caller still waits, by number. */
  readonly #calls = new Map<number, UnaryServerCall | ServerStreamCall>();
  /** Handlers that run, those of abandoned calls included. */
  #unaryRunning = 0;
  #streamsRunning = 0;
  #requestBytes = 0;
  #paused = false;
  #pumping = false;
  #drainAsked = false;
  #gone = false;

  /** `greeting`: what was received so far, from the preface on. */
  constructor(socket: Socket, greeting: Buffer, peer: string, serving: Serving) {
    this.#socket = socket;
    this.#serving = serving;
    this.#peer = peer;
    this.#writer = new FrameWriter(socket);
    socket.on('close', () => this.#onClose());
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.write(FRAME_PREFACE);
    this.#receive(greeting.subarray(FRAME_PREFACE.length));
    socket.resume();
  }

  /** The listener is closing: what has no natural end is ended. */
  endOpenStreams(): void {
    for (const call of [...this.#calls.values()]) {
      const { requestStream, responseStream } = call.route.method;
      if (!requestStream || !responseStream) continue;
      const error = new GfsError('UNAVAILABLE', 'the server is shutting down');
      this.sendError(call.number, error);
      call.giveUp(error);
    }
  }

  /** What was answered leaves first. */
  end(): void {
    this.#writer.end();
  }

  answer(number: number, { message, payload }: ReturnType<typeof encodeMessage>): void {
    this.#writer.frame(
      { kind: KIND_MESSAGE, flags: FLAG_MESSAGE | FLAG_END, call: number },
      message,
      payload,
    );
    this.#serving.busyPoll?.answered();
  }

  sendError(number: number, error: GfsError): void {
    const detail = ErrorDetail.encode(detailOf(error)).finish();
    this.#writer.frame({ kind: KIND_ERROR, flags: FLAG_MESSAGE | FLAG_END, call: number }, detail);
  }

  /** Nothing more is said to the caller. */
  forget(number: number): void {
    this.#calls.delete(number);
  }

  unarySettled(requestBytes: number): void {
    this.#unaryRunning -= 1;
    this.#requestBytes -= requestBytes;
    this.#settled();
  }

  streamSettled(): void {
    this.#streamsRunning -= 1;
    this.#settled();
  }

  #settled(): void {
    this.#serving.settled();
    if (this.#paused) this.#pump();
  }

  #receive(chunk: Buffer): void {
    this.#serving.busyPoll?.arrived();
    this.#decoder.push(chunk);
    if (!this.#paused) this.#pump();
  }

  #pump(): void {
    // A handler that fails at once would otherwise begin the next one from within.
    if (this.#gone || this.#pumping) return;
    this.#pumping = true;
    try {
      for (;;) {
        if (this.#full()) {
          this.#pause();
          return;
        }
        const frame = this.#decoder.next();
        if (frame === undefined) break;
        this.#take(frame);
      }
    } catch (error) {
      this.#serving.log.warn(
        { peer: this.#peer, error: messageOf(error) },
        'a connection is closed: what came makes no sense',
      );
      this.#socket.destroy();
      return;
    } finally {
      this.#pumping = false;
    }
    if (this.#paused) {
      this.#paused = false;
      this.#socket.resume();
    }
  }

  #full(): boolean {
    const { callsInFlightMax, requestBytesMax, answerBytesMax } = this.#serving.limits;
    return (
      this.#unaryRunning >= callsInFlightMax ||
      this.#requestBytes >= requestBytesMax ||
      this.#writer.queuedBytes >= answerBytesMax
    );
  }

  /** Goes on when a handler settles or the socket drains, whichever made it full. */
  #pause(): void {
    if (!this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
    if (this.#drainAsked || !this.#writer.congested) return;
    this.#drainAsked = true;
    this.#writer.onDrain(() => {
      this.#drainAsked = false;
      this.#pump();
    });
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case KIND_OPEN:
        this.#open(frame);
        return;
      case KIND_CANCEL:
        this.#calls.get(frame.call)?.giveUp(new GfsError('CANCELLED', 'cancelled by the caller'));
        return;
      case KIND_PING:
        this.#writer.frame({ kind: KIND_PONG, flags: 0, call: 0 });
        return;
      default: {
        const call = this.#calls.get(frame.call);
        if (call instanceof ServerStreamCall) call.receive(frame);
      }
    }
  }

  #open(frame: Frame): void {
    if (this.#calls.has(frame.call)) {
      throw new GfsError('INVALID_ARGUMENT', `call number ${frame.call} is in use already`);
    }
    const route = routeById(frame.method);
    try {
      if (route === undefined) throw new GfsError('UNIMPLEMENTED', 'this version does not know that method');
      const handler = this.#serving.handlers.of(route);
      if (this.#serving.closing) throw new GfsError('UNAVAILABLE', 'the server is shutting down');
      if (route.method.requestStream || route.method.responseStream) this.#openStream(frame, route, handler);
      else this.#openUnary(frame, route, handler as UnaryHandler);
    } catch (error) {
      if (!(error instanceof GfsError)) throw error;
      this.sendError(frame.call, error);
    }
  }

  #openUnary(frame: Frame, route: Route, handler: UnaryHandler): void {
    if (!frame.hasMessage || !frame.end)
      throw new GfsError('INVALID_ARGUMENT', 'a request without its message');
    const request = decodeMessage(route.method.requestType, frame.message, frame.payload, route.fullName);
    const call = new UnaryServerCall(this, this.#serving, route, this.#head(frame), frame);
    this.#calls.set(frame.call, call);
    this.#serving.began();
    this.#unaryRunning += 1;
    this.#requestBytes += frame.sizeBytes;
    call.run(() => handler(request, call));
  }

  #openStream(frame: Frame, route: Route, handler: unknown): void {
    if (frame.hasMessage) throw new GfsError('INVALID_ARGUMENT', 'a stream that opens with a message');
    if (this.#streamsRunning >= this.#serving.limits.streamsMax) {
      throw new GfsError(
        'UNAVAILABLE',
        `${this.#streamsRunning} streams are open on this connection already`,
      );
    }
    const call = new ServerStreamCall(this, this.#serving, route, this.#head(frame), {
      number: frame.call,
      writer: this.#writer,
    });
    this.#calls.set(frame.call, call);
    this.#serving.began();
    this.#streamsRunning += 1;
    call.run(handler);
    if (frame.end) call.endRequests();
  }

  #head({ requestId, deadlineLeftMs }: Frame) {
    return {
      requestId,
      deadlineLeftMs: deadlineLeftMs === NO_DEADLINE ? undefined : deadlineLeftMs,
      peer: this.#peer,
    };
  }

  #onClose(): void {
    this.#gone = true;
    const error = new GfsError('CANCELLED', 'the connection of the caller was lost');
    for (const call of [...this.#calls.values()]) call.giveUp(error);
  }
}

class UnaryServerCall extends ServerCall {
  readonly number: number;
  readonly #session: FrameSession;
  readonly #requestBytes: number;

  constructor(
    session: FrameSession,
    serving: Serving,
    route: Route,
    head: { requestId: string; deadlineLeftMs: number | undefined; peer: string },
    frame: Frame,
  ) {
    super(serving, route, head);
    this.number = frame.call;
    this.#session = session;
    this.#requestBytes = frame.sizeBytes;
    this.received(messageBytesOf(frame));
  }

  run(handle: () => Promise<Outgoing<unknown>>): void {
    let outgoing: Promise<Outgoing<unknown>>;
    try {
      outgoing = handle();
    } catch (error) {
      this.#failed(error);
      return;
    }
    outgoing.then(
      (answer) => this.#answered(answer),
      (error: unknown) => this.#failed(error),
    );
  }

  protected override abandoned(): void {
    this.#session.forget(this.number);
  }

  #answered({ message, payload }: Outgoing<unknown>): void {
    if (!this.over) {
      let encoded: ReturnType<typeof encodeMessage>;
      try {
        encoded = encodeMessage(this.route.method.responseType, message, payload);
      } catch (error) {
        this.#failed(error);
        return;
      }
      this.sent(encoded.sizeBytes);
      this.succeed();
      this.#session.forget(this.number);
      this.#session.answer(this.number, encoded);
    }
    this.#session.unarySettled(this.#requestBytes);
  }

  #failed(thrown: unknown): void {
    const error = this.failWith(thrown);
    if (error !== undefined) {
      this.#session.forget(this.number);
      this.#session.sendError(this.number, error);
    }
    this.#session.unarySettled(this.#requestBytes);
  }
}
