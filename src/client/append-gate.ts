/** Lets records of a file pass, but for a moment in which none of them is on its way. */
export class AppendGate {
  #passing = 0;
  #closed: Promise<void> | undefined;
  #onLast: () => void = nothing;

  /** `append` begins when the gate is open. */
  async pass<T>(append: () => Promise<T>): Promise<T> {
    while (this.#closed !== undefined) await this.#closed;
    this.#passing += 1;
    try {
      return await append();
    } finally {
      this.#passing -= 1;
      if (this.#passing === 0) this.#onLast();
    }
  }

  /** `work` begins when all that have passed are done; the others wait until it ends. One at a time closes the gate. */
  async whileClosed<T>(work: () => Promise<T>): Promise<T> {
    let open = nothing;
    this.#closed = new Promise((resolve) => {
      open = resolve;
    });
    try {
      if (this.#passing > 0) {
        await new Promise<void>((resolve) => {
          this.#onLast = resolve;
        });
      }
      return await work();
    } finally {
      this.#onLast = nothing;
      this.#closed = undefined;
      open();
    }
  }
}

const nothing = (): void => undefined;
