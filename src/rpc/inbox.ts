import type { Incoming } from './network.ts';

/**
 * Received messages of one stream, until somebody takes them. Its size is bounded by the window that the sender
 * keeps to: `onTaken` reports what leaves, which is when room is returned.
 */
export class Inbox<T> implements AsyncIterable<Incoming<T>> {
  readonly #onTaken: (sizeBytes: number) => void;
  /** The consumer went away before the end. */
  readonly #onAbandoned: () => void;
  #items: { item: Incoming<T>; sizeBytes: number }[] = [];
  #end: { error: unknown } | 'clean' | undefined;
  #waiting: { resolve: (result: IteratorResult<Incoming<T>>) => void; reject: (error: unknown) => void }[] =
    [];
  #abandoned = false;

  constructor(onTaken: (sizeBytes: number) => void, onAbandoned: () => void) {
    this.#onTaken = onTaken;
    this.#onAbandoned = onAbandoned;
  }

  get ended(): boolean {
    return this.#end !== undefined;
  }

  push(item: Incoming<T>, sizeBytes: number): void {
    if (this.#end !== undefined) return;
    const taker = this.#waiting.shift();
    if (taker !== undefined) {
      taker.resolve({ done: false, value: item });
      this.#onTaken(sizeBytes);
    } else if (this.#abandoned) {
      this.#onTaken(sizeBytes);
    } else {
      this.#items.push({ item, sizeBytes });
    }
  }

  /** What has been received can still be taken; then the iteration ends. */
  end(): void {
    if (this.#end !== undefined) return;
    this.#end = 'clean';
    for (const taker of this.#waiting.splice(0)) taker.resolve({ done: true, value: undefined });
  }

  /** The iteration throws, at once: what was received and not taken is of no use any more. */
  fail(error: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this.#items = [];
    for (const taker of this.#waiting.splice(0)) taker.reject(error);
  }

  next(): Promise<IteratorResult<Incoming<T>>> {
    const first = this.#items.shift();
    if (first !== undefined) {
      this.#onTaken(first.sizeBytes);
      return Promise.resolve({ done: false, value: first.item });
    }
    if (this.#end === 'clean' || this.#abandoned) return Promise.resolve({ done: true, value: undefined });
    if (this.#end !== undefined) return Promise.reject(this.#end.error);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  [Symbol.asyncIterator](): AsyncIterator<Incoming<T>> {
    return {
      next: () => this.next(),
      return: async () => {
        this.abandon();
        return { done: true, value: undefined };
      },
    };
  }

  /** Nobody will take more: what is here and what still comes is dropped. */
  abandon(): void {
    if (this.#abandoned) return;
    this.#abandoned = true;
    for (const { sizeBytes } of this.#items.splice(0)) this.#onTaken(sizeBytes);
    if (this.#end === undefined) this.#onAbandoned();
  }
}
