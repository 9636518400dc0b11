import { GfsError } from '../base/errors.ts';
import type { SpaceUse } from '../rpc/messages.ts';
import type { ReplicaStore, StoreSpace } from '../storage/replica-store.ts';

/** Free space as last asked, less what was taken since: a push is refused before it begins, without a system call. */
export class SpaceGauge {
  readonly #store: ReplicaStore;
  #space: StoreSpace;
  #takenBytes = 0;

  private constructor(store: ReplicaStore, space: StoreSpace) {
    this.#store = store;
    this.#space = space;
  }

  static async open(store: ReplicaStore): Promise<SpaceGauge> {
    return new SpaceGauge(store, await store.space());
  }

  async refresh(): Promise<void> {
    this.#space = await this.#store.space();
    this.#takenBytes = 0;
  }

  /** Throws NO_SPACE when the disk, less its reserve, cannot take that much. */
  check(lengthBytes: number): void {
    const { freeBytes, reserveBytes } = this.#space;
    if (freeBytes - reserveBytes - this.#takenBytes < lengthBytes) {
      throw new GfsError('NO_SPACE', `${freeBytes} bytes are free, ${reserveBytes} of them reserved`);
    }
  }

  take(lengthBytes: number): void {
    this.#takenBytes += lengthBytes;
  }

  use(): SpaceUse {
    const { totalBytes, freeBytes, usedBytes, reserveBytes, chunkCount } = this.#space;
    return { totalBytes, freeBytes, usedBytes, reserveBytes, chunkCount };
  }
}
