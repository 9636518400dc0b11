/**
 * Somebody who waits for background work. Its owner's `close()` calls `drain()`; the first error goes to `onError`,
 * which stops the process or the component: no promise fails unseen.
 */
export class TaskGroup {
  readonly #running = new Set<Promise<void>>();
  readonly #onError: (error: unknown) => void;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  get size(): number {
    return this.#running.size;
  }

  /** Starts `work` at once and keeps it until it settles. */
  run(work: () => Promise<unknown>): void {
    const task: Promise<void> = work()
      .then(() => undefined, this.#onError)
      .finally(() => this.#running.delete(task));
    this.#running.add(task);
  }

  /** Resolves when everything started so far, and what that started, has settled. */
  async drain(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
