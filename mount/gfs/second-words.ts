import type { Env } from '../../src/base/env.ts';
import { SECOND_MS } from '../../src/base/units.ts';

/**
 * Whoever waits for an answer writes it into the kernel's caches, when he gets to run: an answer that we gave shortly before
 * the news may come to lie over what the news took away. So what was told so lately is told to be old once more after this.
 */
export const SECOND_WORD_MS = 1 * SECOND_MS;
/** When the notifier's queue is full. */
const RETRY_DELAY_MS = 50;

/** What is told a second time. */
export class SecondWords<K> {
  readonly #env: Env;
  readonly #say: (key: K) => boolean;
  /** When each is to be told; the earliest first. */
  readonly #due = new Map<K, number>();
  /** How many questions there are about each. */
  readonly #held = new Map<K, number>();
  #isTimerSet = false;

  /** `say`: false when it has to be tried again. */
  constructor(env: Env, say: (key: K) => boolean) {
    this.#env = env;
    this.#say = say;
  }

  /** News came of what was told at `toldMs`. */
  firstWord(key: K, toldMs: number): void {
    if (toldMs + SECOND_WORD_MS > this.#env.monotonicMs()) this.#schedule(key);
  }

  /** Of this the kernel is answered: a second word would have it ignore that. */
  asked(key: K): void {
    if (this.#due.has(key)) this.#schedule(key);
  }

  /**
   * Of this the kernel asks anew, until it is disposed of. It ignores an answer that a word about the same thing has overtaken, and
   * who asked goes on with what was known before the news: so the second word waits.
   */
  hold(key: K): Disposable {
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const count = (this.#held.get(key) ?? 1) - 1;
        if (count > 0) this.#held.set(key, count);
        else this.#held.delete(key);
        this.asked(key);
      },
    };
  }

  #schedule(key: K): void {
    this.#due.delete(key);
    this.#due.set(key, this.#env.monotonicMs() + SECOND_WORD_MS);
    this.#setTimer(SECOND_WORD_MS);
  }

  #setTimer(delayMs: number): void {
    if (this.#isTimerSet) return;
    this.#isTimerSet = true;
    this.#env.setTimer(delayMs, () => {
      this.#isTimerSet = false;
      this.#sayDue();
    });
  }

  #sayDue(): void {
    const nowMs = this.#env.monotonicMs();
    for (const [key, dueMs] of this.#due) {
      if (dueMs <= nowMs && this.#held.has(key)) {
        this.#schedule(key);
        continue;
      }
      const isSaid = dueMs <= nowMs && this.#say(key);
      if (!isSaid) {
        this.#setTimer(Math.max(dueMs - nowMs, RETRY_DELAY_MS));
        return;
      }
      this.#due.delete(key);
    }
  }
}
