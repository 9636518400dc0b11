import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';
import type { ChunkLocations, ReplicaChange, ReplicaReport } from '../core/chunk-locations.ts';
import type { Chunk } from '../core/metadata/rows.ts';
import type { MetadataState } from '../core/metadata/state.ts';
import { isActiveWithGoal } from '../core/repair.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { SystemReport } from '../rpc/messages.ts';
import { Background } from './background.ts';
import type { ChunkserverCalls } from './chunkserver-calls.ts';
import { replicaReportOf } from './wire.ts';

const FIRST_DELAY_MS = 2 * SECOND_MS;
const RETRY_DELAY_MS_MAX = 60 * SECOND_MS;
/** Chunks at a time. */
const BATCH_SIZE_MAX = 64;
/** Between batches, so that clients' work comes first. */
const PAUSE_MS = 20;

interface Candidate {
  dueMs: number;
  delayMs: number;
}

export interface StrayCopiesParts {
  readonly env: Env;
  readonly state: MetadataState;
  readonly servers: ServerTable<SystemReport>;
  readonly locations: ChunkLocations;
  readonly calls: Pick<ChunkserverCalls, 'checkVersion' | 'deleteStrays'>;
  /** A copy is being made of it: what a learner holds is no stray. */
  readonly isRepairing: (chunk: ChunkHandle) => boolean;
}

/**
 * Deletes copies on servers that are no members: evicted ones that came back, learners that were given up (§4.5). Only when
 * the version is active with as many members as the chunk should have (P24): before, such a copy is what a repair begins
 * with, or the last thing that is left.
 */
export class StrayCopies {
  readonly #parts: StrayCopiesParts;
  readonly #work: Background;
  readonly #candidates = new Map<ChunkHandle, Candidate>();

  constructor(parts: StrayCopiesParts) {
    this.#parts = parts;
    this.#work = new Background(parts.env, {
      name: 'deleting copies outside the members',
      retryDelayMs: FIRST_DELAY_MS,
      round: () => this.#round(),
    });
  }

  /** A server reported a replica. */
  consider(server: ServerId, change: ReplicaChange): void {
    const row = this.#parts.state.chunk(change.chunk);
    if (row === undefined || 'deleted' in change || row.members.includes(server)) return;
    if (!this.#candidates.has(change.chunk)) this.#due(change.chunk);
  }

  /** The chunk has as many members as it should. */
  repaired(chunk: ChunkHandle): void {
    const row = this.#parts.state.chunk(chunk);
    if (row !== undefined && this.#straysOf(chunk, row).length > 0) this.#due(chunk);
  }

  async close(): Promise<void> {
    await this.#work.close();
  }

  #due(chunk: ChunkHandle): void {
    const dueMs = this.#parts.env.monotonicMs() + FIRST_DELAY_MS;
    this.#candidates.set(chunk, { dueMs, delayMs: FIRST_DELAY_MS });
    this.#work.wake(FIRST_DELAY_MS);
  }

  async #round(): Promise<number | undefined> {
    const nowMs = this.#parts.env.monotonicMs();
    const due: ChunkHandle[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [chunk, { dueMs }] of this.#candidates) {
      if (dueMs > nowMs) nextMs = Math.min(nextMs, dueMs);
      else if (due.length < BATCH_SIZE_MAX) due.push(chunk);
      else nextMs = nowMs;
    }
    await Promise.all(due.map((chunk) => this.#clear(chunk)));
    if (this.#candidates.size === 0) return undefined;
    const delayMs = due.length > 0 ? PAUSE_MS : nextMs - this.#parts.env.monotonicMs();
    return Math.max(PAUSE_MS, delayMs);
  }

  async #clear(chunk: ChunkHandle): Promise<void> {
    const { env, state } = this.#parts;
    const row = state.chunk(chunk);
    const strays = row === undefined ? [] : this.#straysOf(chunk, row);
    if (row === undefined || strays.length === 0) {
      this.#candidates.delete(chunk);
      return;
    }
    try {
      if (await this.#isSafe(chunk, row)) await this.#delete(chunk, row.version, strays);
    } catch (error) {
      env.log.debug({ chunk: hex(chunk), code: codeOf(error) }, 'copies are not deleted yet');
    }
    // Whether they are gone, the next reports tell.
    const candidate = this.#candidates.get(chunk);
    if (candidate === undefined) return;
    candidate.delayMs = Math.min(candidate.delayMs * 2, RETRY_DELAY_MS_MAX);
    candidate.dueMs = env.monotonicMs() + candidate.delayMs;
  }

  /** Reachable servers that reported a copy and are no members. */
  #straysOf(chunk: ChunkHandle, { members }: Chunk): ServerId[] {
    const { env, servers, locations } = this.#parts;
    const nowMs = env.monotonicMs();
    const strays: ServerId[] = [];
    for (const { identity } of servers.all()) {
      const { server } = identity;
      if (members.includes(server) || !servers.isReachable(server, nowMs)) continue;
      if (locations.replicaAt(server, chunk) !== undefined) strays.push(server);
    }
    return strays;
  }

  /** What members reported may be old: they are asked. */
  async #isSafe(chunk: ChunkHandle, row: Chunk): Promise<boolean> {
    const { calls, isRepairing } = this.#parts;
    if (row.members.length < row.goal || isRepairing(chunk)) return false;
    const answers = await Promise.all(
      row.members.map(async (member): Promise<ReplicaReport | undefined> => {
        const { state } = await calls.checkVersion(member, chunk);
        return state === undefined || state.lost ? undefined : replicaReportOf(state);
      }),
    );
    return isActiveWithGoal(row, answers);
  }

  /** Up to the version that was looked at: a server that has become a member meanwhile has a higher one. */
  async #delete(chunk: ChunkHandle, version: number, strays: readonly ServerId[]): Promise<void> {
    const { env, calls } = this.#parts;
    env.log.info({ chunk: hex(chunk), version, servers: strays }, 'copies outside the members are deleted');
    await Promise.all(strays.map((server) => calls.deleteStrays(server, [{ chunk, version }])));
  }
}
