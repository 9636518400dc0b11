import type { Env, Timer } from '../base/env.ts';
import { SECOND_MS } from '../base/units.ts';
import type { VersionRecord } from '../core/replica-types.ts';
import { type ApplyRequest, ChunkserverDefinition, type Order } from '../rpc/messages.ts';
import type { Connection } from '../rpc/network.ts';
import { PROBE_MS_MAX, WATCH_AFTER_MS } from '../rpc/watched-call.ts';
import { APPLY_MS_MAX, type OrderInFlight, OrderLine } from './order-line.ts';
import { type Peers, probeOf } from './peers.ts';
import { noSuchChunk, wrongVersion } from './wire.ts';

/** That long a member may take to say which version it is at. */
const CONFIRM_MS_MAX = 2 * SECOND_MS;

const { apply, checkVersion } = ChunkserverDefinition.methods;

interface Secondary {
  readonly server: number;
  readonly connection: Connection;
  readonly line: OrderLine;
  /** When orders were given that it has not acknowledged, oldest first, by serial. */
  readonly waiting: Map<number, number>;
  probing: boolean;
}

export interface SecondariesOptions {
  readonly env: Env;
  readonly peers: Peers;
  readonly record: VersionRecord;
  readonly self: number;
  /** What carries orders. */
  readonly request: (orders: Order[]) => ApplyRequest;
  /** `bit`: the member's, in the core's count; 0 is the primary. */
  readonly onApplied: (serial: number, bit: number) => void;
  /** A member does not do as ordered, or is silent. */
  readonly onFailed: (server: number, error: unknown) => void;
}

/** The other members of a version, as its primary deals with them: orders, notices, questions. */
export class Secondaries {
  readonly #options: SecondariesOptions;
  readonly #all: readonly Secondary[];
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: SecondariesOptions) {
    this.#options = options;
    const { env, peers, record, self, request, onApplied, onFailed } = options;
    const others = record.members.filter(({ server }) => server !== self);
    this.#all = others.map(({ server, address }, index) => {
      const connection = peers.at(address);
      const waiting = new Map<number, number>();
      const line = new OrderLine({
        env,
        connection,
        request,
        onApplied: (serial) => {
          waiting.delete(serial);
          onApplied(serial, index + 1);
        },
        onFailed: (error) => {
          // It is not watched any more: the master was told.
          waiting.clear();
          onFailed(server, error);
        },
      });
      return { server, connection, line, waiting, probing: false };
    });
  }

  /** What waits is not sent any more, and nobody is watched. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const { line } of this.#all) line.close();
  }

  /** To all at once; what becomes of it is told to `onApplied` and `onFailed`. */
  order(order: OrderInFlight): void {
    const nowMs = this.#options.env.monotonicMs();
    for (const { line, waiting } of this.#all) {
      waiting.set(order.message.serial, nowMs);
      line.send(order);
    }
    this.#watch();
  }

  /** Each is told what is committed; `onLost` hears of those that could not be. */
  notify(notice: ApplyRequest, onLost: (error: unknown) => void): Promise<unknown> {
    const deadlineMs = this.#options.env.monotonicMs() + APPLY_MS_MAX;
    return Promise.all(
      this.#all.map(({ connection }) => connection.call(apply, notice, { deadlineMs }).catch(onLost)),
    );
  }

  /**
   * Resolves when each has said that it is at this version. `mayBeAbsent`: nobody was ordered anything yet, and the
   * replicas will be created (P23).
   */
  async confirmVersion(mayBeAbsent: () => boolean, requestId: string): Promise<void> {
    const { env, record, onFailed } = this.#options;
    const { chunk, version } = record;
    await Promise.all(
      this.#all.map(async ({ connection, server }) => {
        try {
          const options = { deadlineMs: env.monotonicMs() + CONFIRM_MS_MAX, requestId };
          const reply = await connection.call(checkVersion, { chunks: [chunk] }, options);
          const [state] = reply.message.chunks;
          if (state === undefined && mayBeAbsent()) return;
          if (state === undefined) throw noSuchChunk(chunk);
          if (state.version !== version || state.lost) throw wrongVersion(chunk, state.version, version);
        } catch (error) {
          onFailed(server, error);
          throw error;
        }
      }),
    );
  }

  /** A member that is silent is noticed long before an order's deadline; one whose disk is slow is left in peace. */
  #watch(): void {
    if (this.#timer !== undefined || this.#closed) return;
    const { env } = this.#options;
    this.#timer = env.setTimer(WATCH_AFTER_MS / 2, () => {
      this.#timer = undefined;
      const lateMs = env.monotonicMs() - WATCH_AFTER_MS;
      let isBusy = false;
      for (const secondary of this.#all) {
        const [oldestMs] = secondary.waiting.values();
        if (oldestMs === undefined) continue;
        isBusy = true;
        if (oldestMs <= lateMs && !secondary.probing) this.#probe(secondary);
      }
      if (isBusy) this.#watch();
    });
  }

  #probe(secondary: Secondary): void {
    secondary.probing = true;
    const { env, onFailed } = this.#options;
    const { connection, server } = secondary;
    const deadlineMs = env.monotonicMs() + PROBE_MS_MAX;
    probeOf(connection)({ deadlineMs })
      .catch((error: unknown) => onFailed(server, error))
      .finally(() => {
        secondary.probing = false;
      });
  }
}
