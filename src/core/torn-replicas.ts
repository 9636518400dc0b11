import type { ServerId } from '../base/ids.ts';
import type { ReplicaReport } from './chunk-locations.ts';

/** A member's replica that was under a loss of power: of what it acknowledged, the end may be missing. */
export interface TornReplica extends Pick<ReplicaReport, 'reconciledVersion' | 'orders' | 'length'> {
  readonly member: ServerId;
}

/**
 * Which replica serves when no member is whole (P7): the one that got furthest. Undefined: none was ever whole, so none is
 * a source for others (P9).
 *
 * 1. By the version under which it was reconciled last. Then it was made equal to a primary that had all that was acknowledged
 *    before, and it was synced (P8): a replica of an earlier version has a prefix of that at most. A version that was
 *    recorded, and not reconciled, says nothing of what is in a replica. Every one of the highest version that was active
 *    has all that was synced under it (P14), and so has every one of a later version.
 * 2. Among these, by the orders that it has of that version, in a row: recovery verified each. More of one stream is more,
 *    also where an order only overwrote. A mixture counts as none: of a primary that died it has an unknown part.
 * 3. Then by length. Never by that first: cut off bytes, or a table's zeros, are longer and less.
 */
export function furthest(replicas: readonly TornReplica[]): ServerId | undefined {
  const sources = replicas.filter(({ reconciledVersion }) => reconciledVersion > 0);
  return sources.sort(
    (a, b) => b.reconciledVersion - a.reconciledVersion || b.orders - a.orders || b.length - a.length,
  )[0]?.member;
}
