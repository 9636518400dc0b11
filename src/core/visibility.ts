import { ok, type Result, refuse } from '../base/result.ts';
import type { AppendEntry, ReplicaState } from './replica-types.ts';

/** How far readers may see into a replica. */
export interface Visibility {
  /** Bytes below may be shown. */
  readonly length: number;
  /**
   * What lies between `length` and the replica's end: `uncommitted`: not on all members, no reader may see it yet;
   * `unknown`: only the primary can tell. The two are the same where nothing lies there.
   */
  readonly rest: 'uncommitted' | 'unknown';
}

/** What a process knows of a version's appends beyond what the replica itself holds. */
export type AppendKnowledge =
  /** It is, or was, the version's primary: what it does not know to be committed was never acknowledged. */
  | { readonly kind: 'primary'; readonly visibleLength: number }
  /** It takes the version's orders, and hears with each what is committed before. */
  | { readonly kind: 'member'; readonly visibleLength: number }
  /** Nothing was ordered in this process, or all of it is known to be committed. */
  | { readonly kind: 'settled' }
  /** An earlier process took orders, and what it knew of them is forgotten. */
  | { readonly kind: 'forgotten'; readonly appends: readonly Pick<AppendEntry, 'chunkOffset'>[] };

/**
 * Whether a replica may be read, and how far (P6, P7, P13). Refused with NOT_READY: bytes that were acknowledged may
 * be missing here, or bytes be here that no other member has, until a reconcile has settled it.
 */
export function visibilityOf(
  state: Pick<ReplicaState, 'record' | 'reconciledVersion' | 'whole' | 'length'>,
  knowledge: AppendKnowledge,
): Result<Visibility> {
  const { record, reconciledVersion, whole, length } = state;
  if (!whole) return refuse('NOT_READY', 'this replica lost power: it may lack what was acknowledged');
  if (reconciledVersion !== record.version) {
    return refuse('NOT_READY', `this replica is not reconciled under version ${record.version} yet`);
  }
  switch (knowledge.kind) {
    case 'primary':
      return ok({ length: knowledge.visibleLength, rest: 'uncommitted' });
    case 'member':
      return ok({ length: knowledge.visibleLength, rest: 'unknown' });
    case 'settled':
      return ok({ length, rest: 'uncommitted' });
    case 'forgotten':
      return ok({ length: firstOf(knowledge.appends, length), rest: 'unknown' });
  }
}

/**
 * A writer has one append in flight (P15), so what may not be committed is among each writer's last one, which is what
 * the table has: all that lies before the first of these is on all members.
 */
function firstOf(appends: readonly Pick<AppendEntry, 'chunkOffset'>[], length: number): number {
  let first = length;
  for (const { chunkOffset } of appends) first = Math.min(first, chunkOffset);
  return first;
}
