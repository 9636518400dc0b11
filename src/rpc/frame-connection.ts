import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { parseAddress } from './address.ts';
import type { CallHome } from './client-call.ts';
import { ClientLink } from './client-link.ts';
import { routeOf } from './contract.ts';
import type { Deadlines } from './deadlines.ts';
import { type FrameCall, StreamCall, UnaryCall } from './frame-call.ts';
import { dialFrames } from './frame-dial.ts';
import type { Limits } from './limits.ts';
import type { CallOptions, ClientStream, Connection, Method, Reply, StreamOptions } from './network.ts';
import type { RequestIds } from './request-ids.ts';
import { encodeMessage } from './wire-message.ts';

export interface ConnectionParts {
  readonly env: Env;
  readonly deadlines: Deadlines;
  readonly requestIds: RequestIds;
  readonly limits: Limits;
}

/** `Connection` over frames: calls in line until there is a link, the link that is there, or a new dial. */
export class FrameConnection implements Connection, CallHome {
  readonly address: string;
  readonly env: Env;
  readonly deadlines: Deadlines;
  readonly #requestIds: RequestIds;
  readonly #limits: Limits;
  readonly #lossListeners: ((error: Error) => void)[] = [];
  /** In line for the link; calls that are over are skipped when their turn comes. */
  readonly #unaryLine: FrameCall[] = [];
  readonly #streamLine: FrameCall[] = [];
  #link: ClientLink | undefined;
  #dialling: AbortController | undefined;
  #drainAsked = false;
  #closed = false;
  #closing: Promise<void> | undefined;
  #onQuiet: (() => void) | undefined;

  constructor(address: string, { env, deadlines, requestIds, limits }: ConnectionParts) {
    // What is no address is the caller's mistake: said at once, not at the first call.
    parseAddress(address);
    this.address = address;
    this.env = env;
    this.deadlines = deadlines;
    this.#requestIds = requestIds;
    this.#limits = limits;
  }

  call<Req, Res>(method: Method<Req, Res>, request: Req, options: CallOptions = {}): Promise<Reply<Res>> {
    return new Promise((resolve, reject) => {
      const encoded = encodeMessage(method.requestType, request, options.payload);
      const requestId = options.requestId ?? this.#requestIds.next();
      const call = new UnaryCall(this, routeOf(method), requestId, options, {
        request: encoded,
        resolve: resolve as (reply: Reply<unknown>) => void,
        reject,
      });
      this.#begin(call, this.#unaryLine);
    });
  }

  stream<Req, Res>(method: Method<Req, Res>, options: StreamOptions = {}): ClientStream<Req, Res> {
    const call = new StreamCall(this, routeOf(method), options.requestId ?? this.#requestIds.next(), options);
    this.#begin(call, this.#streamLine);
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

  ended(call: FrameCall): void {
    this.#link?.forget(call);
    if (this.#unaryLine.length > 0 || this.#streamLine.length > 0) this.#pump();
    if (this.#onQuiet !== undefined && this.#quiet()) this.#onQuiet();
  }

  #begin(call: FrameCall, line: FrameCall[]): void {
    if (this.#closed) {
      call.fail(new GfsError('CANCELLED', `the connection to ${this.address} was closed`));
      return;
    }
    call.watch();
    if (call.over) return;
    if (line.length === 0 && this.#link?.hasRoomFor(call)) {
      this.#link.begin(call);
      return;
    }
    if (line.length >= this.#limits.callsWaitingMax) {
      call.fail(new GfsError('UNAVAILABLE', `${line.length} calls are waiting for ${this.address} already`));
      return;
    }
    line.push(call);
    if (this.#link === undefined) this.#dial();
    else this.#awaitDrain(this.#link);
  }

  #pump(): void {
    const link = this.#link;
    if (link === undefined) return;
    for (const line of [this.#unaryLine, this.#streamLine]) {
      for (let next = line[0]; next !== undefined; next = line[0]) {
        if (!next.over && !link.hasRoomFor(next)) break;
        line.shift();
        if (!next.over) link.begin(next);
      }
    }
    if (this.#unaryLine.length > 0) this.#awaitDrain(link);
  }

  /** Calls that wait for a place go on when another ends; those that wait for the socket, when it drains. */
  #awaitDrain(link: ClientLink): void {
    if (this.#drainAsked || !link.congested) return;
    this.#drainAsked = true;
    link.onDrain(() => {
      this.#drainAsked = false;
      this.#pump();
    });
  }

  #dial(): void {
    if (this.#dialling !== undefined) return;
    const abort = new AbortController();
    this.#dialling = abort;
    const { env, address } = this;
    dialFrames(env, address, this.#limits.dialTimeoutMs, abort.signal).then(
      (dialled) => {
        this.#dialling = undefined;
        if (this.#closed && this.#quiet()) {
          dialled.socket.destroy();
          return;
        }
        this.#link = new ClientLink(dialled, this, this.#limits, {
          lost: (error) => this.#onLinkLost(error),
        });
        env.log.debug({ server: address }, `connected to ${address}`);
        this.#pump();
      },
      (error: unknown) => {
        this.#dialling = undefined;
        this.#failLine(error);
      },
    );
  }

  #onLinkLost(error: Error): void {
    this.#link = undefined;
    if (this.#closed) {
      this.#failLine(error);
      return;
    }
    this.env.log.debug({ server: this.address }, error.message);
    for (const listener of this.#lossListeners) listener(error);
    // Those in line were never sent: they may try a new connection.
    if (this.#unaryLine.length > 0 || this.#streamLine.length > 0) this.#dial();
  }

  #failLine(error: unknown): void {
    for (const call of [...this.#unaryLine.splice(0), ...this.#streamLine.splice(0)]) call.fail(error);
  }

  #quiet(): boolean {
    return (
      (this.#link?.callCount ?? 0) === 0 &&
      this.#unaryLine.every((call) => call.over) &&
      this.#streamLine.every((call) => call.over)
    );
  }

  async #close(): Promise<void> {
    this.#closed = true;
    if (!this.#quiet()) {
      await new Promise<void>((resolve) => {
        const timer = this.env.setTimer(this.#limits.closeGraceMs, resolve);
        this.#onQuiet = () => {
          timer.cancel();
          resolve();
        };
      });
      this.#onQuiet = undefined;
    }
    const error = new GfsError('CANCELLED', `the connection to ${this.address} was closed`);
    this.#dialling?.abort();
    this.#failLine(error);
    await this.#link?.end(error);
  }
}
