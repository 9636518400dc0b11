import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import type { AppendEntry, BlockSums, TableCut } from './replica-types.ts';

/** What two replicas are compared by (P8). */
export interface ReplicaSummary extends Pick<BlockSums, 'length' | 'stream' | 'checksums' | 'table'> {
  /** Nothing it acknowledged is missing (P7). */
  readonly whole: boolean;
}

/**
 * What makes a member equal to its primary, in this order; a finish, which sets length, seal and table, comes last.
 *
 * It may be interrupted after any of them, and the member be the next primary: so each leaves a replica that holds what
 * was acknowledged, and speaks of nothing that it does not hold. A cut takes bytes together with their table
 * entries, and blocks behind the member's end count only with the finish.
 */
export type ReconcileStep =
  | { readonly kind: 'cut'; readonly length: number; readonly table: TableCut }
  | { readonly kind: 'block'; readonly blockIndex: number }
  | { readonly kind: 'finish' };

/**
 * The steps that make a member equal to its primary (P8). Replicas that applied the same orders are equal, and that is
 * all there is to compare; but one that lost power may lack what its serial claims, so then the blocks decide.
 */
export function reconcileSteps(primary: ReplicaSummary, member: ReplicaSummary): ReconcileStep[] {
  if (sameOrders(primary, member)) return [{ kind: 'finish' }];
  const steps: ReconcileStep[] = [];
  const table = tableCut(primary.table, member.table);
  if (member.length > primary.length || table.lowered.length > 0 || table.dropped.length > 0) {
    steps.push({ kind: 'cut', length: primary.length, table });
  }
  for (let blockIndex = 0; blockIndex < primary.checksums.length; blockIndex += 1) {
    if (!sameBlock(primary, member, blockIndex)) steps.push({ kind: 'block', blockIndex });
  }
  steps.push({ kind: 'finish' });
  return steps;
}

/**
 * Of each writer the lower-numbered entry of both stays. He has one append in flight (P15): the number before it is
 * on all members, so what only the member has was never acknowledged, whichever of the two orders next.
 */
function tableCut(primary: readonly AppendEntry[], member: readonly AppendEntry[]): TableCut {
  const entries = new Map(primary.map((entry) => [entry.writer, entry]));
  const lowered: AppendEntry[] = [];
  const dropped: number[] = [];
  for (const { writer, number } of member) {
    const entry = entries.get(writer);
    if (entry === undefined) dropped.push(writer);
    else if (entry.number < number) lowered.push(entry);
  }
  return { lowered, dropped };
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

/** The block is the last one, and what is appended goes into it. */
export function endsWithin(length: number, blockIndex: number): boolean {
  const left = blockLength(length, blockIndex);
  return left > 0 && left < CHECKSUM_BLOCK_BYTES;
}

/** Whether some of these bytes are in one of the blocks. */
export function liesInAny(blocks: ReadonlySet<number>, chunkOffset: number, length: number): boolean {
  if (blocks.size === 0) return false;
  const last = Math.floor((chunkOffset + length - 1) / CHECKSUM_BLOCK_BYTES);
  for (let index = Math.floor(chunkOffset / CHECKSUM_BLOCK_BYTES); index <= last; index += 1) {
    if (blocks.has(index)) return true;
  }
  return false;
}

/** Bytes that a replica of this length has in a block. */
export function blockLength(length: number, blockIndex: number): number {
  return Math.max(0, Math.min(CHECKSUM_BLOCK_BYTES, length - blockIndex * CHECKSUM_BLOCK_BYTES));
}
