/**
 * The lock calls of one session that may be sent again, by their numbers, each with what became of it. The session says with
 * each call which earlier ones it still waits for: whatever else comes with an earlier number comes late, for the session has
 * gone on since, and must not undo what it did then.
 */
export class LockCalls<C> {
  readonly #calls = new Map<number, C>();
  #newest = 0;
  #unanswered: ReadonlySet<number> = new Set();

  /** The call of that number; 'late': the session has its answer. Undefined: it is new. */
  find(number: number, unanswered: readonly number[]): C | 'late' | undefined {
    if (number > this.#newest) {
      this.#newest = number;
      this.#unanswered = new Set(unanswered);
      for (const known of this.#calls.keys()) {
        if (known < number && !this.#unanswered.has(known)) this.#calls.delete(known);
      }
    }
    return this.get(number) ?? (this.#isLate(number) ? 'late' : undefined);
  }

  get(number: number): C | undefined {
    return this.#calls.get(number);
  }

  /** From now on the number is this call's; a late one's is nobody's. */
  add(number: number, call: C): void {
    if (!this.#isLate(number)) this.#calls.set(number, call);
  }

  get size(): number {
    return this.#calls.size;
  }

  #isLate(number: number): boolean {
    return number < this.#newest && !this.#unanswered.has(number);
  }
}
