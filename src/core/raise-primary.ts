import { must } from '../base/assert.ts';
import type { ServerId } from '../base/ids.ts';
import { isInOrder, type MemberAnswer } from './member-answers.ts';

/** A primary's word that it cannot go on (P12): with a member, or, when it accuses itself, at all. */
export interface Accusation {
  readonly by: ServerId;
  readonly accused: ServerId;
  /** The accused said itself that it cannot (its disk fails, say): to keep it as a member would not help. */
  readonly refused: boolean;
  /** Another primary accused it too, a moment ago: no link is to blame. */
  readonly again: boolean;
}

export const NOBODY: ReadonlySet<ServerId> = new Set();

/**
 * Who is left out, and who does not order (P12). A primary that resigns cannot apply. A member whose replica cannot take
 * orders now (its process was restarted, say) was accused rightly, and a reconcile mends it. Any other one that
 * answers the master may be cut off from its primary alone, or its primary be the one that is cut off: then others
 * order, until one of them accuses it too.
 */
export function blame(
  version: number,
  answerOf: (member: ServerId) => MemberAnswer | undefined,
  {
    accusation,
    avoid,
  }: { readonly accusation?: Accusation | undefined; readonly avoid?: ServerId | undefined },
): { without: ReadonlySet<ServerId>; avoid: ReadonlySet<ServerId> } {
  const avoided = new Set(avoid === undefined ? [] : [avoid]);
  if (accusation === undefined) return { without: NOBODY, avoid: avoided };
  const { by, accused, refused, again } = accusation;
  avoided.add(accused);
  if (by === accused) return { without: new Set([accused]), avoid: avoided };
  if (!isInOrder(answerOf(accused), version)) {
    return { without: NOBODY, avoid: avoided };
  }
  if (refused || again) return { without: new Set([accused]), avoid: avoided };
  avoided.add(by);
  return { without: NOBODY, avoid: avoided };
}

/**
 * Any whole member will do (P3). Better are: one that nobody complained about, one that recorded later versions, for
 * there is less to copy, and the one that was primary, for its clients are connected to it.
 */
export function rankOfPrimary({
  primary,
  answerOf,
  avoid,
  random,
}: {
  primary: ServerId | 0;
  answerOf: (member: ServerId) => MemberAnswer;
  avoid: ReadonlySet<ServerId>;
  random: () => number;
}): (member: ServerId) => number {
  return (member) => {
    const answer = answerOf(member);
    const trusted = avoid.has(member) ? 0 : 2 ** 40;
    const recorded = answer.kind === 'holds' ? answer.replica.version * 4 : 0;
    const reconciled = answer.kind === 'holds' && answer.replica.reconciled ? 2 : 0;
    return trusted + recorded + reconciled + (member === primary ? 1 : random());
  };
}

export function best(members: readonly ServerId[], rank: (member: ServerId) => number): ServerId {
  let found: { member: ServerId; rank: number } | undefined;
  for (const member of members) {
    const own = rank(member);
    if (found === undefined || own > found.rank) found = { member, rank: own };
  }
  return must(found, 'there is somebody to choose').member;
}
