import { assert, must } from '../base/assert.ts';
import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import { ok, type Result, refuse } from '../base/result.ts';
import { isHolder, isInOrder, isPresent, isWhole, type MemberAnswer, versionOf } from './member-answers.ts';
import type { RaiseVersion } from './metadata/commands.ts';
import { memberCountMin } from './placement.ts';
import { type Accusation, best, blame, NOBODY, rankOfPrimary } from './raise-primary.ts';
import type { Rules } from './rules.ts';
import { furthest, type TornReplica } from './torn-replicas.ts';

/** What the log has of a chunk (P1). */
export interface LoggedChunk {
  readonly version: number;
  readonly members: readonly ServerId[];
  readonly primary: ServerId | 0;
  readonly goal: number;
}

/** The next version's membership, as it goes into the log. */
export interface RaisePlan
  extends Pick<RaiseVersion, 'lostVersion' | 'lostCutVersion' | 'lostCutLength' | 'lostLoss'> {
  /** The version that is left: the raise is compare-and-set on it (P2). */
  readonly version: number;
  readonly members: ServerId[];
  readonly primary: ServerId;
  readonly loss: boolean;
  /** The lowest version that was recorded by one of these members which hold replicas. */
  readonly recorded: number;
  /** A learner that becomes a member (P9); 0: nobody. */
  readonly admitted: ServerId | 0;
}

/** Members whose disks have no room for a mutation. */
export interface NoRoom {
  /** The one that refused it. */
  readonly refused: ServerId;
  /** Known to be full, `refused` among them. */
  readonly full: ReadonlySet<ServerId>;
  /** Whether it had been ordered: then other members may have applied what this one refused. */
  readonly ordered: boolean;
}

export interface RaiseOptions {
  /** A version has no fewer members, or all of a lower goal (P3). */
  readonly minReplicas: number;
  /**
   * When not to raise. `inCharge`: the primary says that it reconciles or orders; who complained tries again there.
   * `reconciling`: it says that it reconciles. `teaching`: it is in charge, and no member is there to be left out.
   */
  readonly keep?: 'inCharge' | 'reconciling' | 'teaching' | undefined;
  /** A copy is to be repaired: where too few members are there, all of them stay, and one is primary nevertheless (P3). */
  readonly forRepair?: boolean | undefined;
  /** A learner of which the primary says that it has what clients were told (P9). */
  readonly admitted?: ServerId | undefined;
  /** Clients cannot reach the primary, for longer than by chance: another one is preferred (P12). */
  readonly avoid?: ServerId | undefined;
  readonly accusation?: Accusation | undefined;
  readonly noRoom?: NoRoom | undefined;
  /** A server reported a version above the log's: everybody is asked from the start (P25). */
  readonly isBeyondLog?: boolean | undefined;
  /** All servers that the master knows of: where a lost log may have put members (P25). */
  readonly servers: readonly ServerId[];
  readonly withoutRules?: Rules | undefined;
  readonly random: () => number;
}

/**
 * The next membership with a learner in it (P9), and without those who are silent, as far as enough are left: so a dead member
 * is exchanged for it where it could not be left out before.
 */
export function planAdmission(
  chunk: ChunkHandle,
  logged: LoggedChunk,
  answers: ReadonlyMap<ServerId, MemberAnswer>,
  options: RaiseOptions & { readonly admitted: ServerId },
): Result<RaisePlan> {
  const { admitted } = options;
  const { version, members, goal } = logged;
  const answer = answers.get(admitted);
  if (answer?.kind === 'silent' && answer.awaited) {
    return refuse('NOT_READY', `${nameOf(chunk)}: server ${admitted} has not found this master yet`);
  }
  const isLearner = answer?.kind === 'holds' && answer.replica.learner && !answer.replica.restarted;
  if (!isLearner || answer.replica.version !== version) {
    return refuse(
      'NO_SUCH_CHUNK',
      `${nameOf(chunk)}: server ${admitted} does not learn for version ${version}`,
    );
  }
  if (members.filter((member) => isPresent(answers.get(member))).length >= goal) {
    return refuse(
      'INVALID_ARGUMENT',
      `${nameOf(chunk)}: ${goal} members are there, as many as it should have`,
    );
  }
  const withLearner = { ...logged, members: [...members, admitted] };
  const plan = planRaise(chunk, withLearner, answers, { ...options, forRepair: true });
  return plan.ok ? ok({ ...plan.value, admitted }) : plan;
}

/**
 * The next membership, from what all members of the last logged one said. Who is silent or lost is left out, and who is
 * to blame, as long as enough stay. `unable`: answered before and then did not record a version, or have no room to.
 */
