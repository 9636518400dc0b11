import { hasSetIds } from '../core/metadata/permissions.ts';
import type { Attributes } from '../rpc/messages.ts';

/** Whether a file has bits that a write by somebody without privileges takes away, as far as this client knows. */
export class SetIdBits {
  #state: 'none' | 'some' | 'unknown' = 'unknown';
  /** What was asked for before, on the change clock, says nothing of them. */
  #since = 0;

  get state(): 'none' | 'some' | 'unknown' {
    return this.#state;
  }

  /** Attributes that were asked for at that tick. */
  observe(attributes: Attributes, askedAt: number): void {
    if (askedAt >= this.#since) this.#state = stateIn(attributes);
  }

  /** They were set here, and are as these attributes say. */
  set(attributes: Attributes, now: number): void {
    this.#state = stateIn(attributes);
    this.#since = now;
  }

  mayHaveChanged(now: number): void {
    this.#state = 'unknown';
    this.#since = now;
  }
}

function stateIn(attributes: Attributes): 'none' | 'some' {
  return hasSetIds(attributes) ? 'some' : 'none';
}
