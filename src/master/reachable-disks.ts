import type { ServerDisk } from '../core/capacity.ts';
import type { ServerTable } from '../core/server-table.ts';

/** The disks of servers that are not gone, as they told of them last. */
export function reachableDisks<Report>(servers: ServerTable<Report>, nowMs: number): ServerDisk[] {
  const disks: ServerDisk[] = [];
  for (const { identity, space } of servers.all()) {
    if (space === undefined || !servers.isReachable(identity.server, nowMs)) continue;
    disks.push({ ...space, disk: `${identity.bootId} ${space.device}` });
  }
  return disks;
}