export function planRaise(
  chunk: ChunkHandle,
  { version, members, primary, goal }: LoggedChunk,
  answers: ReadonlyMap<ServerId, MemberAnswer>,
  options: RaiseOptions,
  unable: ReadonlySet<ServerId> = NOBODY,
): Result<RaisePlan> {
  const answerOf = (member: ServerId) => must(answers.get(member), 'every member was asked');
  const present: ServerId[] = [];
  let holderCount = 0;
  let absentCount = 0;
  let silentCount = 0;
  let awaited: ServerId | undefined;
  for (const member of members) {
    const answer = answerOf(member);
    switch (answer.kind) {
      case 'holds':
        assert(answer.replica.version <= version, 'a lost log is noticed before anything is planned');
        // One that was admitted and has not recorded that yet: nobody's source (P9).
        if (!answer.replica.learner) holderCount += 1;
        present.push(member);
        break;
      case 'absent':
        absentCount += 1;
        present.push(member);
        break;
      case 'silent':
        silentCount += 1;
        if (answer.awaited) awaited = member;
        break;
      case 'lost':
        break;
    }
  }
  if (awaited !== undefined) {
    return refuse('NOT_READY', `${nameOf(chunk)}: server ${awaited} has not found this master yet`);
  }
  const minimum = memberCountMin(goal, options.minReplicas);
  if (present.length < minimum && options.forRepair) {
    return planStuck(chunk, { version, members, primary }, answers, options);
  }
  if (present.length < minimum) {
    return refuse(
      'TOO_FEW_REPLICAS',
      `${nameOf(chunk)}: ${present.length} members are there, ${minimum} are needed`,
    );
  }
  if (holderCount === 0 && absentCount < members.length) {
    // P23: the data may be where nobody can ask.
    return refuse('NOT_READY', `${nameOf(chunk)}: those who answer hold nothing, others may`, {
      hold: 'nothing',
    });
  }
  const context: Planning = { chunk, version, members, primary, answerOf, options, minimum, present, unable };
  if (holderCount === 0) return planFromNothing(context);
  if (present.some((member) => isWhole(answerOf(member)))) return planFromWhole(context);
  if (silentCount > 0)
    return refuse('NOT_READY', `${nameOf(chunk)}: no whole replica is there, others may be`);
  return planFromTorn(context);
}

/** What a plan is made from, once it is known that there can be one. */
interface Planning extends Pick<LoggedChunk, 'version' | 'members' | 'primary'> {
  readonly chunk: ChunkHandle;
  readonly answerOf: (member: ServerId) => MemberAnswer;
  readonly options: RaiseOptions;
  readonly minimum: number;
  readonly present: readonly ServerId[];
  readonly unable: ReadonlySet<ServerId>;
}

/** Nobody has anything: no source is needed. */
function planFromNothing(context: Planning): Result<RaisePlan> {
  const { chunk, minimum, present, options } = context;
  const { noRoom } = options;
  const staying = keepEnough(present, isWanted(context), { minimum, isWhole: () => true });
  if (noRoom !== undefined && staying.includes(noRoom.refused)) return nobodyToSpare(chunk, noRoom.refused);
  // All empty: nobody wrote, or all lost power before the first sync and have nothing left. Whoever has an
  // acknowledgement learns by the loss which it was (P14).
  return planned(context, { members: staying, primary: best(staying, ranking(context)), loss: true });
}

/** Somebody has all that was acknowledged, and makes the others equal. */
function planFromWhole(context: Planning): Result<RaisePlan> {
  const { chunk, version, primary, answerOf, minimum, present, options } = context;
  const { accusation, noRoom, withoutRules } = options;
  const staying = keepEnough(present, isWanted(context), {
    minimum,
    isWhole: (member) => isWhole(answerOf(member)),
  });
  const unwilling = accusation?.refused ? accusation.accused : undefined;
  const { without } = blame(version, answerOf, options);
  if (unwilling !== undefined && staying.includes(unwilling) && without.has(unwilling)) {
    const message = `${nameOf(chunk)}: without server ${unwilling} too few members are left`;
    return refuse('TOO_FEW_REPLICAS', message);
  }
  if (noRoom !== undefined && staying.includes(noRoom.refused)) {
    const mayOrder =
      isWhole(answerOf(noRoom.refused)) && primary !== 0 && isInOrder(answerOf(primary), version);
    if (!noRoom.ordered || !mayOrder) return nobodyToSpare(chunk, noRoom.refused);
    // What it could not apply, others have to undo. Being primary, it refuses such things before anybody is ordered.
    return planned(context, { members: staying, primary: noRoom.refused, loss: false });
  }
  const whole = staying.filter((member) => isWhole(answerOf(member)));
  const candidates = withoutRules?.has('P3')
    ? whole.filter((member) => versionOf(answerOf(member)) === version)
    : whole;
  if (candidates.length === 0) return refuse('NOT_READY', `${nameOf(chunk)}: nobody recorded its version`);
  return planned(context, { members: staying, primary: best(candidates, ranking(context)), loss: false });
}

