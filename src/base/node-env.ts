import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Env, Timer } from './env.ts';
import { GfsError } from './errors.ts';
import type { Logger } from './log.ts';
import { RequestIds } from './request-ids.ts';

/** setTimeout fires at once for more than 2^31 - 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;
const MICROS_PER_MS = 1000;
/** Of a millisecond. */
const LAST_MICRO = 0.999;

/** The real clock, timers and dice. The one file that may touch them. */
export class NodeEnv implements Env {
  readonly log: Logger;
  readonly #requestIds = new RequestIds(() => this.random());
  /** What the wall clock showed, as far as is known, when the other one was at 0. */
  #wallZeroMs = 0;

  constructor(log: Logger) {
    this.log = log;
  }

  nowMs(): number {
    return Date.now();
  }

  /** The wall clock tells whole milliseconds, and the other one what has passed since the last of them began. */
  nowMicros(): number {
    const wallMs = Date.now();
    const sinceZeroMs = performance.now();
    const guessMs = this.#wallZeroMs + sinceZeroMs;
    const nowMs = Math.min(Math.max(wallMs, guessMs), wallMs + LAST_MICRO);
    this.#wallZeroMs = nowMs - sinceZeroMs;
    return Math.floor(nowMs * MICROS_PER_MS);
  }

  monotonicMs(): number {
    return performance.now();
  }

  random(): number {
    return Math.random();
  }

  uniqueId(): string {
    return randomBytes(16).toString('hex');
  }

  newRequestId(): string {
    return this.#requestIds.next();
  }

  setTimer(delayMs: number, task: () => void): Timer {
    const timeout = setTimeout(task, Math.min(Math.max(0, delayMs), TIMER_MS_MAX));
    return { cancel: () => clearTimeout(timeout) };
  }

  sleep(delayMs: number, options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    return sleepWith(this, delayMs, options.signal);
  }
}

/** `Env.sleep` on top of any `setTimer`. */
export function sleepWith(env: Pick<Env, 'setTimer'>, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancelled = () => new GfsError('CANCELLED', 'cancelled while waiting', { cause: signal?.reason });
    if (signal?.aborted) {
      reject(cancelled());
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(cancelled());
    };
    const timer = env.setTimer(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
