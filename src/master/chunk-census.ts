import type { Env } from '../base/env.ts';
import type { ChunkHandle } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import type { ChunkLocations } from '../core/chunk-locations.ts';
import type { Chunk } from '../core/metadata/rows.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { SystemReport } from '../rpc/messages.ts';
import type { Metadata } from './metadata.ts';

/** A count is good for so long ... */
const FRESH_MS = 1 * SECOND_MS;
/** ... and for those who ask again and again for this long, or for so many times what it took: counting is not the master's work. */
const RECENT_MS = 10 * SECOND_MS;
const RECENT_FACTOR = 50;
/** Chunks looked at without letting anybody else have a turn. */
const PAGE_SIZE = 500;

export interface Census {
  readonly underGoal: number;
  readonly lost: number;
}

/** Counts chunks that have fewer replicas than they should, for people and figures. Walks all chunks, a page a turn. */
export class ChunkCensus {
  readonly #env: Env;
  readonly #metadata: Metadata;
  readonly #servers: ServerTable<SystemReport>;
  readonly #locations: ChunkLocations;
  #last: { readonly atMs: number; readonly count: Promise<Census> } | undefined;
  #counting = false;
  #finished: { readonly census: Census; readonly goodUntilMs: number } | undefined;

  constructor(parts: {
    env: Env;
    metadata: Metadata;
    servers: ServerTable<SystemReport>;
    locations: ChunkLocations;
  }) {
    this.#env = parts.env;
    this.#metadata = parts.metadata;
    this.#servers = parts.servers;
    this.#locations = parts.locations;
  }

  take(): Promise<Census> {
    const nowMs = this.#env.monotonicMs();
    if (this.#last === undefined || nowMs - this.#last.atMs >= FRESH_MS) {
      this.#counting = true;
      const count = this.#count().finally(() => {
        this.#counting = false;
      });
      this.#last = { atMs: nowMs, count };
    }
    return this.#last.count;
  }

  /** For who asks often, and waits for nothing: what was counted last, and when that is old, a new count begins. */
  recent(): Census | undefined {
    const last = this.#finished;
    const isDue = last === undefined || this.#env.monotonicMs() >= last.goodUntilMs;
    // One that fails is begun again by who asks next.
    if (isDue && !this.#counting) this.take().catch(() => undefined);
    return last?.census;
  }

  async #count(): Promise<Census> {
    const startMs = this.#env.monotonicMs();
    let underGoal = 0;
    let lost = 0;
    for (let after = 0; ; ) {
      const page = this.#metadata.state.chunks(after, PAGE_SIZE);
      const nowMs = this.#env.monotonicMs();
      for (const { chunk, row } of page) {
        const replicas = this.#replicasOf(chunk, row, nowMs);
        if (replicas === 'none yet') continue;
        if (replicas === 0) lost += 1;
        if (replicas < row.goal) underGoal += 1;
      }
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_SIZE) {
        const census = { underGoal, lost };
        const goodForMs = Math.max(RECENT_MS, RECENT_FACTOR * (this.#env.monotonicMs() - startMs));
        this.#finished = { census, goodUntilMs: startMs + goodForMs };
        return census;
      }
      after = last.chunk;
      await this.#env.sleep(0);
    }
  }

  /** Current replicas within reach. A chunk that was never written has none, and misses none (P23). */
  #replicasOf(chunk: ChunkHandle, row: Chunk, nowMs: number): number | 'none yet' {
    let current = 0;
    let absent = 0;
    for (const member of row.members) {
      if (!this.#servers.isReachable(member, nowMs)) continue;
      const replica = this.#locations.replicaAt(member, chunk);
      // A server that has not reported yet is believed to hold what it should.
      if (replica?.version === row.version || !this.#locations.isKnown(member)) current += 1;
      else if (replica === undefined) absent += 1;
    }
    return absent === row.members.length ? 'none yet' : current;
  }
}
