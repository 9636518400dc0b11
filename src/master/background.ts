import type { Env, Timer } from '../base/env.ts';
import { codeOf, messageOf } from '../base/errors.ts';
import type { Component, Logger } from '../base/log.ts';
import { TaskGroup } from '../base/task-group.ts';

export interface BackgroundOptions {
  /** For people: what is done, as in "deleting chunks of no use". */
  readonly name: string;
  readonly component: Component;
  readonly retryDelayMs: number;
  readonly round: () => Promise<number | undefined>;
}

/**
 * Work beside clients' calls that runs when there is something to do, one round at a time. `round` answers after how
 * many milliseconds it wants to run again, or nothing: then it sleeps until it is woken.
 */
export class Background {
  readonly #env: Env;
  readonly #log: Logger;
  readonly #name: string;
  readonly #round: () => Promise<number | undefined>;
  readonly #retryDelayMs: number;
  readonly #tasks: TaskGroup;
  #timer: Timer | undefined;
  /** When the timer fires; undefined while none is set. */
  #dueMs: number | undefined;
  #running = false;
  /** Woken during a round, and within which time: what woke it may have come too late for that round. */
  #againMs: number | undefined;
  #closed = false;

  constructor(env: Env, options: BackgroundOptions) {
    this.#env = env;
    this.#log = env.log.of(options.component);
    this.#name = options.name;
    this.#round = options.round;
    this.#retryDelayMs = options.retryDelayMs;
    this.#tasks = new TaskGroup((error) =>
      this.#log.error({ work: options.name, error }, 'work in the background failed'),
    );
  }

  /** Runs a round within so many milliseconds, never in this turn: what goes on in it ends first. */
  wake(withinMs = 0): void {
    if (this.#running) this.#againMs = Math.min(withinMs, this.#againMs ?? withinMs);
    else this.#runIn(withinMs);
  }

  /** No round starts any more; resolves when a running one has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#tasks.drain();
  }

  #runIn(delayMs: number): void {
    if (this.#closed) return;
    const dueMs = this.#env.monotonicMs() + delayMs;
    if (this.#dueMs !== undefined && this.#dueMs <= dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = dueMs;
    this.#timer = this.#env.setTimer(delayMs, () => this.#tasks.run(() => this.#run()));
  }

  async #run(): Promise<void> {
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#dueMs = undefined;
    this.#againMs = undefined;
    let delayMs: number | undefined;
    try {
      delayMs = await this.#round();
    } catch (error) {
      delayMs = this.#retryDelayMs;
      if (!this.#closed) {
        this.#log.warn(
          { work: this.#name, code: codeOf(error), error: messageOf(error) },
          'work in the background is tried again later',
        );
      }
    } finally {
      this.#running = false;
    }
    if (delayMs !== undefined) this.#runIn(delayMs);
    if (this.#againMs !== undefined) this.#runIn(this.#againMs);
  }
}
