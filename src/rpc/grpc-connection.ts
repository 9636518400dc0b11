import { Client, connectivityState, credentials } from '@grpc/grpc-js';
import type { Env, Timer } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import { parseAddress } from './address.ts';
import type { CallHome } from './client-call.ts';
import { routeOf } from './contract.ts';
import type { Deadlines } from './deadlines.ts';
import { lostError, silenceWords } from './failure.ts';
import type { ConnectionParts } from './frame-connection.ts';
import { type GrpcCall, GrpcStreamCall, GrpcUnaryCall } from './grpc-call.ts';
import { channelOptions, encodeWhole } from './grpc-wire.ts';
import type { Limits } from './limits.ts';
import type { CallOptions, ClientStream, Connection, Method, Reply, StreamOptions } from './network.ts';
import type { RequestIds } from './request-ids.ts';

/** `Connection` over gRPC: a channel, and a new one once it was lost, so that grpc-js's own backoff never holds up a call. */
export class GrpcConnection implements Connection, CallHome {
  readonly address: string;
  readonly env: Env;
  readonly deadlines: Deadlines;
  readonly #requestIds: RequestIds;
  readonly #limits: Limits;
  readonly #lossListeners: ((error: Error) => void)[] = [];
  readonly #calls = new Set<GrpcCall>();
  #channel: Channel | undefined;
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
      const bytes = encodeWhole(method.requestType, request, options.payload);
      const requestId = options.requestId ?? this.#requestIds.next();
      this.#begin(
        new GrpcUnaryCall(this, routeOf(method), requestId, options, {
          request: bytes,
          resolve: resolve as (reply: Reply<unknown>) => void,
          reject,
        }),
      );
    });
  }

  stream<Req, Res>(method: Method<Req, Res>, options: StreamOptions = {}): ClientStream<Req, Res> {
    const requestId = options.requestId ?? this.#requestIds.next();
    const call = new GrpcStreamCall(this, routeOf(method), requestId, options);
    this.#begin(call);
    return call as unknown as ClientStream<Req, Res>;
  }

  onLost(listener: (error: Error) => void): void {
    this.#lossListeners.push(listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  ended(call: GrpcCall): void {
    this.#calls.delete(call);
    if (this.#calls.size === 0) this.#onQuiet?.();
  }

  #begin(call: GrpcCall): void {
    if (this.#closed) {
      call.fail(new GfsError('CANCELLED', `the connection to ${this.address} was closed`));
      return;
    }
    this.#calls.add(call);
    call.watch();
    if (call.over) return;
    this.#channel ??= this.#newChannel();
    call.begin(this.#channel);
  }

  #newChannel(): Channel {
    const channel: Channel = new Channel(this.env, this.address, this.#limits, (wasReady) => {
      if (this.#channel === channel) this.#channel = undefined;
      if (!wasReady || this.#closed) return;
      const error = lostError(this.address, new Error('closed by the other side'));
      for (const listener of this.#lossListeners) listener(error);
    });
    return channel;
  }

  async #close(): Promise<void> {
    this.#closed = true;
    if (this.#calls.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.env.setTimer(this.#limits.closeGraceMs, resolve);
        this.#onQuiet = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    const error = new GfsError('CANCELLED', `the connection to ${this.address} was closed`);
    for (const call of [...this.#calls]) call.cancelWith(error);
    this.#channel?.close();
  }
}

/** One channel of grpc-js, until its first loss. */
export class Channel {
  readonly client: Client;
  readonly #onGone: (wasReady: boolean) => void;
  readonly #patience: Timer;
  #wasReady = false;
  #gone = false;
  #reason: string | undefined;

  constructor(env: Env, address: string, limits: Limits, onGone: (wasReady: boolean) => void) {
    this.#onGone = onGone;
    const { dialTimeoutMs } = limits;
    this.#patience = env.setTimer(dialTimeoutMs, () => {
      this.#reason = silenceWords(dialTimeoutMs);
      this.#leave();
    });
    this.client = new Client(address, credentials.createInsecure(), {
      ...channelOptions(limits),
      // Each connection is its own: one that is lost or closed must not be shared behind our back.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.keepalive_time_ms': limits.pingAfterMs,
      'grpc.keepalive_timeout_ms': limits.silenceMsMax - limits.pingAfterMs,
    });
    this.#watch();
  }

  /** Why it was given up, where grpc-js cannot know. */
  get reason(): string | undefined {
    return this.#reason;
  }

  close(): void {
    this.#gone = true;
    this.#patience.cancel();
    this.client.close();
  }

  get wasReady(): boolean {
    return this.#wasReady;
  }

  #watch(): void {
    const channel = this.client.getChannel();
    const state = channel.getConnectivityState(false);
    switch (state) {
      case connectivityState.READY:
        this.#wasReady = true;
        this.#patience.cancel();
        break;
      case connectivityState.TRANSIENT_FAILURE:
        this.#leave();
        return;
      case connectivityState.IDLE:
      case connectivityState.CONNECTING:
        if (this.#wasReady) {
          this.#leave();
          return;
        }
        break;
      case connectivityState.SHUTDOWN:
        return;
    }
    // The channel lives as long as this watch; closing it ends the watch with an error.
    channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, (error) => {
      if (error === undefined) this.#watch();
    });
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#patience.cancel();
    this.#onGone(this.#wasReady);
    // Calls on it have failed or are about to: they are told by grpc-js before the channel is taken down.
    process.nextTick(() => this.client.close());
  }
}
