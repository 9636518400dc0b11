import type { ChunkHandle, ServerId } from '../base/ids.ts';

/** What a chunkserver said of its replica. */
export interface ReplicaReport {
  readonly chunk: ChunkHandle;
  readonly version: number;
  readonly length: number;
  readonly sealed: boolean;
  /** Under its version, durably (P6). */
  readonly reconciled: boolean;
  readonly whole: boolean;
  /** The version under which it was reconciled last, durably; 0: never. */
  readonly reconciledVersion: number;
  /** Applied since, in a row; 0 also where a reconcile began that did not end. */
  readonly orders: number;
  /** An earlier process recorded its version: it refuses orders (P6). */
  readonly restarted: boolean;
  /** Asked, not reported: it is this version's primary, reconciling or ordering. */
  readonly inCharge: boolean;
  /** It is no member of its version but learns to be one (P9). */
  readonly learner: boolean;
}

/** An increment: a replica's new state, or that it is gone. */
export type ReplicaChange = ReplicaReport | { readonly chunk: ChunkHandle; readonly deleted: true };

/**
 * Which replicas lie where, and how they are, as chunkservers report it (§2.6.2). Volatile.
 * It never says who a chunk's members are: that is the log's word alone (P1).
 */
export class ChunkLocations {
  /** Absent: nothing was reported in full yet, so that a missing chunk means nothing. */
  readonly #servers = new Map<ServerId, Map<ChunkHandle, ReplicaReport>>();
  readonly #scans = new Map<ServerId, Scan>();

  /** A part of a report of the whole disk. The last part replaces all that was known of that server. */
  reportPart(
    server: ServerId,
    part: { reportId: number; last: boolean; replicas: readonly ReplicaChange[] },
  ): void {
    let scan = this.#scans.get(server);
    if (scan === undefined || scan.reportId !== part.reportId) {
      // A report that was given up in the middle is forgotten with the first part of the next.
      scan = { reportId: part.reportId, found: new Map(), changes: [] };
      this.#scans.set(server, scan);
    }
    for (const replica of part.replicas) applyChange(scan.found, replica);
    if (!part.last) return;
    this.#scans.delete(server);
    // What changed while the parts were on their way is newer than they are.
    for (const change of scan.changes) applyChange(scan.found, change);
    this.#servers.set(server, scan.found);
  }

  /** Increments since the last report. Without a full report before, they say too little to be kept. */
  reportChanges(server: ServerId, changes: readonly ReplicaChange[]): void {
    const known = this.#servers.get(server);
    const scan = this.#scans.get(server);
    for (const change of changes) {
      if (known !== undefined) applyChange(known, change);
      scan?.changes.push(change);
    }
  }

  /** The server restarted: what it reported before proves nothing any more. */
  forget(server: ServerId): void {
    this.#servers.delete(server);
    this.#scans.delete(server);
  }

  /** Whether the server reported its whole disk since it was last forgotten. */
  isKnown(server: ServerId): boolean {
    return this.#servers.has(server);
  }

  /** Whether a full report of the server has begun to arrive. */
  isReporting(server: ServerId): boolean {
    return this.#scans.has(server);
  }

  replicaAt(server: ServerId, chunk: ChunkHandle): ReplicaReport | undefined {
    return this.#servers.get(server)?.get(chunk);
  }

  countAt(server: ServerId): number {
    return this.#servers.get(server)?.size ?? 0;
  }
}

interface Scan {
  readonly reportId: number;
  readonly found: Map<ChunkHandle, ReplicaReport>;
  readonly changes: ReplicaChange[];
}

function applyChange(replicas: Map<ChunkHandle, ReplicaReport>, change: ReplicaChange): void {
  if ('deleted' in change) replicas.delete(change.chunk);
  else replicas.set(change.chunk, change);
}

/** A member's replica that serves neither readers nor writers until a version is raised (P4, P6, P7). */
export function isBehind(logged: { readonly version: number }, replica: ReplicaReport): boolean {
  return replica.version < logged.version || !replica.whole || !replica.reconciled;
}
