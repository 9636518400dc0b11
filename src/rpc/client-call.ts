import type { Bytes } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import type { Route } from './contract.ts';
import { programOf } from './contract.ts';
import type { Deadlines } from './deadlines.ts';
import { errorOfDetail } from './failure.ts';
import {
  FLAG_END,
  FLAG_MESSAGE,
  type Frame,
  KIND_CANCEL,
  KIND_CREDIT,
  KIND_ERROR,
  KIND_MESSAGE,
} from './frame-format.ts';
import type { FrameWriter } from './frame-writer.ts';
import { Inbox } from './inbox.ts';
import { ErrorDetail } from './messages.ts';
import type { ClientStream, Incoming, Reply, StreamOptions } from './network.ts';
import { StreamSender, WindowReturn } from './stream-sender.ts';
import { decodeMessage, type Encoded } from './wire-message.ts';

/** What calls need of their connection. */
export interface CallHome {
  readonly env: Env;
  readonly address: string;
  readonly deadlines: Deadlines;
  /** The call is over: its number and its place are free. */
  ended(call: ClientCall): void;
}

/** Deadline, cancellation, number and end of one call, as the caller's side sees it. */
export abstract class ClientCall {
  readonly route: Route;
  readonly requestId: string;
  readonly isStream: boolean;
  /** 0 while it waits for its connection. */
  number = 0;
  protected readonly home: CallHome;
  protected writer: FrameWriter | undefined;
  protected readonly deadlineMs: number | undefined;
  readonly #startMs: number;
  readonly #signal: AbortSignal | undefined;
  #over = false;

  constructor(home: CallHome, route: Route, requestId: string, isStream: boolean, options: StreamOptions) {
    this.home = home;
    this.route = route;
    this.requestId = requestId;
    this.isStream = isStream;
    this.deadlineMs = options.deadlineMs;
    this.#signal = options.signal;
    this.#startMs = home.env.monotonicMs();
  }

  get over(): boolean {
    return this.#over;
  }

