import { assert } from '../../src/base/assert.ts';
import type { Timer } from '../../src/base/env.ts';
import { GfsError } from '../../src/base/errors.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import type {
  Handlers,
  RequestStreamHandler,
  ResponseStreamHandler,
  Route,
  UnaryHandler,
} from '../../src/rpc/contract.ts';
import { detailOf, failureOf } from '../../src/rpc/failure.ts';
import { Inbox } from '../../src/rpc/inbox.ts';
import type { Incoming, Listener, Outgoing, ServerContext, ServerStream } from '../../src/rpc/network.ts';
import { decodeMessage, type Encoded } from '../../src/rpc/wire-message.ts';
import type { SimEnv } from './sim-env.ts';
import type { Frame, LinkEnd, LinkUser } from './sim-link.ts';
import { packed, SimSender, windowBytesOf } from './sim-stream.ts';

/** How long `close` lets calls in flight finish. */
const CLOSE_GRACE_MS = 1 * SECOND_MS;

/** A process that serves at an address. */
export class SimListener implements Listener {
  readonly address: string;
  readonly env: SimEnv;
  readonly handlers: Handlers;
  readonly #onClosed: () => void;
  readonly #sessions = new Set<ServerSession>();
  #onQuiet: (() => void) | undefined;
  #closing = false;

  constructor(address: string, env: SimEnv, handlers: Handlers, onClosed: () => void) {
    this.address = address;
    this.env = env;
    this.handlers = handlers;
    this.#onClosed = onClosed;
  }

  get accepting(): boolean {
    return this.env.alive && !this.#closing;
  }

