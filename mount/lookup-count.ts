import { assert } from '../src/base/assert.ts';
import { ROOT_NODE } from './wire/numbers.ts';

/**
 * How often the kernel was told of each node: it remembers a node until it has forgotten it as often. A count that goes
 * wrong is a bug which shows much later, as a node that nobody can find or as memory that never comes back; so it ends the
 * process at once.
 */
export class LookupCount {
  readonly #counts = new Map<number, number>();

  /** Nodes that the kernel knows, the root apart: it is known without being looked up, and never forgotten. */
  get size(): number {
    return this.#counts.size;
  }

  has(node: number): boolean {
    return node === ROOT_NODE || this.#counts.has(node);
  }

  /** The kernel has taken a reply that names the node. */
  add(node: number): void {
    if (node === ROOT_NODE) return;
    this.#counts.set(node, (this.#counts.get(node) ?? 0) + 1);
  }

  /** True when the kernel knows nothing of the node any more. */
  forget(node: number, count: number): boolean {
    if (node === ROOT_NODE) return false;
    const before = this.#counts.get(node) ?? 0;
    assert(before >= count, `node ${node} is forgotten ${count} times, and was looked up ${before} times`);
    if (before > count) {
      this.#counts.set(node, before - count);
      return false;
    }
    return this.#counts.delete(node);
  }
}
