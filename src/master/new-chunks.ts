import { must } from '../base/assert.ts';
import type { Env } from '../base/env.ts';
import type { ChunkHandle, ServerId } from '../base/ids.ts';
import { type Result, unwrap } from '../base/result.ts';
import type { ChunkLocations } from '../core/chunk-locations.ts';
import type { GivenChunks } from '../core/given-chunks.ts';
import type { LeaseTable } from '../core/lease-table.ts';
import type { NewChunk } from '../core/metadata/commands.ts';
import { placeChunk } from '../core/placement.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { SystemReport } from '../rpc/messages.ts';
import { candidatesOf } from './candidates.ts';
import type { MasterConfig } from './master-parts.ts';
import type { Metadata } from './metadata.ts';

/**
 * Chunks for commands to bring along. No server is asked: the first mutation creates the replicas, from the record that
 * the client passes on (P4, P23).
 */
export class NewChunks {
  readonly #env: Env;
  readonly #config: MasterConfig;
  readonly #metadata: Metadata;
  readonly #servers: ServerTable<SystemReport>;
  readonly #locations: ChunkLocations;
  readonly #leases: LeaseTable;
  readonly #given: GivenChunks;

  constructor(parts: {
    env: Env;
    config: MasterConfig;
    metadata: Metadata;
    servers: ServerTable<SystemReport>;
    locations: ChunkLocations;
    leases: LeaseTable;
    given: GivenChunks;
  }) {
    this.#env = parts.env;
    this.#config = parts.config;
    this.#metadata = parts.metadata;
    this.#servers = parts.servers;
    this.#locations = parts.locations;
    this.#leases = parts.leases;
    this.#given = parts.given;
  }

  /** A chunk with its members; refused with NO_SPACE or TOO_FEW_REPLICAS. */
  propose(goal: number): Result<NewChunk> {
    const placed = this.#place(goal);
    if (!placed.ok) return placed;
    const members = placed.value;
    for (const member of members) this.#servers.placed(member);
    const primary = must(members[0], 'a placement has members');
    return { ok: true, value: { chunk: this.#metadata.dealChunk(), members, primary } };
  }

  /** As `propose`, or nothing where that is refused: a file can be created although nothing can be written now. */
  proposeIfPossible(goal: number): NewChunk | undefined {
    const proposed = this.propose(goal);
    return proposed.ok ? proposed.value : undefined;
  }

  proposeOrThrow(goal: number): NewChunk {
    return unwrap(this.propose(goal));
  }

  /** The command was carried out and used the chunk: version 1 is active from the start, with its primary (P4). */
  begun(proposed: NewChunk | undefined, used: ChunkHandle | undefined): void {
    if (proposed === undefined || proposed.chunk !== used || proposed.primary === 0) return;
    const incarnations = new Map<ServerId, string>();
    for (const member of proposed.members) {
      const incarnation = this.#servers.get(member)?.identity.incarnation;
      if (incarnation !== undefined) incarnations.set(member, incarnation);
    }
    this.#given.begun(proposed.chunk, incarnations);
    this.#leases.grant(proposed.chunk, proposed.primary, 1, this.#env.monotonicMs());
  }

  /** Enough servers have room for another chunk. */
  hasRoom(goal: number): boolean {
    return this.#place(goal).ok;
  }

  #place(goal: number): Result<ServerId[]> {
    const { chunkSizeBytes, minReplicas } = this.#config;
    const random = () => this.#env.random();
    const candidates = candidatesOf(this.#servers, this.#env.monotonicMs());
    // If the log lost its end, a server may have a chunk of the very handle that is dealt next (P25): its report tells.
    const known = candidates.filter(({ server }) => this.#locations.isKnown(server));
    return placeChunk(known, { goal, minReplicas, chunkSizeBytes, random });
  }
}
