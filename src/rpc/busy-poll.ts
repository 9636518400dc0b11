import { availableParallelism } from 'node:os';
import type { Env } from '../base/env.ts';

/** About as long as a client on the same machine takes from an answer to its next request. */
const POLL_MS = 0.25;
/** When the last request came later than that behind an answer, nobody asks one thing after the other. */
const GAP_MS_MAX = 0.5;
/** An answer that took longer has waited for a disk: what waking costs does not matter beside that. */
const ANSWER_MS_MAX = 0.25;
/** A turn of the event loop in which nothing arrives takes a few microseconds, if nobody else wants the processor. */
const TURN_MS_MAX = 0.05;

export interface BusyPollOptions {
  readonly env: Pick<Env, 'monotonicMs'>;
  /** Runs the task in the next turn of the event loop, behind what has arrived by then. */
  readonly nextTurn?: (task: () => void) => void;
}

/**
 * Busy polling: while requests come close behind answers that took no time, this process looks for the next one for a moment before
 * it sleeps. To wake it would cost more than such an answer does. When somebody else wants the processor he gets it.
 */
export class BusyPoll {
  readonly #env: Pick<Env, 'monotonicMs'>;
  readonly #nextTurn: (task: () => void) => void;
  readonly #turn = () => this.#poll();
  #isPolling = false;
  #untilMs = 0;
  #turnMs = 0;
  #arrivedMs = 0;
  #answeredMs = 0;
  #gapMs = Number.POSITIVE_INFINITY;

  constructor({ env, nextTurn = setImmediate }: BusyPollOptions) {
    this.#env = env;
    this.#nextTurn = nextTurn;
  }

  /** Undefined on a machine where whoever polls would have the only processor. */
  static orNone(env: Env): BusyPoll | undefined {
    return availableParallelism() > 1 ? new BusyPoll({ env }) : undefined;
  }

  /** An answer is on its way. */
  answered(): void {
    this.#answeredMs = this.#env.monotonicMs();
    if (this.#gapMs > GAP_MS_MAX || this.#answeredMs - this.#arrivedMs > ANSWER_MS_MAX) return;
    this.#turnMs = this.#answeredMs;
    this.#untilMs = this.#answeredMs + POLL_MS;
    if (this.#isPolling) return;
    this.#isPolling = true;
    this.#nextTurn(this.#turn);
  }

  /** A request has come. */
  arrived(): void {
    this.#isPolling = false;
    this.#arrivedMs = this.#env.monotonicMs();
    this.#gapMs = this.#arrivedMs - this.#answeredMs;
  }

  #poll(): void {
    if (!this.#isPolling) return;
    const nowMs = this.#env.monotonicMs();
    const isWanted = nowMs - this.#turnMs > TURN_MS_MAX;
    this.#turnMs = nowMs;
    if (nowMs < this.#untilMs && !isWanted) this.#nextTurn(this.#turn);
    else this.#isPolling = false;
  }
}
