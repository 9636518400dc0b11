import type { ReplicaReport } from './chunk-locations.ts';
import type { RecordedVersion } from './lost-log.ts';

/** What a member says of its replica when it is asked before a raise. */
export type MemberAnswer =
  | {
      readonly kind: 'holds';
      readonly replica: ReplicaReport;
      /** Looked at where the log lacks its version (P25). */
      readonly recorded?: RecordedVersion | undefined;
      /** Its disk has no room even for the record of a version. */
      readonly full?: boolean;
    }
  /** It never had one. */
  | { readonly kind: 'absent'; readonly full?: boolean }
  /** It had one and cannot use it. */
  | { readonly kind: 'lost' }
  /** `awaited`: this master was just started, and the server may not have had the time to find it. */
  | { readonly kind: 'silent'; readonly awaited: boolean };

export function versionOf(answer: MemberAnswer): number {
  return answer.kind === 'holds' ? answer.replica.version : 0;
}

export function isPresent(answer: MemberAnswer | undefined): boolean {
  return answer?.kind === 'holds' || answer?.kind === 'absent';
}

/** Its replica takes orders under this version. */
export function isInOrder(answer: MemberAnswer | undefined, asked: number): boolean {
  if (answer?.kind !== 'holds') return false;
  const { version, restarted, whole, reconciled } = answer.replica;
  return version === asked && whole && reconciled && !restarted;
}

export function isWhole(answer: MemberAnswer): boolean {
  return isHolder(answer) && answer.replica.whole;
}

/** It has recorded a version as a member. */
export function isHolder(answer: MemberAnswer): answer is MemberAnswer & { readonly kind: 'holds' } {
  return answer.kind === 'holds' && !answer.replica.learner;
}
