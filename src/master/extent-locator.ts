import { must } from '../base/assert.ts';
import { type ChunkHandle, hex, type ServerId, type SessionId } from '../base/ids.ts';
import type { GivenChunks } from '../core/given-chunks.ts';
import type { LeaseTable } from '../core/lease-table.ts';
import type { Chunk, Extent } from '../core/metadata/rows.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { ExtentLocation, Replica, SystemReport } from '../rpc/messages.ts';
import type { Metadata } from './metadata.ts';

/** Turns what the log says of an extent into what a client needs: addresses, and who orders mutations now. */
export class ExtentLocator {
  readonly #metadata: Metadata;
  readonly #servers: ServerTable<SystemReport>;
  readonly #leases: LeaseTable;
  readonly #given: GivenChunks;
  readonly #isBeyondLog: (chunk: ChunkHandle) => boolean;

  constructor(parts: {
    metadata: Metadata;
    servers: ServerTable<SystemReport>;
    leases: LeaseTable;
    given: GivenChunks;
    /** The log lost what became of its members (P25). */
    isBeyondLog: (chunk: ChunkHandle) => boolean;
  }) {
    this.#metadata = parts.metadata;
    this.#servers = parts.servers;
    this.#leases = parts.leases;
    this.#given = parts.given;
    this.#isBeyondLog = parts.isBeyondLog;
  }

  /** For an answer to this session; it is remembered who was told of a chunk (P23). */
  locate({ start, chunk, sealedLength }: Extent, nowMs: number, session: SessionId | 0): ExtentLocation {
    this.#given.given(chunk, session);
    const row = must(this.#metadata.state.chunk(chunk), `chunk ${hex(chunk)} of an extent exists`);
    return {
      start,
      chunk,
      version: row.version,
      members: this.#placesOf(chunk, row, nowMs),
      primary: this.#leases.primaryOf(chunk, row.version, nowMs) ?? 0,
      sealed: sealedLength !== undefined,
      sealedLength: sealedLength ?? 0,
      frozen: row.frozen,
      firstVersion: row.firstVersion,
    };
  }

  /**
   * Of a chunk whose members the log lost, nobody is told where they are: one that was left out since would serve what it
   * had by then to readers, as the version in the log allows (P25).
   */
  #placesOf(chunk: ChunkHandle, row: Chunk, nowMs: number): Replica[] {
    if (this.#isBeyondLog(chunk)) {
      return row.members.map((server) => ({ server, address: '', rack: '', incarnation: '' }));
    }
    return row.version === 1 ? this.#firstMembers(chunk, row, nowMs) : this.members(row, nowMs);
  }

  /** Reachable ones first. One that was not heard of since this master's start has no address yet. */
  members({ members }: Pick<Chunk, 'members'>, nowMs: number): Replica[] {
    const reachable: Replica[] = [];
    const gone: Replica[] = [];
    for (const member of members) {
      (this.#servers.isReachable(member, nowMs) ? reachable : gone).push(this.replica(member));
    }
    return gone.length === 0 ? reachable : [...reachable, ...gone];
  }

  replica(server: ServerId): Replica {
    const identity = this.#servers.get(server)?.identity;
    return { server, address: identity?.address ?? '', rack: identity?.rack ?? '', incarnation: '' };
  }

  /** With the processes that may begin the chunk. */
  #firstMembers(chunk: ChunkHandle, row: Chunk, nowMs: number): Replica[] {
    return this.members(row, nowMs).map((member) => ({
      ...member,
      incarnation: this.#given.incarnationOf(chunk, member.server as ServerId) ?? '',
    }));
  }
}
