/** Numbers remembered of each writer; far more than a client has in flight on one chunk. */
export const WRITE_NUMBERS_MAX = 1024;
/** Writers remembered of one chunk; beyond it the primary wants a new version, which fences what it would forget. */
export const WRITERS_MAX = 4096;

/**
 * Which overwrites a primary has taken under its version (P10). Without it a delayed copy of an old overwrite would land
 * on a newer one. A new version begins with an empty memory: copies from before carry the old version and are refused.
 */
export class WriteMemory {
  readonly #writers = new Map<number, WriterMemory>();

  /** What is known of a number: the serial it was given, that it is too old to tell, that it is new, or no room. */
  find(writer: number, number: number): Remembered {
    const memory = this.#writers.get(writer);
    if (memory === undefined) return this.#writers.size < WRITERS_MAX ? NEW : FULL;
    const serial = memory.serials.get(number);
    if (serial !== undefined) return { kind: 'taken', serial };
    return number <= memory.forgotten ? TOO_OLD : NEW;
  }

  remember(writer: number, number: number, serial: number): void {
    let memory = this.#writers.get(writer);
    if (memory === undefined) {
      memory = { serials: new Map(), forgotten: -1 };
      this.#writers.set(writer, memory);
    }
    memory.serials.set(number, serial);
    if (memory.serials.size <= WRITE_NUMBERS_MAX) return;
    for (const oldest of memory.serials.keys()) {
      memory.serials.delete(oldest);
      memory.forgotten = Math.max(memory.forgotten, oldest);
      break;
    }
  }
}

export type Remembered =
  | { readonly kind: 'taken'; readonly serial: number }
  | { readonly kind: 'tooOld' }
  | { readonly kind: 'full' }
  | { readonly kind: 'new' };

const NEW: Remembered = { kind: 'new' };
const TOO_OLD: Remembered = { kind: 'tooOld' };
const FULL: Remembered = { kind: 'full' };

interface WriterMemory {
  /** In the order they were taken, so that the oldest comes first. */
  readonly serials: Map<number, number>;
  /** The highest number that was dropped: at or below it, nobody knows any more. */
  forgotten: number;
}
