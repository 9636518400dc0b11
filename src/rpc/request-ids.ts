import type { Env } from '../base/env.ts';

/** Short names of requests: six random digits of this process, then a count. Unique enough to grep logs by. */
export class RequestIds {
  readonly #prefix: string;
  #count = 0;

  constructor(env: Pick<Env, 'random'>) {
    this.#prefix = `${Math.floor(env.random() * 36 ** 6)
      .toString(36)
      .padStart(6, '0')}-`;
  }

  next(): string {
    this.#count += 1;
    return this.#prefix + this.#count.toString(36);
  }
}
