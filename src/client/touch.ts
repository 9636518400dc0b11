import type { Env, Timer } from '../base/env.ts';

/** Less than a session that the master waits for may be silent (a second): there has to be time to pass the word on. */
const OUT_OF_TOUCH_MS = 800;
const PING_INTERVAL_MS = 200;

export interface TouchOptions {
  readonly env: Env;
  /** Sends a number that the master sends back. */
  readonly ping: (number: number) => void;
  /** The master was not heard in time: it may be answering others without us. */
  readonly onLost: () => void;
  /** It was heard again. */
  readonly onFound: () => void;
}

/**
 * Whether the master was heard of late. A kernel that believes answers for an hour must be told within a second that nobody
 * tells us of changes any more: for so long the master holds back the answers of others, no longer.
 */
export class Touch {
  readonly #options: TouchOptions;
  readonly #beginMs: number;
  #lost = false;
  #watch: Timer | undefined;
  #next: Timer | undefined;

  /** `heardMs`: when that was asked which the master has just answered. */
  constructor(options: TouchOptions, heardMs: number) {
    this.#options = options;
    this.#beginMs = heardMs;
    this.#heard(heardMs);
    this.#ping();
  }

  /** What the master sent back. */
  ponged(number: number): void {
    this.#heard(this.#beginMs + number - 1);
  }

  close(): void {
    this.#watch?.cancel();
    this.#next?.cancel();
  }

  /** By when it was asked: the answer may have lain here, or on the way. */
  #heard(askedMs: number): void {
    const { env, onLost, onFound } = this.#options;
    const leftMs = askedMs + OUT_OF_TOUCH_MS - env.monotonicMs();
    if (leftMs <= 0) return;
    this.#watch?.cancel();
    this.#watch = env.setTimer(leftMs, () => {
      this.#lost = true;
      onLost();
    });
    if (this.#lost) onFound();
    this.#lost = false;
  }

  #ping(): void {
    const { env, ping } = this.#options;
    ping(Math.floor(env.monotonicMs() - this.#beginMs) + 1);
    this.#next = env.setTimer(PING_INTERVAL_MS, () => this.#ping());
  }
}
