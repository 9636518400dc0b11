import { must } from '../base/assert.ts';
import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import { type ChunkHandle, hex } from '../base/ids.ts';
import type { Component } from '../base/log.ts';
import { SECOND_MS } from '../base/units.ts';
import { Background } from './background.ts';

/** What is under way when a server reports - a raise, a reconcile - is over by then, nearly always. */
const FIRST_DELAY_MS = 2 * SECOND_MS;
const RETRY_DELAY_MS_MAX = 60 * SECOND_MS;
/** Chunks at a time: servers record or delete for all of them together. */
const BATCH_SIZE_MAX = 64;
/** Chunks looked at without letting anybody else have a turn. */
const LOOK_COUNT_MAX = 500;
/** Between batches, so that clients' work comes first. */
const PAUSE_MS = 20;

export interface ChunkChoresOptions {
  /** For people: what is done, as in "mending chunks". */
  readonly name: string;
  readonly component: Component;
  /** Whether there is anything to be done about the chunk, still; asked when it is due. False: it is forgotten. */
  readonly isWanted: (chunk: ChunkHandle) => boolean;
  /** May fail. It is done again, later and later, until it is not wanted any more. */
  readonly work: (chunk: ChunkHandle) => Promise<void>;
}

/** Chunks about which something is to be done soon, beside clients' calls, and again as long as that did not help. */
export class ChunkChores {
  readonly #env: Env;
  readonly #options: ChunkChoresOptions;
  readonly #background: Background;
  /** When each chunk is due, by how long it waits: so each map is in the order in which its chunks are due. */
  readonly #dueMs = new Map<number, Map<ChunkHandle, number>>();
  readonly #delayMs = new Map<ChunkHandle, number>();

  constructor(env: Env, options: ChunkChoresOptions) {
    this.#env = env;
    this.#options = options;
    this.#background = new Background(env, {
      name: options.name,
      component: options.component,
      retryDelayMs: FIRST_DELAY_MS,
      round: () => this.#round(),
    });
  }

  has(chunk: ChunkHandle): boolean {
    return this.#delayMs.has(chunk);
  }

  /** Something is to be done about it in two seconds, however often that was tried in vain. */
  note(chunk: ChunkHandle): void {
    this.#wait(chunk, FIRST_DELAY_MS);
    this.#background.wake(FIRST_DELAY_MS);
  }

  /** Nothing is begun any more; resolves when what is being done has ended. */
  async close(): Promise<void> {
    await this.#background.close();
  }

  async #round(): Promise<number | undefined> {
    const batch = this.#dueNow();
    await Promise.all(batch.map((chunk) => this.#work(chunk)));
    if (this.#delayMs.size === 0) return undefined;
    if (batch.length > 0) return PAUSE_MS;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const waiting of this.#dueMs.values()) {
      const [first] = waiting.values();
      nextMs = Math.min(nextMs, first ?? nextMs);
    }
    return Math.max(PAUSE_MS, nextMs - this.#env.monotonicMs());
  }

  /** They go on waiting, for the case that the work does not help. */
  #dueNow(): ChunkHandle[] {
    const nowMs = this.#env.monotonicMs();
    const wanted: ChunkHandle[] = [];
    let lookCount = 0;
    for (const waiting of this.#dueMs.values()) {
      for (const [chunk, dueMs] of waiting) {
        if (dueMs > nowMs) break;
        if (wanted.length === BATCH_SIZE_MAX || lookCount === LOOK_COUNT_MAX) return wanted;
        lookCount += 1;
        if (this.#options.isWanted(chunk)) wanted.push(chunk);
        else this.#forget(chunk);
      }
    }
    return wanted;
  }

  async #work(chunk: ChunkHandle): Promise<void> {
    try {
      await this.#options.work(chunk);
    } catch (error) {
      const { name, component } = this.#options;
      const fields = { work: name, chunk: hex(chunk), code: codeOf(error) };
      this.#env.log.of(component).debug(fields, 'work on a chunk is not done yet');
    }
    // Whether it helped, the next report tells.
    const delayMs = must(this.#delayMs.get(chunk), 'only a round forgets');
    this.#wait(chunk, Math.min(delayMs * 2, RETRY_DELAY_MS_MAX));
  }

  #wait(chunk: ChunkHandle, delayMs: number): void {
    this.#forget(chunk);
    this.#delayMs.set(chunk, delayMs);
    const waiting = this.#dueMs.get(delayMs) ?? new Map<ChunkHandle, number>();
    this.#dueMs.set(delayMs, waiting.set(chunk, this.#env.monotonicMs() + delayMs));
  }

  #forget(chunk: ChunkHandle): void {
    const delayMs = this.#delayMs.get(chunk);
    if (delayMs === undefined) return;
    this.#delayMs.delete(chunk);
    this.#dueMs.get(delayMs)?.delete(chunk);
  }
}
