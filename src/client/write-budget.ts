import { GfsError } from '../base/errors.ts';
import type { Waiting } from './api.ts';

interface Waiter {
  readonly bytes: number;
  readonly go: () => void;
}

/**
 * How much data may be taken from writers and not be at the cluster yet, over all files of a client: who would pass it
 * waits in line, and that is the writers' backpressure.
 */
export class WriteBudget {
  readonly limitBytes: number;
  /** Asks for room: what waits for more bytes to join it goes out now. */
  readonly #onPressure: () => void;
  readonly #waiting: Waiter[] = [];
  #usedBytes = 0;

  constructor(limitBytes: number, onPressure: () => void) {
    this.limitBytes = limitBytes;
    this.#onPressure = onPressure;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes room at once, and answers nothing; or the promise of it. A piece larger than the whole counts as that. */
  take(bytes: number, waiting: Waiting | undefined): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#usedBytes += bytes;
      return undefined;
    }
    const promise = this.#wait(bytes, waiting?.signal);
    this.#onPressure();
    return promise;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#usedBytes += next.bytes;
      next.go();
    }
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.limitBytes;
  }

  #wait(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(new GfsError('CANCELLED', 'cancelled'));
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(new GfsError('CANCELLED', 'cancelled while waiting to write', { cause: signal?.reason }));
        // Those behind may fit where this one did not.
        this.give(0);
      };
      const waiter: Waiter = {
        bytes,
        go: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      this.#waiting.push(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
