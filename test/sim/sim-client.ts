import type { Timer } from '../../src/base/env.ts';
import { GfsError } from '../../src/base/errors.ts';
import { programOf, type Route, routeOf } from '../../src/rpc/contract.ts';
import { errorOfDetail } from '../../src/rpc/failure.ts';
import { Inbox } from '../../src/rpc/inbox.ts';
import type {
  CallOptions,
  ClientStream,
  Connection,
  Incoming,
  Method,
  Reply,
  StreamOptions,
} from '../../src/rpc/network.ts';
import { decodeMessage, type Encoded } from '../../src/rpc/wire-message.ts';
import type { SimEnv } from './sim-env.ts';
import type { Frame, LinkEnd, LinkUser } from './sim-link.ts';
import { packed, SimSender, windowBytesOf } from './sim-stream.ts';

/** Rejects with what the calls that wait for the link fail with. */
export type Dial = (address: string) => Promise<LinkEnd>;

export interface SimConnectionParts {
  readonly env: SimEnv;
  readonly dial: Dial;
  /** Calls with one request; further ones wait in line. */
  readonly callsInFlightMax: number;
}

/** The client's side of connections to one address, one after another. */
export class SimConnection implements Connection, LinkUser {
  readonly address: string;
  readonly env: SimEnv;
  /** Of the ids of requests whose callers gave none. */
  readonly idPrefix: string;
  readonly #dial: Dial;
  readonly #callsInFlightMax: number;
  readonly #onLost: ((error: Error) => void)[] = [];
  readonly #calls = new Map<number, ClientCall>();
  /** Not begun yet, oldest first. */
  readonly #line = new Set<ClientCall>();
  #callsInFlight = 0;
  #link: LinkEnd | undefined;
  #dialling = false;
  #callsMade = 0;
  #closed = false;
  #onIdle: (() => void) | undefined;

  constructor(address: string, { env, dial, callsInFlightMax }: SimConnectionParts) {
    this.address = address;
    this.env = env;
    this.idPrefix = env.uniqueId().slice(0, 8);
    this.#dial = dial;
    this.#callsInFlightMax = callsInFlightMax;
  }

  call<Req, Res>(method: Method<Req, Res>, request: Req, options: CallOptions = {}): Promise<Reply<Res>> {
    return new Promise((resolve, reject) => {
      const data = packed(method.requestType, request, options.payload);
      const call = new UnaryCall(this, routeOf(method), options, { data, resolve: resolve as never, reject });
      this.#add(call);
    });
  }

  stream<Req, Res>(method: Method<Req, Res>, options: StreamOptions = {}): ClientStream<Req, Res> {
    const call = new StreamCall(this, routeOf(method), options);
    this.#add(call);
    return call as unknown as ClientStream<Req, Res>;
  }

  onLost(listener: (error: Error) => void): void {
    this.#onLost.push(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#calls.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#link?.close();
    this.#link = undefined;
  }

  receive(frame: Frame): void {
    if (frame.kind !== 'closed') this.#calls.get(frame.call)?.receive(frame);
  }

