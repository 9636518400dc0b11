import { unreachable } from '../base/assert.ts';
import type { Env } from '../base/env.ts';
import { type Metrics, noMetrics } from '../base/metrics.ts';
import { BusyPoll } from './busy-poll.ts';
import { CallFigures } from './call-figures.ts';
import { Handlers } from './contract.ts';
import { Deadlines } from './deadlines.ts';
import { FrameConnection } from './frame-connection.ts';
import { GrpcConnection } from './grpc-connection.ts';
import type { HttpRoutes } from './http.ts';
import { LIMITS_DEFAULT, type Limits } from './limits.ts';
import type { Connection, Listener, Network, ServiceBinding } from './network.ts';
import { Port } from './port.ts';
import { Serving } from './serving.ts';

export const TRANSPORTS = ['frames', 'grpc'] as const;
export type Transport = (typeof TRANSPORTS)[number];

export interface NodeNetworkOptions {
  readonly env: Env;
  /** What `connect` speaks; `listen` serves all. Frames unless said otherwise. */
  readonly transport?: Transport | undefined;
  readonly limits?: Partial<Limits> | undefined;
  /** A failed assertion in a handler: the process should end. Without it the failure is logged only. */
  readonly onBug?: ((error: unknown) => void) | undefined;
  /** Who is asked over frames looks for the next request for a moment before it sleeps (`BusyPoll`). */
  readonly busyPolls?: boolean | undefined;
  /** Is told how its calls are read. */
  readonly metrics?: Metrics | undefined;
  /** Paths beside /healthz that each of its ports answers to HTTP/1.1. */
  readonly http?: HttpRoutes | undefined;
  /** Served at each of its ports, beside what that was opened for. */
  readonly services?: readonly ServiceBinding[] | undefined;
}

/** `Network` over TCP. */
export class NodeNetwork implements Network {
  readonly #env: Env;
  readonly #transport: Transport;
  readonly #limits: Limits;
  readonly #deadlines: Deadlines;
  readonly #onBug: (error: unknown) => void;
  readonly #busyPolls: boolean;
  readonly #http: HttpRoutes | undefined;
  readonly #services: readonly ServiceBinding[];
  readonly #served = new CallFigures();
  readonly #asked = new CallFigures();

  constructor(options: NodeNetworkOptions) {
    const {
      env,
      transport,
      limits,
      onBug,
      busyPolls = false,
      metrics = noMetrics,
      http,
      services = [],
    } = options;
    this.#env = env;
    this.#transport = transport ?? 'frames';
    this.#limits = { ...LIMITS_DEFAULT, ...limits };
    this.#deadlines = new Deadlines(env);
    this.#onBug = onBug ?? (() => undefined);
    this.#busyPolls = busyPolls;
    this.#http = http;
    this.#services = services;
    metrics.add(this.#served.figures('server', 'from others to this process'));
    metrics.add(this.#asked.figures('client', 'from this process to others'));
  }

  listen(address: string, services: readonly ServiceBinding[]): Promise<Listener> {
    const serving = new Serving({
      env: this.#env,
      deadlines: this.#deadlines,
      limits: this.#limits,
      handlers: new Handlers([...services, ...this.#services]),
      figures: this.#served,
      onBug: this.#onBug,
      busyPoll: this.#busyPolls ? BusyPoll.orNone(this.#env) : undefined,
    });
    return Port.open(address, serving, this.#http);
  }

  connect(address: string): Connection {
    const parts = {
      env: this.#env,
      deadlines: this.#deadlines,
      limits: this.#limits,
      figures: this.#asked,
    };
    switch (this.#transport) {
      case 'frames':
        return new FrameConnection(address, parts);
      case 'grpc':
        return new GrpcConnection(address, parts);
      default:
        return unreachable(this.#transport);
    }
  }
}
