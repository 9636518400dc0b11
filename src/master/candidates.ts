import type { Candidate } from '../core/placement.ts';
import type { ServerTable } from '../core/server-table.ts';
import type { SystemReport } from '../rpc/messages.ts';

/** The servers that a chunk could be placed on now. */
export function candidatesOf(servers: ServerTable<SystemReport>, nowMs: number): Candidate[] {
  const candidates: Candidate[] = [];
  for (const { identity, space, placedCount } of servers.all()) {
    const liveness = servers.livenessOf(identity.server, nowMs);
    if (liveness === 'gone' || space === undefined) continue;
    candidates.push({
      server: identity.server,
      rack: identity.rack,
      totalBytes: space.totalBytes,
      availableBytes: servers.isFull(identity.server) ? 0 : space.freeBytes - space.reserveBytes,
      placedCount,
      suspect: liveness === 'suspect',
    });
  }
  return candidates;
}
