import { chunkHandle, serverId } from '../base/ids.ts';
import type { ReplicaChange, ReplicaReport } from '../core/chunk-locations.ts';
import type { RecordedVersion } from '../core/lost-log.ts';
import type { Traffic } from '../core/recent-traffic.ts';
import type { ChunkState, Traffic as TrafficMessage } from '../rpc/messages.ts';

export function replicaReportOf(state: ChunkState): ReplicaReport {
  const { version, length, sealed, reconciled, whole, reconciledVersion, orders, restarted } = state;
  const chunk = chunkHandle(state.chunk);
  const standing = { reconciled, whole, reconciledVersion, orders, restarted };
  const { inCharge, learner } = state;
  return { chunk, version, length, sealed, ...standing, inCharge, learner };
}

/** What it says that the master logged for its version (P25). */
export function recordedVersionOf({ record }: ChunkState): RecordedVersion | undefined {
  if (record === undefined) return undefined;
  const { version, cutVersion, cutLength, loss } = record;
  const members = record.members.map(({ server }) => serverId(server));
  const primary = record.primary === 0 ? 0 : serverId(record.primary);
  return { version, members, primary, cutVersion, cutLength, loss };
}

/** A replica that cannot be used is no place to read from, as one that is gone. */
export function replicaChangeOf(state: ChunkState): ReplicaChange {
  if (state.deleted || state.lost) return { chunk: chunkHandle(state.chunk), deleted: true };
  return replicaReportOf(state);
}

export function messageOfTraffic({ reads, mutations, ...rates }: Traffic): TrafficMessage {
  return {
    ...rates,
    readMs: reads.meanMs,
    mutateMs: mutations.meanMs,
    readP50Ms: reads.quantileMs(0.5),
    readP99Ms: reads.quantileMs(0.99),
    mutateP50Ms: mutations.quantileMs(0.5),
    mutateP99Ms: mutations.quantileMs(0.99),
  };
}
