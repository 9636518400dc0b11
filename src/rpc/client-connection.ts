import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { parseAddress } from './address.ts';
import type { CallFigures } from './call-figures.ts';
import type { CallHome, ClientCall } from './client-call.ts';
import { type Route, routeOf } from './contract.ts';
import type { Deadlines } from './deadlines.ts';
import type { Limits } from './limits.ts';
import type { CallOptions, ClientStream, Connection, Method, Reply, StreamOptions } from './network.ts';

export interface ConnectionParts {
  readonly env: Env;
  readonly deadlines: Deadlines;
  readonly limits: Limits;
  readonly figures: CallFigures;
}

/** Whoever waits for the answer of a call that is no stream. */
export interface Asker {
  resolve(reply: Reply<unknown>): void;
  reject(error: unknown): void;
}

/** What `Connection` is over every transport: how calls begin, who hears of losses, and how it closes. */
export abstract class ClientConnection<Call extends ClientCall> implements Connection, CallHome {
  readonly address: string;
  readonly env: Env;
  readonly deadlines: Deadlines;
  readonly figures: CallFigures;
  readonly log: Logger;
  protected readonly limits: Limits;
  readonly #lossListeners: ((error: Error) => void)[] = [];
  #closed = false;
  #closing: Promise<void> | undefined;
  #onQuiet: (() => void) | undefined;

  constructor(address: string, { env, deadlines, limits, figures }: ConnectionParts) {
    // What is no address is the caller's mistake: said at once, not at the first call.
    parseAddress(address);
    this.address = address;
    this.env = env;
    this.deadlines = deadlines;
    this.limits = limits;
    this.figures = figures;
    this.log = env.log.of('calls');
  }

  call<Req, Res>(method: Method<Req, Res>, request: Req, options: CallOptions = {}): Promise<Reply<Res>> {
    return new Promise((resolve, reject) => {
      const asker: Asker = { resolve: resolve as Asker['resolve'], reject };
      const requestId = options.requestId ?? this.env.newRequestId();
      this.#begin(this.newCall(routeOf(method), request, requestId, options, asker));
    });
  }

  stream<Req, Res>(method: Method<Req, Res>, options: StreamOptions = {}): ClientStream<Req, Res> {
    const call = this.newStream(routeOf(method), options.requestId ?? this.env.newRequestId(), options);
    this.#begin(call);
    return call as unknown as ClientStream<Req, Res>;
  }

  onLost(listener: (error: Error) => void): void {
    this.#lossListeners.push(listener);
  }

  /** Calls in flight may finish, for a second; then they fail. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  ended(call: Call): void {
    this.left(call);
    if (this.#onQuiet !== undefined && this.quiet) this.#onQuiet();
  }

  protected abstract newCall(
    route: Route,
    request: unknown,
    requestId: string,
    options: CallOptions,
    asker: Asker,
  ): Call;
  protected abstract newStream(
    route: Route,
    requestId: string,
    options: StreamOptions,
  ): Call & ClientStream<unknown, unknown>;
  /** A call that nothing is in the way of, yet. */
  protected abstract begin(call: Call): void;
  /** The call is over. */
  protected abstract left(call: Call): void;
  /** No call is there that is not over. */
  protected abstract get quiet(): boolean;
  /** Ends what is still there; calls fail with `error`. */
  protected abstract cutOff(error: GfsError): Promise<void> | void;

  protected get closed(): boolean {
    return this.#closed;
  }

  protected tellLoss(error: Error): void {
    for (const listener of this.#lossListeners) listener(error);
  }

  #begin(call: Call): void {
    if (this.#closed) {
      call.fail(this.#closedError());
      return;
    }
    call.watch();
    if (!call.over) this.begin(call);
  }

  async #close(): Promise<void> {
    this.#closed = true;
    if (!this.quiet) {
      await new Promise<void>((resolve) => {
        const timer = this.env.setTimer(this.limits.closeGraceMs, resolve);
        this.#onQuiet = () => {
          timer.cancel();
          resolve();
        };
      });
      this.#onQuiet = undefined;
    }
    await this.cutOff(this.#closedError());
  }

  #closedError(): GfsError {
    return new GfsError('CANCELLED', `the connection to ${this.address} was closed`);
  }
}
