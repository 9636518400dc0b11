import { hex } from '../base/ids.ts';
import { ok, type Result, refuse } from '../base/result.ts';

/** Orders held for their predecessors, per chunk; the primary has no more in flight. */
export const HELD_ORDERS_MAX = 1024;

/**
 * Puts a primary's orders into serial order (P11). They may overtake one another on the way, so one that comes early is
 * held for the ones before it; what never comes is a gap, and then the held ones are refused.
 */
export class SerialQueue<T> {
  readonly #chunk: number;
  readonly #held = new Map<number, { readonly order: T; readonly sinceMs: number }>();
  #next: number;

  constructor(options: { chunk: number; next: number }) {
    this.#chunk = options.chunk;
    this.#next = options.next;
  }

  /** The serial that may be applied next. */
  get next(): number {
    return this.#next;
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** The orders whose turn has come, in serial order: none when this one must wait. */
  offer(serial: number, order: T, nowMs: number): Result<readonly T[]> {
    if (serial < this.#next) {
      return refuse(
        'SERIAL_GAP',
        `chunk ${hex(this.#chunk)}: serial ${serial} is in the past, ${this.#next} is next`,
      );
    }
    if (this.#held.has(serial)) {
      return refuse('SERIAL_GAP', `chunk ${hex(this.#chunk)}: serial ${serial} came twice`);
    }
    if (serial > this.#next) {
      if (this.#held.size >= HELD_ORDERS_MAX) {
        return refuse(
          'SERIAL_GAP',
          `chunk ${hex(this.#chunk)}: too many orders wait for serial ${this.#next}`,
        );
      }
      this.#held.set(serial, { order, sinceMs: nowMs });
      return ok([]);
    }
    const ready = [order];
    this.#next += 1;
    for (let held = this.#held.get(this.#next); held !== undefined; held = this.#held.get(this.#next)) {
      this.#held.delete(this.#next);
      ready.push(held.order);
      this.#next += 1;
    }
    return ok(ready);
  }

  /** Gives up the held orders if any waits since before the time given: their predecessor is lost. */
  expire(sinceBeforeMs: number): readonly T[] {
    let late = false;
    for (const { sinceMs } of this.#held.values()) late ||= sinceMs < sinceBeforeMs;
    return late ? this.clear() : [];
  }

  /** Gives up all held orders. */
  clear(): readonly T[] {
    const orders = [...this.#held.values()].map(({ order }) => order);
    this.#held.clear();
    return orders;
  }
}
