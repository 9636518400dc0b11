import { GfsError } from '../base/errors.ts';
import { type Asker, ClientConnection } from './client-connection.ts';
import { ClientLink } from './client-link.ts';
import type { Route } from './contract.ts';
import { type FrameCall, StreamCall, UnaryCall } from './frame-call.ts';
import { dialFrames } from './frame-dial.ts';
import type { CallOptions, StreamOptions } from './network.ts';
import { encodeMessage } from './wire-message.ts';

/** `Connection` over frames: calls in line until there is a link, the link that is there, or a new dial. */
export class FrameConnection extends ClientConnection<FrameCall> {
  /** In line for the link; calls that are over are skipped when their turn comes. */
  readonly #unaryLine: FrameCall[] = [];
  readonly #streamLine: FrameCall[] = [];
  #link: ClientLink | undefined;
  #dialling: AbortController | undefined;
  #drainAsked = false;

  protected override newCall(
    route: Route,
    request: unknown,
    requestId: string,
    options: CallOptions,
    asker: Asker,
  ): UnaryCall {
    const encoded = encodeMessage(route.method.requestType, request, options.payload);
    return new UnaryCall(this, route, requestId, options, encoded, asker);
  }

  protected override newStream(route: Route, requestId: string, options: StreamOptions): StreamCall {
    return new StreamCall(this, route, requestId, options);
  }

  protected override begin(call: FrameCall): void {
    const line = call.isStream ? this.#streamLine : this.#unaryLine;
    if (line.length === 0 && this.#link?.hasRoomFor(call)) {
      this.#link.begin(call);
      return;
    }
    if (line.length >= this.limits.callsWaitingMax) {
      call.fail(new GfsError('UNAVAILABLE', `${line.length} calls are waiting for ${this.address} already`));
      return;
    }
    line.push(call);
    if (this.#link === undefined) this.#dial();
    else this.#awaitDrain(this.#link);
  }

  protected override left(call: FrameCall): void {
    this.#link?.forget(call);
    if (this.#unaryLine.length > 0 || this.#streamLine.length > 0) this.#pump();
  }

  protected override get quiet(): boolean {
    return (
      (this.#link?.callCount ?? 0) === 0 &&
      this.#unaryLine.every((call) => call.over) &&
      this.#streamLine.every((call) => call.over)
    );
  }

  protected override async cutOff(error: GfsError): Promise<void> {
    this.#dialling?.abort();
    this.#failLine(error);
    await this.#link?.end(error);
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
    dialFrames(env, address, this.limits.dialTimeoutMs, abort.signal).then(
      (dialled) => {
        this.#dialling = undefined;
        if (this.closed && this.quiet) {
          dialled.socket.destroy();
          return;
        }
        this.#link = new ClientLink(dialled, this, this.limits, {
          lost: (error) => this.#onLinkLost(error),
        });
        this.log.debug({ server: address }, 'connected');
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
    if (this.closed) {
      this.#failLine(error);
      return;
    }
    this.log.debug({ server: this.address, error }, 'the connection was lost');
    this.tellLoss(error);
    // Those in line were never sent: they may try a new connection.
    if (this.#unaryLine.length > 0 || this.#streamLine.length > 0) this.#dial();
  }

  #failLine(error: unknown): void {
    for (const call of [...this.#unaryLine.splice(0), ...this.#streamLine.splice(0)]) call.fail(error);
  }
}
