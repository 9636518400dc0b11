/** Counts what this client changes, over all its files: an answer that was asked for before a change is old. */
export class ChangeClock {
  #tick = 0;

  get now(): number {
    return this.#tick;
  }

  advance(): number {
    this.#tick += 1;
    return this.#tick;
  }
}
