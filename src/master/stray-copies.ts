import type { Env } from '../base/env.ts';
import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import type { ChunkLocations, ReplicaChange, ReplicaReport } from '../core/chunk-locations.ts';
import type { Chunk } from '../core/metadata/rows.ts';
import type { MetadataState } from '../core/metadata/state.ts';
import { isActiveWithGoal } from '../core/repair.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { SystemReport } from '../rpc/messages.ts';
import { ChunkChores } from './chunk-chores.ts';
import type { ChunkserverCalls } from './chunkserver-calls.ts';
import { replicaReportOf } from './wire.ts';

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
  readonly #chores: ChunkChores;

  constructor(parts: StrayCopiesParts) {
    this.#parts = parts;
    this.#chores = new ChunkChores(parts.env, {
      name: 'deleting copies outside the members',
      component: 'repair',
      isWanted: (chunk) => this.#straysOf(chunk).length > 0,
      work: (chunk) => this.#clear(chunk),
    });
  }

  /** A server reported a replica. */
  consider(server: ServerId, change: ReplicaChange): void {
    const row = this.#parts.state.chunk(change.chunk);
    if (row === undefined || 'deleted' in change || row.members.includes(server)) return;
    if (!this.#chores.has(change.chunk)) this.#chores.note(change.chunk);
  }

  /** The chunk has as many members as it should. */
  repaired(chunk: ChunkHandle): void {
    if (this.#straysOf(chunk).length > 0) this.#chores.note(chunk);
  }

  close(): Promise<void> {
    return this.#chores.close();
  }

  /** Whether they are gone then, the next reports tell. */
  async #clear(chunk: ChunkHandle): Promise<void> {
    const row = this.#parts.state.chunk(chunk);
    const strays = this.#straysOf(chunk);
    if (row !== undefined && (await this.#isSafe(chunk, row))) await this.#delete(chunk, row.version, strays);
  }

  /** Reachable servers that reported a copy and are no members. */
  #straysOf(chunk: ChunkHandle): ServerId[] {
    const { env, state, servers, locations } = this.#parts;
    const row = state.chunk(chunk);
    if (row === undefined) return [];
    const nowMs = env.monotonicMs();
    const strays: ServerId[] = [];
    for (const { identity } of servers.all()) {
      const { server } = identity;
      if (row.members.includes(server) || !servers.isReachable(server, nowMs)) continue;
      if (locations.replicaAt(server, chunk) !== undefined) strays.push(server);
    }
    return strays;
  }

  /** What members reported may be old: they are asked. */
  async #isSafe(chunk: ChunkHandle, row: Chunk): Promise<boolean> {
    const { env, calls, isRepairing } = this.#parts;
    const requestId = env.newRequestId();
    if (row.members.length < row.goal || isRepairing(chunk)) return false;
    const answers = await Promise.all(
      row.members.map(async (member): Promise<ReplicaReport | undefined> => {
        const { state } = await calls.checkVersion(member, chunk, requestId);
        return state === undefined || state.lost ? undefined : replicaReportOf(state);
      }),
    );
    return isActiveWithGoal(row, answers);
  }

  /** Up to the version that was looked at: a server that has become a member meanwhile has a higher one. */
  async #delete(chunk: ChunkHandle, version: number, strays: readonly ServerId[]): Promise<void> {
    const { env, calls } = this.#parts;
    env.log
      .of('repair')
      .info({ chunk: hex(chunk), version, servers: strays }, 'copies outside the members are deleted');
    await Promise.all(strays.map((server) => calls.deleteStrays(server, [{ chunk, version }])));
  }
}
