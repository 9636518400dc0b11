import { assert } from '../base/assert.ts';
import type { ChunkHandle, ServerId } from '../base/ids.ts';

export interface Lease {
  readonly server: ServerId;
  readonly version: number;
  expiresAtMs: number;
}

/**
 * Who may order mutations of a chunk, and until when (§3.1).
 *
 * Leases are an economy, not the guard: versions are (P5). They are not in the oplog. A restarted master learns those
 * that are in use from the heartbeats of the primaries that hold them; where none does, it raises the version before
 * it names anybody, so a primary it forgot can complete nothing.
 */
export class LeaseTable {
  readonly #leases = new Map<ChunkHandle, Lease>();
  readonly #durationMs: number;

  constructor(options: { durationMs: number }) {
    this.#durationMs = options.durationMs;
  }

  get durationMs(): number {
    return this.#durationMs;
  }

  /** At the creation of a chunk, and when all members recorded a raised version. A version is granted once (P5). */
  grant(chunk: ChunkHandle, server: ServerId, version: number, nowMs: number): void {
    const before = this.#leases.get(chunk);
    // A primary that is quicker than the other members may have claimed its new role in a heartbeat already.
    const granted = before !== undefined && before.version >= version;
    assert(!granted || (before.version === version && before.server === server), 'a version is granted once');
    this.#leases.set(chunk, { server, version, expiresAtMs: nowMs + this.#durationMs });
  }

  /**
   * A primary says that it uses its lease. `logged` is what the log names for the chunk: the claim of anybody else, or
   * of an older version, is void. A claim that the log confirms is believed even when no lease is known (the master
   * was restarted), for a role ends with the process that holds it.
   */
  extend(
    claim: { chunk: ChunkHandle; server: ServerId; version: number },
    logged: { version: number; primary: ServerId | 0 } | undefined,
    nowMs: number,
  ): boolean {
    if (logged?.version !== claim.version || logged.primary !== claim.server) return false;
    const lease = this.#leases.get(claim.chunk);
    if (lease?.version === claim.version) lease.expiresAtMs = nowMs + this.#durationMs;
    else this.grant(claim.chunk, claim.server, claim.version, nowMs);
    return true;
  }

  /** Who holds the lease at this version; undefined: nobody, or it ran out. */
  primaryOf(chunk: ChunkHandle, version: number, nowMs: number): ServerId | undefined {
    const lease = this.#leases.get(chunk);
    if (lease === undefined || lease.version !== version || nowMs >= lease.expiresAtMs) return undefined;
    return lease.server;
  }

  /** The primary gave it back: nobody orders at this version any more. */
  release(chunk: ChunkHandle, server: ServerId, version: number): void {
    const lease = this.#leases.get(chunk);
    if (lease?.server === server && lease.version === version) this.#leases.delete(chunk);
  }

  /** The chunk's version rises, or the chunk is gone. */
  revoke(chunk: ChunkHandle): void {
    this.#leases.delete(chunk);
  }

  /** The server's process ended: it is primary of nothing (P5). */
  revokeAllOf(server: ServerId): void {
    for (const [chunk, lease] of this.#leases) if (lease.server === server) this.#leases.delete(chunk);
  }

  /** Forgets leases that ran out; called now and then, so that the table holds only what is in use. */
  sweep(nowMs: number): void {
    for (const [chunk, lease] of this.#leases) if (nowMs >= lease.expiresAtMs) this.#leases.delete(chunk);
  }

  countOf(server: ServerId, nowMs: number): number {
    let count = 0;
    for (const lease of this.#leases.values()) {
      if (lease.server === server && nowMs < lease.expiresAtMs) count += 1;
    }
    return count;
  }

  get size(): number {
    return this.#leases.size;
  }
}
