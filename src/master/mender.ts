import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import { type ChunkLocations, isBehind, type ReplicaChange } from '../core/chunk-locations.ts';
import type { MetadataState } from '../core/metadata/state.ts';
import { Background } from './background.ts';
import type { ChunkRaiser } from './chunk-raiser.ts';

/** What is under way when a server reports - a raise, a reconcile - is over by then, nearly always. */
const FIRST_DELAY_MS = 2 * SECOND_MS;
const RETRY_DELAY_MS_MAX = 60 * SECOND_MS;
/** Chunks at a time: servers record their versions together, with one sync. */
const BATCH_SIZE_MAX = 64;
/** Between batches, so that clients' work comes first. */
const PAUSE_MS = 20;

interface Candidate {
  dueMs: number;
  delayMs: number;
}

/**
 * Raises chunks of which a member reported a replica that nobody may read: it lost power, or its version was never
 * active (P4, P6, P7). Readers and writers who come first complain and have it done at once; the others are done
 * here, so that a replica does not stay out of use for as long as nobody asks for it. So are chunks of which any server
 * has a version that the log lost (P25).
 */
export class Mender {
  readonly #env: Env;
  readonly #state: MetadataState;
  readonly #locations: ChunkLocations;
  readonly #raiser: Pick<ChunkRaiser, 'isBeyondLog' | 'mend' | 'noteBeyondLog'>;
  readonly #work: Background;
  /** In the order in which they came. */
  readonly #candidates = new Map<ChunkHandle, Candidate>();

  constructor(parts: {
    env: Env;
    state: MetadataState;
    locations: ChunkLocations;
    raiser: Pick<ChunkRaiser, 'isBeyondLog' | 'mend' | 'noteBeyondLog'>;
  }) {
    this.#env = parts.env;
    this.#state = parts.state;
    this.#locations = parts.locations;
    this.#raiser = parts.raiser;
    this.#work = new Background(parts.env, {
      name: 'mending chunks',
      retryDelayMs: FIRST_DELAY_MS,
      round: () => this.#round(),
    });
  }

  /** A server reported a replica, or that one is gone. */
  consider(server: ServerId, change: ReplicaChange): void {
    const row = this.#state.chunk(change.chunk);
    if (row === undefined || 'deleted' in change) return;
    if (change.version > row.version) this.#raiser.noteBeyondLog(change.chunk, change.version);
    else if (!row.members.includes(server) || !isBehind(row, change)) return;
    const dueMs = this.#env.monotonicMs() + FIRST_DELAY_MS;
    const isFirst = this.#candidates.size === 0;
    this.#candidates.set(change.chunk, { dueMs, delayMs: FIRST_DELAY_MS });
    if (isFirst) this.#work.wake();
  }

  async close(): Promise<void> {
    await this.#work.close();
  }

  async #round(): Promise<number | undefined> {
    const nowMs = this.#env.monotonicMs();
    const due: ChunkHandle[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [chunk, candidate] of this.#candidates) {
      if (!this.#isStillBehind(chunk)) this.#candidates.delete(chunk);
      else if (candidate.dueMs > nowMs) nextMs = Math.min(nextMs, candidate.dueMs);
      else if (due.length < BATCH_SIZE_MAX) due.push(chunk);
      else nextMs = nowMs;
    }
    await Promise.all(due.map((chunk) => this.#mend(chunk)));
    if (this.#candidates.size === 0) return undefined;
    const delayMs = due.length > 0 ? PAUSE_MS : nextMs - this.#env.monotonicMs();
    return Math.max(PAUSE_MS, delayMs);
  }

  async #mend(chunk: ChunkHandle): Promise<void> {
    try {
      await this.#raiser.mend(chunk);
    } catch (error) {
      this.#env.log.debug({ chunk: hex(chunk), code: codeOf(error) }, 'a chunk is not mended yet');
    }
    // Whether it helped, the next report tells.
    const candidate = this.#candidates.get(chunk);
    if (candidate === undefined) return;
    candidate.delayMs = Math.min(candidate.delayMs * 2, RETRY_DELAY_MS_MAX);
    candidate.dueMs = this.#env.monotonicMs() + candidate.delayMs;
  }

  #isStillBehind(chunk: ChunkHandle): boolean {
    const row = this.#state.chunk(chunk);
    if (row !== undefined && this.#raiser.isBeyondLog(chunk)) return true;
    return (
      row?.members.some((member) => {
        const replica = this.#locations.replicaAt(member, chunk);
        return replica !== undefined && isBehind(row, replica);
      }) ?? false
    );
  }
}