  accept(link: LinkEnd): void {
    const session = new ServerSession(this, link);
    this.#sessions.add(session);
    link.serve(session);
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    for (const session of this.#sessions) session.endStreams();
    if (this.#busy) {
      await new Promise<void>((resolve) => {
        this.#onQuiet = resolve;
        this.env.setTimer(CLOSE_GRACE_MS, resolve);
      });
    }
    for (const session of this.#sessions) session.close();
    this.#onClosed();
  }

  sessionEnded(session: ServerSession): void {
    this.#sessions.delete(session);
    this.callEnded();
  }

  callEnded(): void {
    if (!this.#busy) this.#onQuiet?.();
  }

  get #busy(): boolean {
    return [...this.#sessions].some((session) => session.busy);
  }
}

/** One connection, as the server sees it. */
class ServerSession implements LinkUser {
  readonly listener: SimListener;
  readonly link: LinkEnd;
  readonly #calls = new Map<number, ServerCall>();

  constructor(listener: SimListener, link: LinkEnd) {
    this.listener = listener;
    this.link = link;
  }

  get busy(): boolean {
    return this.#calls.size > 0;
  }

  receive(frame: Frame): void {
    if (frame.kind === 'closed') return;
    if (frame.kind !== 'open') {
      this.#calls.get(frame.call)?.receive(frame);
      return;
    }
    const call = new ServerCall(this, frame);
    this.#calls.set(frame.call, call);
    if (this.listener.accepting) call.run();
    else call.fail(new GfsError('UNAVAILABLE', `${this.listener.address} is closing`));
  }

  broken(reason: string): void {
    const error = new GfsError('CANCELLED', `the caller's connection is lost: ${reason}`);
    for (const call of [...this.#calls.values()]) call.giveUp(error);
    this.listener.sessionEnded(this);
  }

  ended(call: ServerCall): void {
    this.#calls.delete(call.number);
    this.listener.callEnded();
  }

  endStreams(): void {
    const error = new GfsError('UNAVAILABLE', `${this.listener.address} is closing`);
    for (const call of [...this.#calls.values()]) if (call.isStream) call.fail(error);
  }

  close(): void {
    this.link.close();
    const error = new GfsError('CANCELLED', 'the server closes');
    for (const call of [...this.#calls.values()]) call.giveUp(error);
  }
}

class ServerCall implements ServerContext, ServerStream<unknown, unknown> {
  readonly number: number;
  readonly requestId: string;
  readonly deadlineMs: number | undefined;
  readonly peer: string;
  readonly #session: ServerSession;
  readonly #route: Route;
  readonly #onlyRequest: Encoded | undefined;
  /** Made when somebody looks at it: few handlers do. */
  #abort: AbortController | undefined;
  /** Of streams: most calls are none. */
  readonly #inbox: Inbox<unknown> | undefined;
  readonly #sender: SimSender<unknown> | undefined;
  readonly #timer: Timer | undefined;
  #over = false;
  #error: GfsError | undefined;

  constructor(session: ServerSession, frame: Extract<Frame, { kind: 'open' }>) {
    const { call, route, requestId, deadlineLeftMs, data } = frame;
    const { env } = session.listener;
    this.#session = session;
    this.#route = route;
    this.number = call;
    this.requestId = requestId;
    this.peer = session.link.peer?.address ?? '';
    this.deadlineMs = deadlineLeftMs === undefined ? undefined : env.monotonicMs() + deadlineLeftMs;
    this.#timer =
      deadlineLeftMs === undefined ? undefined : env.setTimer(deadlineLeftMs, () => this.#expire());
    this.#onlyRequest = data;
    if (!this.isStream) return;
    this.#inbox = new Inbox(
      (bytes) => session.link.send({ kind: 'credit', call, bytes }),
      () => undefined,
    );
    this.#sender = new SimSender(route.method.responseType);
    this.#sender.start(session.link, call);
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#error !== undefined) this.#abort.abort(this.#error);
    }
    return this.#abort.signal;
  }

  get requests(): AsyncIterable<Incoming<unknown>> {
    return ofStream(this.#inbox);
  }

  metadata(): undefined {
    return undefined;
  }

  get isStream(): boolean {
    return this.#route.method.requestStream || this.#route.method.responseStream;
  }

  send(message: unknown, payload?: readonly Uint8Array[]): Promise<void> {
    return ofStream(this.#sender).send(message, payload);
  }

  run(): void {
    this.#handle().then(
      (answer) => this.#answer(answer),
      (error: unknown) => this.fail(error),
    );
  }

  receive(frame: Frame): void {
    if (frame.kind === 'credit') this.#sender?.credit(frame.bytes);
    if (frame.kind === 'cancel') this.giveUp(new GfsError('CANCELLED', 'the caller has cancelled'));
    if (frame.kind !== 'message') return;
    if (frame.data !== undefined) this.#inbox?.push(this.#decoded(frame.data), windowBytesOf(frame.data));
    if (frame.end) this.#inbox?.end();
  }

  /** The handler failed, or is not wanted: the caller is told. */
  fail(thrown: unknown): void {
    if (this.#over) return;
    const { env } = this.#session.listener;
    const error = failureOf(thrown, {
      log: env.log,
      requestId: this.requestId,
      method: this.#route.fullName,
      onBug: (bug) => env.simulation.fail(bug),
    });
    this.#session.link.send({ kind: 'error', call: this.number, detail: detailOf(error) });
    this.#finish(error);
  }

  /** Nobody waits for the answer any more. */
  giveUp(error: GfsError): void {
    if (this.#over) return;
    this.#finish(error);
  }

  async #handle(): Promise<Outgoing<unknown> | undefined> {
    const handler = this.#session.listener.handlers.of(this.#route);
    const { requestStream, responseStream } = this.#route.method;
    if (responseStream) {
      await (handler as ResponseStreamHandler)(this, this);
      return undefined;
    }
    if (requestStream) return await (handler as RequestStreamHandler)(ofStream(this.#inbox), this);
    if (this.#onlyRequest === undefined) throw new GfsError('INVALID_ARGUMENT', 'a call without a request');
    return await (handler as UnaryHandler)(this.#decoded(this.#onlyRequest), this);
  }

  #answer(answer: Outgoing<unknown> | undefined): void {
    if (this.#over) return;
    let data: Encoded | undefined;
    try {
      if (answer !== undefined)
        data = packed(this.#route.method.responseType, answer.message, answer.payload);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.#session.link.send({ kind: 'message', call: this.number, data, end: true });
    this.#finish(undefined);
  }

  #finish(error: GfsError | undefined): void {
    this.#over = true;
    this.#timer?.cancel();
    const { env } = this.#session.listener;
    const { requestId, peer } = this;
    const code = error?.code ?? 'OK';
    env.log.of('rpc').debug({ requestId, method: this.#route.fullName, peer, code }, 'a call ended');
    this.#session.ended(this);
    this.#error = error;
    if (error !== undefined) this.#abort?.abort(error);
    if (!this.isStream) return;
    const end = error ?? new GfsError('CANCELLED', 'the call has ended');
    this.#inbox?.fail(end);
    this.#sender?.stop(end);
  }

  #expire(): void {
    this.giveUp(new GfsError('DEADLINE_EXCEEDED', `${this.#route.fullName} took too long`));
  }

  #decoded({ message, payload }: Encoded): Incoming<unknown> {
    return decodeMessage(this.#route.method.requestType, message, payload, this.#route.fullName);
  }
}

function ofStream<T>(part: T | undefined): T {
  assert(part !== undefined, 'only streams have one');
  return part;
}
