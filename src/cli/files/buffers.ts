import { MUTATION_BYTES_MAX } from '../../base/constants.ts';

/** Buffers of one mutation each that are used again and again; how many there are the client's write-behind bounds. */
export class Buffers {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(MUTATION_BYTES_MAX);
  }

  give(buffer: Buffer): void {
    this.#free.push(buffer);
  }
}