  broken(reason: string): void {
    this.#link = undefined;
    // What waits in line has not been sent, but fails too: a caller that tries again dials anew.
    const error = new GfsError('UNAVAILABLE', `connection to ${this.address} lost: ${reason}`);
    for (const call of [...this.#calls.values()]) call.fail(error);
    for (const listener of this.#onLost) listener(error);
  }

  ended(call: ClientCall): void {
    this.#calls.delete(call.number);
    if (!this.#line.delete(call) && !call.isStream) this.#callsInFlight -= 1;
    this.#beginCalls();
    if (this.#calls.size === 0) this.#onIdle?.();
  }

  #add(call: ClientCall): void {
    if (this.#closed) {
      call.fail(new GfsError('CANCELLED', `the connection to ${this.address} is closed`));
      return;
    }
    this.#callsMade += 1;
    call.number = this.#callsMade;
    this.#calls.set(call.number, call);
    this.#line.add(call);
    call.watch();
    if (this.#link === undefined && !this.#dialling && !call.over) void this.#establish();
    this.#beginCalls();
  }

  async #establish(): Promise<void> {
    this.#dialling = true;
    try {
      const link = await this.#dial(this.address);
      link.serve(this);
      this.#link = link;
    } catch (error) {
      for (const call of [...this.#calls.values()]) call.fail(error);
    } finally {
      this.#dialling = false;
    }
    this.#beginCalls();
  }

  #beginCalls(): void {
    if (this.#link === undefined) return;
    for (const call of this.#line) {
      if (!call.isStream && this.#callsInFlight >= this.#callsInFlightMax) return;
      if (!call.isStream) this.#callsInFlight += 1;
      this.#line.delete(call);
      call.begin(this.#link);
    }
  }
}

/** Deadline, cancellation and end of one call. */
abstract class ClientCall {
  number = 0;
  protected readonly route: Route;
  protected link: LinkEnd | undefined;
  readonly #home: SimConnection;
  readonly #options: StreamOptions;
  #timer: Timer | undefined;
  #over = false;

  constructor(home: SimConnection, route: Route, options: StreamOptions) {
    this.#home = home;
    this.route = route;
    this.#options = options;
  }

  get over(): boolean {
    return this.#over;
  }

  get isStream(): boolean {
    return this.route.method.requestStream || this.route.method.responseStream;
  }

  watch(): void {
    const { signal, deadlineMs } = this.#options;
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort);
    if (deadlineMs === undefined || this.#over) return;
    const leftMs = deadlineMs - this.#home.env.monotonicMs();
    if (leftMs <= 0) this.#expire();
    else this.#timer = this.#home.env.setTimer(leftMs, () => this.#expire());
  }

  begin(link: LinkEnd): void {
    this.link = link;
    const { deadlineMs, requestId } = this.#options;
    const { env } = this.#home;
    link.send({
      kind: 'open',
      call: this.number,
      route: this.route,
      requestId: requestId ?? `${this.#home.idPrefix}-${this.number}`,
      deadlineLeftMs: deadlineMs === undefined ? undefined : deadlineMs - env.monotonicMs(),
      data: this.onlyRequest(),
    });
    this.begun(link);
  }

  receive(frame: Frame): void {
    if (frame.kind === 'error') this.fail(this.#errorOf(frame));
    else this.received(frame);
  }

  cancelWith(error: GfsError): void {
    if (this.#over) return;
    this.link?.send({ kind: 'cancel', call: this.number });
    this.fail(error);
  }

  fail(error: unknown): void {
    if (this.finish()) this.failed(error);
  }

  /** False when it was over before. */
  protected finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#timer?.cancel();
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#home.ended(this);
    return true;
  }

  protected abstract onlyRequest(): Encoded | undefined;
  protected abstract begun(link: LinkEnd): void;
  protected abstract received(frame: Frame): void;
  protected abstract failed(error: unknown): void;

  readonly #onAbort = () => {
    const cause = this.#options.signal?.reason;
    this.cancelWith(new GfsError('CANCELLED', `${this.route.fullName} was cancelled`, { cause }));
  };

  #expire(): void {
    const { address } = this.#home;
    this.cancelWith(new GfsError('DEADLINE_EXCEEDED', `${this.route.fullName} at ${address} took too long`));
  }

  #errorOf({ detail }: Extract<Frame, { kind: 'error' }>): GfsError {
    const error = errorOfDetail(detail);
    if (error.code !== 'WRONG_SERVICE') return error;
    const what = `what answers at ${this.#home.address} is not a ${programOf(this.route)}`;
    return new GfsError('WRONG_SERVICE', what, { cause: error });
  }
}

class UnaryCall extends ClientCall {
  readonly #data: Encoded;
  readonly #resolve: (reply: Reply<unknown>) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    home: SimConnection,
    route: Route,
    options: CallOptions,
    work: { data: Encoded; resolve: (reply: Reply<unknown>) => void; reject: (error: unknown) => void },
  ) {
    super(home, route, options);
    this.#data = work.data;
    this.#resolve = work.resolve;
    this.#reject = work.reject;
  }

  protected override onlyRequest(): Encoded {
    return this.#data;
  }

  protected override begun(): void {}

  protected override received(frame: Frame): void {
    if (frame.kind !== 'message' || frame.data === undefined) return;
    const { message, payload } = frame.data;
    const reply = decodeMessage(this.route.method.responseType, message, payload, this.route.fullName);
    if (this.finish()) this.#resolve(reply);
  }

  protected override failed(error: unknown): void {
    this.#reject(error);
  }
}

class StreamCall extends ClientCall implements ClientStream<unknown, unknown> {
  readonly answers: Inbox<unknown>;
  readonly #sender: SimSender<unknown>;

  constructor(home: SimConnection, route: Route, options: StreamOptions) {
    super(home, route, options);
    this.#sender = new SimSender(route.method.requestType);
    this.answers = new Inbox(
      (bytes) => this.link?.send({ kind: 'credit', call: this.number, bytes }),
      () => this.cancel(),
    );
  }

  send(message: unknown, payload?: readonly Uint8Array[]): Promise<void> {
    return this.#sender.send(message, payload);
  }

  end(): void {
    this.#sender.end();
  }

  async finished(): Promise<Incoming<unknown>> {
    const { done, value } = await this.answers.next();
    if (done) throw new GfsError('INTERNAL', `${this.route.fullName} ended without an answer`);
    return value;
  }

  cancel(reason?: unknown): void {
    this.cancelWith(new GfsError('CANCELLED', `${this.route.fullName} was cancelled`, { cause: reason }));
  }

  protected override onlyRequest(): undefined {
    return undefined;
  }

  protected override begun(link: LinkEnd): void {
    this.#sender.start(link, this.number);
  }

  protected override received(frame: Frame): void {
    if (frame.kind === 'credit') this.#sender.credit(frame.bytes);
    if (frame.kind !== 'message') return;
    if (frame.data !== undefined) {
      const { message, payload } = frame.data;
      const { responseType } = this.route.method;
      this.answers.push(
        decodeMessage(responseType, message, payload, this.route.fullName),
        windowBytesOf(frame.data),
      );
    }
    if (frame.end && this.finish()) {
      this.answers.end();
      this.#sender.stop(new GfsError('CANCELLED', `${this.route.fullName} has ended`));
    }
  }

  protected override failed(error: unknown): void {
    this.answers.fail(error);
    this.#sender.stop(error);
  }
}
