import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import type { BlockSums } from './replica-types.ts';

/** What two replicas are compared by (P8). */
export interface ReplicaSummary extends Pick<BlockSums, 'length' | 'stream' | 'checksums'> {
  /** Nothing it acknowledged is missing (P7). */
  readonly whole: boolean;
}

/** What makes a member equal to its primary, in this order; a finish, which sets length, seal and table, comes last. */
export type ReconcileStep =
  | { readonly kind: 'cut'; readonly length: number }
  | { readonly kind: 'block'; readonly blockIndex: number }
  | { readonly kind: 'finish' };

/**
 * The steps that make a member equal to its primary (P8). Replicas that applied the same orders are equal, and that is
 * all there is to compare; but one that lost power may lack what its serial claims, so then the blocks decide.
 */
export function reconcileSteps(primary: ReplicaSummary, member: ReplicaSummary): ReconcileStep[] {
  if (sameOrders(primary, member)) return [{ kind: 'finish' }];
  const steps: ReconcileStep[] = [];
  if (member.length > primary.length) steps.push({ kind: 'cut', length: primary.length });
  for (let blockIndex = 0; blockIndex < primary.checksums.length; blockIndex += 1) {
    if (!sameBlock(primary, member, blockIndex)) steps.push({ kind: 'block', blockIndex });
  }
  steps.push({ kind: 'finish' });
  return steps;
}

function sameOrders(a: ReplicaSummary, b: ReplicaSummary): boolean {
  // Stream 0 is a mixture: a reconcile began there and did not end.
  if (a.stream.version === 0 || a.stream.version !== b.stream.version) return false;
  return a.stream.nextSerial === b.stream.nextSerial && a.whole && b.whole && a.length === b.length;
}

/** A checksum says something of a block only for the number of bytes it covers. */
function sameBlock(a: ReplicaSummary, b: ReplicaSummary, blockIndex: number): boolean {
  return (
    blockLength(a.length, blockIndex) === blockLength(b.length, blockIndex) &&
    a.checksums[blockIndex] === b.checksums[blockIndex]
  );
}

/** Bytes that a replica of this length has in a block. */
export function blockLength(length: number, blockIndex: number): number {
  return Math.max(0, Math.min(CHECKSUM_BLOCK_BYTES, length - blockIndex * CHECKSUM_BLOCK_BYTES));
}
