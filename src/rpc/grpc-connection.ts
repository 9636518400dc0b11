import type { Client } from '@grpc/grpc-js';
import type { Env, Timer } from '../base/env.ts';
import type { GfsError } from '../base/errors.ts';
import { type Asker, ClientConnection } from './client-connection.ts';
import type { Route } from './contract.ts';
import { lostError, silenceWords } from './failure.ts';
import { type GrpcCall, GrpcStreamCall, GrpcUnaryCall } from './grpc-call.ts';
import { grpcJs } from './grpc-js.ts';
import { channelOptions, encodeWhole } from './grpc-wire.ts';
import type { Limits } from './limits.ts';
import type { CallOptions, StreamOptions } from './network.ts';

/** `Connection` over gRPC: a channel, and a new one once it was lost, so that grpc-js's own backoff never holds up a call. */
export class GrpcConnection extends ClientConnection<GrpcCall> {
  readonly #calls = new Set<GrpcCall>();
  #channel: Channel | undefined;

  protected override newCall(
    route: Route,
    request: unknown,
    requestId: string,
    options: CallOptions,
    asker: Asker,
  ): GrpcUnaryCall {
    const bytes = encodeWhole(route.method.requestType, request, options.payload);
    return new GrpcUnaryCall(this, route, requestId, options, bytes, asker);
  }

  protected override newStream(route: Route, requestId: string, options: StreamOptions): GrpcStreamCall {
    return new GrpcStreamCall(this, route, requestId, options);
  }

  protected override begin(call: GrpcCall): void {
    this.#calls.add(call);
    this.#channel ??= this.#newChannel();
    call.begin(this.#channel);
  }

  protected override left(call: GrpcCall): void {
    this.#calls.delete(call);
  }

  protected override get quiet(): boolean {
    return this.#calls.size === 0;
  }

  protected override cutOff(error: GfsError): void {
    for (const call of [...this.#calls]) call.cancelWith(error);
    this.#channel?.close();
  }

  #newChannel(): Channel {
    const channel: Channel = new Channel(this.env, this.address, this.limits, (wasReady) => {
      if (this.#channel === channel) this.#channel = undefined;
      if (!wasReady || this.closed) return;
      this.tellLoss(lostError(this.address, new Error('closed by the other side')));
    });
    return channel;
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
    const { Client, credentials } = grpcJs();
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
    const { connectivityState } = grpcJs();
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