/** P7: all said that power was lost under them. What was not synced may be gone. */
function planFromTorn(context: Planning): Result<RaisePlan> {
  const { chunk, members, answerOf, present, options } = context;
  const { accusation } = options;
  const resigned = accusation?.by === accusation?.accused ? accusation?.accused : undefined;
  const torn = present.flatMap((member) => tornReplica(member, answerOf(member)));
  const serving = furthest(torn.filter(({ member }) => member !== resigned)) ?? furthest(torn);
  if (serving !== undefined) return planned(context, { members: present, primary: serving, loss: true });
  if (present.length < members.length) {
    return refuse('NOT_READY', `${nameOf(chunk)}: those who answer hold copies that were never finished`);
  }
  // Copies were begun from one that had synced nothing, and has nothing left: as if all were absent.
  const copies = torn.map(({ member }) => member);
  return planned(context, { members: present, primary: best(copies, ranking(context)), loss: true });
}

function planned(
  { version, answerOf }: Planning,
  { members, primary, loss }: { members: readonly ServerId[]; primary: ServerId; loss: boolean },
): Result<RaisePlan> {
  const recorded = recordedBy(members, version, answerOf);
  return ok({ version, members: [...members], primary, loss, recorded, admitted: 0 });
}

function isWanted({ version, answerOf, options, unable }: Planning): (member: ServerId) => boolean {
  const { without } = blame(version, answerOf, options);
  return (member) => !unable.has(member) && !without.has(member) && options.noRoom?.full.has(member) !== true;
}

function ranking({ version, primary, answerOf, options }: Planning): (member: ServerId) => number {
  const { avoid } = blame(version, answerOf, options);
  return rankOfPrimary({ primary, answerOf, avoid, random: options.random });
}

/**
 * All members stay, since too few would be left; a whole one that is there is primary, and cannot get on alone (P3, P4). Where
 * nobody is silent and nobody is whole, it is the one that got furthest (P7): the others have nothing that can be used.
 */
function planStuck(
  chunk: ChunkHandle,
  { version, members, primary }: Pick<LoggedChunk, 'version' | 'members' | 'primary'>,
  answers: ReadonlyMap<ServerId, MemberAnswer>,
  { random }: RaiseOptions,
): Result<RaisePlan> {
  const answerOf = (member: ServerId) => must(answers.get(member), 'every member was asked');
  // What those who are silent have recorded is not known.
  const stuck = { version, members: [...members], recorded: 0, admitted: 0 as const };
  const candidates = members.filter((member) => isWhole(answerOf(member)));
  if (candidates.length > 0) {
    const rank = rankOfPrimary({ primary, answerOf, avoid: NOBODY, random });
    return ok({ ...stuck, primary: best(candidates, rank), loss: false });
  }
  const mayBeWhole = members.some((member) => answerOf(member).kind === 'silent');
  const serving = furthest(members.flatMap((member) => tornReplica(member, answerOf(member))));
  if (mayBeWhole || serving === undefined) {
    return refuse('NOT_READY', `${nameOf(chunk)}: no whole replica is there`);
  }
  return ok({ ...stuck, primary: serving, loss: true });
}

/** Of those that hold replicas, the lowest version. */
function recordedBy(
  members: readonly ServerId[],
  version: number,
  answerOf: (member: ServerId) => MemberAnswer,
): number {
  return members.reduce((lowest, member) => {
    const answer = answerOf(member);
    return answer.kind === 'holds' ? Math.min(lowest, answer.replica.version) : lowest;
  }, version);
}

function tornReplica(member: ServerId, answer: MemberAnswer): TornReplica[] {
  return isHolder(answer) ? [{ member, ...answer.replica }] : [];
}

export function nobodyToSpare(chunk: ChunkHandle, full: ServerId): Result<never> {
  return refuse(
    'NO_SPACE',
    `${nameOf(chunk)}: the disk of server ${full} is full, and without it too few members with room are left`,
  );
}

/** The wanted ones; unwanted ones too where there would be too few, or nobody whole. */
function keepEnough(
  present: readonly ServerId[],
  isWanted: (member: ServerId) => boolean,
  needs: { minimum: number; isWhole: (member: ServerId) => boolean },
): ServerId[] {
  const staying = present.filter(isWanted);
  const enough = staying.length >= needs.minimum && staying.some(needs.isWhole);
  return enough ? staying : [...present];
}

export function nameOf(chunk: ChunkHandle): string {
  return `chunk ${hex(chunk)}`;
}
