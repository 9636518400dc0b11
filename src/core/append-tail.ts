/**
 * Appended bytes that a replica holds and that are not known to be on all members (P13): no reader may see them, since
 * they vanish if this replica is cut back to the others. Overwrites need no such care.
 */
export class AppendTail {
  /** In serial order. */
  readonly #uncommitted: { readonly serial: number; readonly chunkOffset: number }[] = [];

  appended(serial: number, chunkOffset: number): void {
    this.#uncommitted.push({ serial, chunkOffset });
  }

  /** Every serial below is on all members. */
  committed(serial: number): void {
    while (this.#uncommitted.length > 0 && (this.#uncommitted[0]?.serial ?? 0) < serial) {
      this.#uncommitted.shift();
    }
  }

  /** The length that readers may be told of a replica that is `length` long. */
  visible(length: number): number {
    return Math.min(length, this.#uncommitted[0]?.chunkOffset ?? length);
  }

  get size(): number {
    return this.#uncommitted.length;
  }
}
