import { chunkHandle } from '../base/ids.ts';
import type { ReplicaChange, ReplicaReport } from '../core/chunk-locations.ts';
import type { ChunkState } from '../rpc/messages.ts';

export function replicaReportOf(state: ChunkState): ReplicaReport {
  const { version, length, sealed, reconciled, whole, reconciledVersion, orders, restarted } = state;
  const chunk = chunkHandle(state.chunk);
  const standing = { reconciled, whole, reconciledVersion, orders, restarted };
  const { inCharge, learner } = state;
  return { chunk, version, length, sealed, ...standing, inCharge, learner };
}

/** A replica that cannot be used is no place to read from, as one that is gone. */
export function replicaChangeOf(state: ChunkState): ReplicaChange {
  if (state.deleted || state.lost) return { chunk: chunkHandle(state.chunk), deleted: true };
  return replicaReportOf(state);
}
