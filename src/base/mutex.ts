/** First come, first served. `using`-friendly: `using _ = await mutex.acquire();` */
export class Mutex {
  readonly #waiting: (() => void)[] = [];
  #held = false;

  get busy(): boolean {
    return this.#held;
  }

  async acquire(): Promise<Disposable> {
    if (this.#held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#held = true;
    let released = false;
    return {
      [Symbol.dispose]: () => {
        if (released) return;
        released = true;
        // Handed over without a gap: nobody can slip in between.
        const next = this.#waiting.shift();
        if (next) next();
        else this.#held = false;
      },
    };
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    using _ = await this.acquire();
    return await work();
  }
}

/** At most `limit` at a time; the rest wait in line. */
export class Semaphore {
  readonly #waiting: { units: number; resolve: () => void }[] = [];
  readonly #limit: number;
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes `units` of the limit (more than the whole limit counts as the whole); resolves to their release. */
  async acquire(units = 1): Promise<Disposable> {
    const wanted = Math.min(units, this.#limit);
    if (this.#waiting.length > 0 || this.#used + wanted > this.#limit) {
      await new Promise<void>((resolve) => this.#waiting.push({ units: wanted, resolve }));
    } else {
      this.#used += wanted;
    }
    let released = false;
    return {
      [Symbol.dispose]: () => {
        if (released) return;
        released = true;
        this.#used -= wanted;
        this.#wake();
      },
    };
  }

  #wake(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || this.#used + next.units > this.#limit) return;
      this.#waiting.shift();
      this.#used += next.units;
      next.resolve();
    }
  }
}
