import type { Env, Timer } from '../base/env.ts';
import { codeOf, messageOf } from '../base/errors.ts';
import { TaskGroup } from '../base/task-group.ts';

/**
 * Work beside clients' calls that runs when there is something to do, one round at a time. `round` answers after how
 * many milliseconds it wants to run again, or nothing: then it sleeps until it is woken.
 */
export class Background {
  readonly #env: Env;
  readonly #name: string;
  readonly #round: () => Promise<number | undefined>;
  readonly #retryDelayMs: number;
  readonly #tasks: TaskGroup;
  #timer: Timer | undefined;
  #running = false;
  /** Woken during a round: what woke it may have come too late for that round. */
  #again = false;
  #closed = false;

  constructor(
    env: Env,
    options: { name: string; retryDelayMs: number; round: () => Promise<number | undefined> },
  ) {
    this.#env = env;
    this.#name = options.name;
    this.#round = options.round;
    this.#retryDelayMs = options.retryDelayMs;
    this.#tasks = new TaskGroup((error) => env.log.error({ error }, `${options.name} failed`));
  }

  /** Runs a round soon, never in this turn: what goes on in it ends first. */
  wake(): void {
    if (this.#running) this.#again = true;
    else this.#runIn(0);
  }

  /** No round starts any more; resolves when a running one has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#tasks.drain();
  }

  #runIn(delayMs: number): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#timer = this.#env.setTimer(delayMs, () => this.#tasks.run(() => this.#run()));
  }

  async #run(): Promise<void> {
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#again = false;
    let delayMs: number | undefined;
    try {
      delayMs = await this.#round();
    } catch (error) {
      delayMs = this.#retryDelayMs;
      if (!this.#closed) {
        this.#env.log.warn(
          { code: codeOf(error), error: messageOf(error) },
          `${this.#name}: trying again later`,
        );
      }
    } finally {
      this.#running = false;
    }
    if (this.#again) this.#runIn(0);
    else if (delayMs !== undefined) this.#runIn(delayMs);
  }
}
