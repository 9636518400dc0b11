/** A thing to do at a time; events of one time run in the order they were made. */
export interface QueuedEvent {
  readonly atMs: number;
  readonly sequence: number;
}

/** A binary heap: earliest first. */
export class EventQueue<E extends QueuedEvent> {
  readonly #heap: E[] = [];

  push(event: E): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as E;
      if (!before(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  pop(): E | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last !== undefined && heap.length > 0) this.#sink(last);
    return first;
  }

  /** Puts `event` where the first was, and moves it down to its place. */
  #sink(event: E): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as E, heap[child] as E)) child += 1;
      const below = heap[child] as E;
      if (!before(below, event)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = event;
  }
}

function before(a: QueuedEvent, b: QueuedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}