  /** Ends it at once when it was cancelled before it began, or its deadline has passed. */
  watch(): void {
    if (this.#signal !== undefined) {
      if (this.#signal.aborted) {
        this.#onAbort();
        return;
      }
      this.#signal.addEventListener('abort', this.#onAbort);
    }
    if (this.deadlineMs === undefined) return;
    if (this.deadlineMs <= this.#startMs) this.expire();
    else this.home.deadlines.add(this.deadlineMs, this);
  }

  /** Its connection is there: the first frame leaves. */
  begin(writer: FrameWriter, number: number): void {
    this.writer = writer;
    this.number = number;
    this.start(writer);
  }

  receive(frame: Frame): void {
    if (frame.kind === KIND_ERROR) this.fail(this.#errorOf(frame));
    else this.message(frame);
  }

  expire(): void {
    this.cancelWith(
      new GfsError('DEADLINE_EXCEEDED', `${this.route.fullName} at ${this.home.address} took too long`),
    );
  }

  /** Ends it from this side; the server is told. */
  cancelWith(error: GfsError): void {
    if (this.#over) return;
    this.writer?.frame({ kind: KIND_CANCEL, flags: 0, call: this.number });
    this.fail(error);
  }

  fail(error: unknown): void {
    if (this.finish(error)) this.failed(error);
  }

  protected abstract start(writer: FrameWriter): void;
  protected abstract message(frame: Frame): void;
  /** The call is over, badly: whoever waits learns it. */
  protected abstract failed(error: unknown): void;

  protected openHead(flags: number) {
    const { deadlineMs, home } = this;
    const deadlineLeftMs = deadlineMs === undefined ? undefined : deadlineMs - home.env.monotonicMs();
    return { method: this.route.id, deadlineLeftMs, requestId: this.requestId, call: this.number, flags };
  }

  /** False when it was over before. */
  protected finish(error?: unknown): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    if (this.deadlineMs !== undefined) this.home.deadlines.remove(this.deadlineMs, this);
    const { env, address } = this.home;
    env.log.debug(
      {
        requestId: this.requestId,
        method: this.route.fullName,
        server: address,
        durationMs: env.monotonicMs() - this.#startMs,
        code: error === undefined ? 'OK' : codeOf(error),
      },
      'call',
    );
    this.home.ended(this);
    return true;
  }

  readonly #onAbort = () => {
    this.cancelWith(
      new GfsError('CANCELLED', `${this.route.fullName} was cancelled`, { cause: this.#signal?.reason }),
    );
  };

  #errorOf(frame: Frame): GfsError {
    const error = errorOfDetail(decodeMessage(ErrorDetail, frame.message, [], 'an error').message);
    if (error.code !== 'WRONG_SERVICE') return error;
    const { address } = this.home;
    return new GfsError('WRONG_SERVICE', `what answers at ${address} is not a ${programOf(this.route)}`, {
      cause: error,
    });
  }
}

export class UnaryCall extends ClientCall {
  readonly #request: Encoded;
  readonly #resolve: (reply: Reply<unknown>) => void;
  readonly #reject: (error: unknown) => void;
  /** The request's payload lies in the socket's queue: its owner may not have it back yet. */
  #borrowed = false;
  #rejection: { error: unknown } | undefined;

  constructor(
    home: CallHome,
    route: Route,
    requestId: string,
    options: StreamOptions,
    work: { request: Encoded; resolve: (reply: Reply<unknown>) => void; reject: (error: unknown) => void },
  ) {
    super(home, route, requestId, false, options);
    this.#request = work.request;
    this.#resolve = work.resolve;
    this.#reject = work.reject;
  }

  protected override start(writer: FrameWriter): void {
    const { message, payload } = this.#request;
    const head = this.openHead(FLAG_MESSAGE | FLAG_END);
    if (payload.length === 0) writer.open(head, message, payload);
    else this.#borrowed = !writer.open(head, message, payload, () => this.#sent());
  }

  protected override message(frame: Frame): void {
    let reply: Reply<unknown>;
    try {
      reply = decodeMessage(
        this.route.method.responseType,
        frame.message,
        frame.payload,
        this.route.fullName,
      );
    } catch (error) {
      this.fail(new GfsError('INTERNAL', 'the answer cannot be read', { cause: error }));
      return;
    }
    if (this.finish()) this.#resolve(reply);
  }

  protected override failed(error: unknown): void {
    if (this.#borrowed) this.#rejection = { error };
    else this.#reject(error);
  }

  #sent(): void {
    this.#borrowed = false;
    if (this.#rejection !== undefined) this.#reject(this.#rejection.error);
  }
}

export class StreamCall extends ClientCall implements ClientStream<unknown, unknown> {
  readonly #sender: StreamSender<unknown>;
  readonly #inbox: Inbox<unknown>;
  readonly #window = new WindowReturn();

  constructor(home: CallHome, route: Route, requestId: string, options: StreamOptions) {
    super(home, route, requestId, true, options);
    this.#sender = new StreamSender(route.method.requestType);
    this.#inbox = new Inbox(
      (sizeBytes) => this.#window.taken(sizeBytes),
      () => this.cancel(),
    );
  }

  get answers(): AsyncIterable<Incoming<unknown>> {
    return this.#inbox;
  }

  send(message: unknown, payload?: Bytes): Promise<void> {
    return this.#sender.send(message, payload);
  }

  end(): void {
    this.#sender.end();
  }

  async finished(): Promise<Incoming<unknown>> {
    const answer = await this.#inbox.next();
    if (answer.done) throw new GfsError('INTERNAL', `${this.route.fullName} ended without an answer`);
    return answer.value;
  }

  cancel(reason?: unknown): void {
    this.cancelWith(new GfsError('CANCELLED', `${this.route.fullName} was cancelled`, { cause: reason }));
  }

  protected override start(writer: FrameWriter): void {
    writer.open(this.openHead(0), NOTHING, []);
    if (this.route.method.responseStream) this.#window.start(writer, this.number);
    this.#sender.start(writer, this.number);
  }

  protected override message(frame: Frame): void {
    if (frame.kind === KIND_CREDIT) {
      this.#sender.credit(Buffer.from(frame.message).readUInt32LE(0));
      return;
    }
    if (frame.kind !== KIND_MESSAGE) return;
    if (frame.hasMessage) {
      try {
        const { responseType } = this.route.method;
        this.#inbox.push(
          decodeMessage(responseType, frame.message, frame.payload, this.route.fullName),
          frame.sizeBytes,
        );
      } catch (error) {
        this.cancelWith(new GfsError('INTERNAL', 'an answer cannot be read', { cause: error }));
        return;
      }
    }
    if (!frame.end || !this.finish()) return;
    this.#window.stop();
    this.#inbox.end();
    this.#sender.stop(new GfsError('CANCELLED', `${this.route.fullName} has ended`));
  }

  protected override failed(error: unknown): void {
    this.#window.stop();
    this.#inbox.fail(error);
    this.#sender.stop(error);
  }
}

const NOTHING: Uint8Array = new Uint8Array(0);
