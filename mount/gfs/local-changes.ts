/** Enough for all files that are written while one page of a listing is read out. */
const NODE_COUNT_MAX = 16384;

/**
 * Which nodes were changed by way of this mount, and since when. A listing is fetched in pages; what a page says of a file
 * that was written after the page was fetched must not reach the kernel, which would take the old length for a truncation.
 */
export class LocalChanges {
  /** In the order of the changes. */
  readonly #lastChange = new Map<number, number>();
  #moment = 0;
  /** Changes up to this moment are forgotten: any node may have been among them. */
  #forgottenUntil = 0;

  /** To ask later what changed since. */
  now(): number {
    return this.#moment;
  }

  note(node: number): void {
    this.#moment += 1;
    this.#lastChange.delete(node);
    this.#lastChange.set(node, this.#moment);
    if (this.#lastChange.size <= NODE_COUNT_MAX) return;
    for (const [oldest, moment] of this.#lastChange) {
      this.#lastChange.delete(oldest);
      this.#forgottenUntil = moment;
      break;
    }
  }

  changedSince(node: number, moment: number): boolean {
    return moment < this.#forgottenUntil || (this.#lastChange.get(node) ?? 0) > moment;
  }
}
