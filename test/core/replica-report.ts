import { type ChunkHandle, chunkHandle } from '../../src/base/ids.ts';
import type { ReplicaReport } from '../../src/core/chunk-locations.ts';

/** What a server reports of a replica in order; `change` says what is other than that. */
export function replicaReport(
  chunk: ChunkHandle | number,
  change: Partial<ReplicaReport> = {},
): ReplicaReport {
  return {
    chunk: chunkHandle(chunk),
    version: 1,
    length: 10,
    sealed: false,
    reconciled: true,
    whole: true,
    restarted: false,
    reconciledVersion: change.version ?? 1,
    orders: 0,
    inCharge: false,
    learner: false,
    ...change,
  };
}
