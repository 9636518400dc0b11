import type { Env, Timer } from '../base/env.ts';

/** Deadlines are met this much late at most, never early. */
const STEP_MS = 10;

export interface Expiring {
  /** Called once, when the time has come. */
  expire(): void;
}

/**
 * Many deadlines on one timer: adding and removing one costs a map look-up, since nearly all calls end long before
 * their deadline.
 */
export class Deadlines {
  readonly #env: Env;
  /** By the step in which they end; no set is empty. */
  readonly #steps = new Map<number, Set<Expiring>>();
  #timer: Timer | undefined;
  #timerStep = Number.POSITIVE_INFINITY;

  constructor(env: Env) {
    this.#env = env;
  }

  add(deadlineMs: number, item: Expiring): void {
    const step = stepOf(deadlineMs);
    const items = this.#steps.get(step);
    if (items === undefined) this.#steps.set(step, new Set([item]));
    else items.add(item);
    if (step < this.#timerStep) this.#arm(step);
  }

  /** Harmless when it is not there (any more). */
  remove(deadlineMs: number, item: Expiring): void {
    const step = stepOf(deadlineMs);
    const items = this.#steps.get(step);
    if (items === undefined || !items.delete(item) || items.size > 0) return;
    this.#steps.delete(step);
    // A timer that is left over would keep an idle process alive until it fires.
    if (this.#steps.size === 0) this.#disarm();
  }

  #arm(step: number): void {
    this.#timer?.cancel();
    this.#timerStep = step;
    this.#timer = this.#env.setTimer(step * STEP_MS - this.#env.monotonicMs(), () => this.#fire());
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerStep = Number.POSITIVE_INFINITY;
  }

  #fire(): void {
    this.#disarm();
    const now = this.#env.monotonicMs();
    for (const [step, items] of [...this.#steps]) {
      if (step * STEP_MS > now) continue;
      this.#steps.delete(step);
      for (const item of items) item.expire();
    }
    let next = Number.POSITIVE_INFINITY;
    for (const step of this.#steps.keys()) next = Math.min(next, step);
    if (next < this.#timerStep) this.#arm(next);
  }
}

function stepOf(deadlineMs: number): number {
  return Math.ceil(deadlineMs / STEP_MS);
}
