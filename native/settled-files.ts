/**
 * Open files whose flushes have nothing to do, in memory that the device's readers see: they answer those by themselves, so
 * that who closes a file waits for no turn of the main thread. The layout is in `device.h`.
 */
export class SettledFiles {
  readonly #answered: BigUint64Array;
  readonly #entries: Uint32Array;

  constructor(memory: ArrayBuffer, offset: number, count: number) {
    this.#answered = new BigUint64Array(memory, offset, 1);
    this.#entries = new Uint32Array(memory, offset + BigUint64Array.BYTES_PER_ELEMENT, count);
  }

  /** How many flushes the readers answered. */
  get answeredCount(): number {
    return Number(Atomics.load(this.#answered, 0));
  }

  /** From now on a flush by it may be answered without being delivered. Numbers that do not fit are never among these. */
  add(openFile: number): void {
    if (openFile <= 0xffffffff) Atomics.store(this.#entries, this.#indexOf(openFile), openFile);
  }

  /** Each flush that begins after this is delivered. */
  delete(openFile: number): void {
    const index = this.#indexOf(openFile);
    if (this.#entries[index] === openFile) Atomics.store(this.#entries, index, 0);
  }

  #indexOf(openFile: number): number {
    return openFile % this.#entries.length;
  }
}
