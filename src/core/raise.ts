import { assert, must } from '../base/assert.ts';
import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import { ok, type Refusal, type Result, refuse } from '../base/result.ts';
import type { ReplicaReport } from './chunk-locations.ts';
import { planRecovery, type RecordedVersion, versionAfter } from './lost-log.ts';
import type { RaiseVersion } from './metadata/commands.ts';
import { memberCountMin } from './placement.ts';
import type { Rules } from './rules.ts';
import { furthest, type TornReplica } from './torn-replicas.ts';

/** What the log has of a chunk (P1). */
export interface LoggedChunk {
  readonly version: number;
  readonly members: readonly ServerId[];
  readonly primary: ServerId | 0;
  readonly goal: number;
}

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

/** What became of an order to record the new version. */
export type OrderOutcome = 'recorded' | 'failed';

/** Who gets which order: `set` records on a replica, `create` makes one where there is none. */
export interface RaiseOrders {
  /** With the version that each had recorded before: cuts above it are due (P19). */
  readonly set: readonly { readonly member: ServerId; readonly recorded: number }[];
  readonly create: readonly ServerId[];
  /** Of created ones: others hold data, the primary copies it to them. */
  readonly copy: boolean;
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

export type RaiseStep =
  | { readonly kind: 'ask'; readonly members: readonly ServerId[] }
  /** Nothing is raised: the primary is in charge. */
  | { readonly kind: 'kept'; readonly version: number; readonly primary: ServerId }
  | { readonly kind: 'log'; readonly plan: RaisePlan }
  | { readonly kind: 'order'; readonly orders: RaiseOrders }
  | { readonly kind: 'active'; readonly version: number; readonly primary: ServerId }
  /** Recorded by the primary, but not by all members: it serves nobody, and may teach a learner (P9). */
  | { readonly kind: 'stuck'; readonly version: number; readonly primary: ServerId }
  | { readonly kind: 'refused'; readonly error: Refusal };

/** A primary's word that it cannot go on (P12): with a member, or, when it accuses itself, at all. */
export interface Accusation {
  readonly by: ServerId;
  readonly accused: ServerId;
  /** The accused said itself that it cannot (its disk fails, say): to keep it as a member would not help. */
  readonly refused: boolean;
  /** Another primary accused it too, a moment ago: no link is to blame. */
  readonly again: boolean;
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

/** Raises that follow one another before the caller is told to come again. */
const RAISES_MAX = 3;

/**
 * Raising a chunk's version (P1-P4), step by step: ask the members, decide, log, order. The owner does what `next` says
 * and tells what came of it. A raise that gets stuck is followed by another, from the version it logged, never by
 * a retreat (P3).
 *
 * "Recorded by all" is where the master's part ends. The primary then reconciles the others by itself and refuses
 * mutations with NOT_READY until it is done; when it cannot, clients complain, and the version is raised again.
 */
export class Raise {
  readonly #chunk: ChunkHandle;
  readonly #options: RaiseOptions;
  #logged: LoggedChunk;
  #step: RaiseStep;
  #count = 0;
  /** A version is out there that the log does not have (P25). */
  #isRecovering = false;
  readonly #answers = new Map<ServerId, MemberAnswer>();
  /** Answered, and then did not record what was ordered. */
  readonly #failed = new Set<ServerId>();
  readonly #outcomes = new Map<ServerId, OrderOutcome>();

  constructor(chunk: ChunkHandle, logged: LoggedChunk, options: RaiseOptions) {
    this.#chunk = chunk;
    this.#logged = logged;
    this.#options = options;
    const { admitted } = options;
    const members = admitted === undefined ? logged.members : [...logged.members, admitted];
    this.#step = options.isBeyondLog ? this.#recover() : { kind: 'ask', members };
  }

  get next(): RaiseStep {
    return this.#step;
  }

  /** The highest version that a server has, where that is above the log's (P25). */
  get versionBeyondLog(): number | undefined {
    const found = Math.max(0, ...[...this.#answers.values()].map(versionOf));
    return found > this.#logged.version ? found : undefined;
  }

  /** A member's answer to `ask`. */
  answered(member: ServerId, answer: MemberAnswer): void {
    assert(this.#step.kind === 'ask', 'members answer when they are asked');
    this.#answers.set(member, answer);
    if (this.#answers.size < this.#step.members.length) return;
    if (!this.#isRecovering && this.versionBeyondLog !== undefined) {
      this.#step = this.#recover();
      return;
    }
    const { version, primary } = this.#logged;
    // Nothing is kept before it is known who the members are.
    const mayKeep = this.#count === 0 && !this.#isRecovering;
    if (mayKeep && primary !== 0 && isKept(this.#options, this.#logged, this.#answers)) {
      this.#step = { kind: 'kept', version, primary };
      return;
    }
    const plan = this.#plannedWithRoom();
    this.#step = plan.ok ? { kind: 'log', plan: plan.value } : { kind: 'refused', error: plan.error };
  }

  #recover(): RaiseStep {
    this.#isRecovering = true;
    this.#answers.clear();
    const members = new Set([...this.#logged.members, ...this.#options.servers]);
    return { kind: 'ask', members: [...members] };
  }

  /** Nothing is logged that a member could not record: nobody could read or write before there is room again. */
  #plannedWithRoom(): Result<RaisePlan> {
    const full = new Set<ServerId>();
    for (const [member, answer] of this.#answers) if ('full' in answer && answer.full) full.add(member);
    const plan = this.#plan(full);
    const stuck = plan.ok ? plan.value.members.find((member) => full.has(member)) : undefined;
    return stuck === undefined ? plan : nobodyToSpare(this.#chunk, stuck);
  }

  #plan(full: ReadonlySet<ServerId>): Result<RaisePlan> {
    const { admitted } = this.#options;
    if (this.#isRecovering) {
      const { minReplicas, random, servers, withoutRules } = this.#options;
      const planOf = (found: LoggedChunk, answers: ReadonlyMap<ServerId, MemberAnswer>) =>
        planRaise(this.#chunk, found, answers, { minReplicas, random, servers, withoutRules });
      return planRecovery(this.#chunk, this.#logged, this.#answers, minReplicas, planOf);
    }
    if (admitted !== undefined && this.#count === 0) {
      return planAdmission(this.#chunk, this.#logged, this.#answers, { ...this.#options, admitted });
    }
    // Once a version is in the log there is no way back, room or not (P3).
    const options = this.#count === 0 ? this.#options : { ...this.#options, noRoom: undefined };
    const unable = new Set([...this.#failed, ...full]);
    return planRaise(this.#chunk, this.#logged, this.#answers, options, unable);
  }

  /** `log` was done; `row` is what the log has now. */
  logged(row: LoggedChunk): void {
    assert(this.#step.kind === 'log', 'a plan is logged once');
    assert(
      row.version === versionAfter(this.#step.plan),
      'a raise goes one version up, from the last there was',
    );
    this.#isRecovering = false;
    this.#logged = row;
    this.#count += 1;
    const set: { member: ServerId; recorded: number }[] = [];
    const create: ServerId[] = [];
    for (const member of row.members) {
      const answer = this.#answers.get(member);
      if (answer?.kind === 'holds') set.push({ member, recorded: answer.replica.version });
      else create.push(member);
    }
    this.#step = { kind: 'order', orders: { set, create, copy: set.length > 0 && create.length > 0 } };
  }

  /** The log refused: the chunk is at another version, or gone. */
  refused(error: Refusal): void {
    this.#step = { kind: 'refused', error };
  }

  /** What became of a member's order. */
  ordered(member: ServerId, outcome: OrderOutcome): void {
    assert(this.#step.kind === 'order', 'outcomes follow orders');
    this.#outcomes.set(member, outcome);
    const { version, members, primary } = this.#logged;
    if (this.#outcomes.size < members.length) return;
    const failed = members.filter((one) => this.#outcomes.get(one) !== 'recorded');
    if (failed.length === 0) {
      assert(primary !== 0, 'a raise names a primary');
      this.#step = { kind: 'active', version, primary };
      return;
    }
    // Those who were silent when they were asked stay only because too few would be left.
    if (primary !== 0 && failed.every((member) => !isPresent(this.#answers.get(member)))) {
      this.#step = { kind: 'stuck', version, primary };
      return;
    }
    if (this.#count >= RAISES_MAX) {
      const error = `${name(this.#chunk)}: version ${version} is not recorded by ${failed.join(', ')}`;
      this.#step = { kind: 'refused', error: refuse('NOT_READY', error).error };
      return;
    }
    for (const member of failed) this.#failed.add(member);
    this.#answers.clear();
    this.#outcomes.clear();
    this.#step = { kind: 'ask', members };
  }
}

/** Whether the primary says that it is in charge of this version, in the way that the caller wants to respect. */
function isKept(
  { keep, minReplicas }: RaiseOptions,
  { version, primary, goal, members }: LoggedChunk,
  answers: ReadonlyMap<ServerId, MemberAnswer>,
): boolean {
  const answer = primary === 0 ? undefined : answers.get(primary);
  if (answer?.kind !== 'holds') return false;
  const { replica } = answer;
  if (!replica.inCharge || replica.version !== version) return false;
  switch (keep) {
    case undefined:
      return false;
    case 'inCharge':
      return true;
    case 'reconciling':
      return !replica.reconciled;
    case 'teaching': {
      const presentCount = members.filter((member) => isPresent(answers.get(member))).length;
      return presentCount === members.length || presentCount < memberCountMin(goal, minReplicas);
    }
  }
}

function versionOf(answer: MemberAnswer): number {
  return answer.kind === 'holds' ? answer.replica.version : 0;
}

function isPresent(answer: MemberAnswer | undefined): boolean {
  return answer?.kind === 'holds' || answer?.kind === 'absent';
}

/**
 * The next membership with a learner in it (P9), and without those who are silent, as far as enough are left: so a dead member
 * is exchanged for it where it could not be left out before.
 */
function planAdmission(
  chunk: ChunkHandle,
  logged: LoggedChunk,
  answers: ReadonlyMap<ServerId, MemberAnswer>,
  options: RaiseOptions & { readonly admitted: ServerId },
): Result<RaisePlan> {
  const { admitted } = options;
  const { version, members, goal } = logged;
  const answer = answers.get(admitted);
  if (answer?.kind === 'silent' && answer.awaited) {
    return refuse('NOT_READY', `${name(chunk)}: server ${admitted} has not found this master yet`);
  }
  const isLearner = answer?.kind === 'holds' && answer.replica.learner && !answer.replica.restarted;
  if (!isLearner || answer.replica.version !== version) {
    return refuse(
      'NO_SUCH_CHUNK',
      `${name(chunk)}: server ${admitted} does not learn for version ${version}`,
    );
  }
  if (members.filter((member) => isPresent(answers.get(member))).length >= goal) {
    return refuse('INVALID_ARGUMENT', `${name(chunk)}: ${goal} members are there, as many as it should have`);
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
    return refuse('NOT_READY', `${name(chunk)}: server ${awaited} has not found this master yet`);
  }
  const minimum = memberCountMin(goal, options.minReplicas);
  if (present.length < minimum && options.forRepair) {
    return planStuck(chunk, { version, members, primary }, answers, options);
  }
  if (present.length < minimum) {
    return refuse(
      'TOO_FEW_REPLICAS',
      `${name(chunk)}: ${present.length} members are there, ${minimum} are needed`,
    );
  }
  if (holderCount === 0 && absentCount < members.length) {
    // P23: the data may be where nobody can ask.
    return refuse('NOT_READY', `${name(chunk)}: those who answer hold nothing, others may`, {
      hold: 'nothing',
    });
  }
  const { without, avoid } = blame(version, answers, options);
  const rank = rankOfPrimary({ primary, answerOf, avoid, random: options.random });
  const { noRoom } = options;
  const planOf = (chosen: Pick<RaisePlan, 'members' | 'primary' | 'loss'>) =>
    ok({ version, ...chosen, recorded: recordedBy(chosen.members, version, answerOf), admitted: 0 as const });
  const isWanted = (member: ServerId) =>
    !unable.has(member) && !without.has(member) && noRoom?.full.has(member) !== true;
  if (holderCount === 0) {
    const staying = keepEnough(present, isWanted, { minimum, isWhole: () => true });
    if (noRoom !== undefined && staying.includes(noRoom.refused)) return nobodyToSpare(chunk, noRoom.refused);
    // All empty: nobody wrote, or all lost power before the first sync and have nothing left. Whoever has an
    // acknowledgement learns by the loss which it was (P14).
    return planOf({ members: staying, primary: best(staying, rank), loss: true });
  }
  if (present.some((member) => isWhole(answerOf(member)))) {
    const staying = keepEnough(present, isWanted, {
      minimum,
      isWhole: (member) => isWhole(answerOf(member)),
    });
    const unwilling = options.accusation?.refused ? options.accusation.accused : undefined;
    if (unwilling !== undefined && staying.includes(unwilling) && without.has(unwilling)) {
      return refuse(
        'TOO_FEW_REPLICAS',
        `${name(chunk)}: without server ${unwilling} too few members are left`,
      );
    }
    if (noRoom !== undefined && staying.includes(noRoom.refused)) {
      const mayOrder =
        isWhole(answerOf(noRoom.refused)) && primary !== 0 && isInOrder(answerOf(primary), version);
      if (!noRoom.ordered || !mayOrder) return nobodyToSpare(chunk, noRoom.refused);
      // What it could not apply, others have to undo. Being primary, it refuses such things before anybody is ordered.
      return planOf({ members: staying, primary: noRoom.refused, loss: false });
    }
    const whole = staying.filter((member) => isWhole(answerOf(member)));
    const candidates = options.withoutRules?.has('P3')
      ? whole.filter((member) => versionOf(answerOf(member)) === version)
      : whole;
    if (candidates.length === 0) return refuse('NOT_READY', `${name(chunk)}: nobody recorded its version`);
    return planOf({ members: staying, primary: best(candidates, rank), loss: false });
  }
  if (silentCount > 0) return refuse('NOT_READY', `${name(chunk)}: no whole replica is there, others may be`);
  // P7: all said that power was lost under them. What was not synced may be gone.
  const { accusation } = options;
  const resigned = accusation?.by === accusation?.accused ? accusation?.accused : undefined;
  const torn = present.flatMap((member) => tornReplica(member, answerOf(member)));
  const serving = furthest(torn.filter(({ member }) => member !== resigned)) ?? furthest(torn);
  if (serving !== undefined) return planOf({ members: present, primary: serving, loss: true });
  if (present.length < members.length) {
    return refuse('NOT_READY', `${name(chunk)}: those who answer hold copies that were never finished`);
  }
  // Copies were begun from one that had synced nothing, and has nothing left: as if all were absent.
  const copies = torn.map(({ member }) => member);
  return planOf({ members: present, primary: best(copies, rank), loss: true });
}

/** All members stay, since too few would be left; a whole one that is there is primary, and cannot get on alone (P3, P4). */
function planStuck(
  chunk: ChunkHandle,
  { version, members, primary }: Pick<LoggedChunk, 'version' | 'members' | 'primary'>,
  answers: ReadonlyMap<ServerId, MemberAnswer>,
  { random }: RaiseOptions,
): Result<RaisePlan> {
  const answerOf = (member: ServerId) => must(answers.get(member), 'every member was asked');
  const candidates = members.filter((member) => isWhole(answerOf(member)));
  if (candidates.length === 0) return refuse('NOT_READY', `${name(chunk)}: no whole replica is there`);
  const rank = rankOfPrimary({ primary, answerOf, avoid: NOBODY, random });
  const chosen = { members: [...members], primary: best(candidates, rank), loss: false };
  // What those who are silent have recorded is not known.
  return ok({ version, ...chosen, recorded: 0, admitted: 0 });
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

const NOBODY: ReadonlySet<ServerId> = new Set();

/**
 * Who is left out, and who does not order (P12). A primary that resigns cannot apply. A member whose replica cannot take
 * orders now (its process was restarted, say) was accused rightly, and a reconcile mends it. Any other one that
 * answers the master may be cut off from its primary alone, or its primary be the one that is cut off: then others
 * order, until one of them accuses it too.
 */
function blame(
  version: number,
  answers: ReadonlyMap<ServerId, MemberAnswer>,
  { accusation, avoid }: RaiseOptions,
): { without: ReadonlySet<ServerId>; avoid: ReadonlySet<ServerId> } {
  const avoided = new Set(avoid === undefined ? [] : [avoid]);
  if (accusation === undefined) return { without: NOBODY, avoid: avoided };
  const { by, accused, refused, again } = accusation;
  avoided.add(accused);
  if (by === accused) return { without: new Set([accused]), avoid: avoided };
  if (!isInOrder(answers.get(accused), version)) {
    return { without: NOBODY, avoid: avoided };
  }
  if (refused || again) return { without: new Set([accused]), avoid: avoided };
  avoided.add(by);
  return { without: NOBODY, avoid: avoided };
}

/** Its replica takes orders under this version. */
function isInOrder(answer: MemberAnswer | undefined, asked: number): boolean {
  if (answer?.kind !== 'holds') return false;
  const { version, restarted, whole, reconciled } = answer.replica;
  return version === asked && whole && reconciled && !restarted;
}

function nobodyToSpare(chunk: ChunkHandle, full: ServerId): Result<never> {
  return refuse(
    'NO_SPACE',
    `${name(chunk)}: the disk of server ${full} is full, and without it too few members with room are left`,
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

/**
 * Any whole member will do (P3). Better are: one that nobody complained about, one that recorded later versions, for
 * there is less to copy, and the one that was primary, for its clients are connected to it.
 */
function rankOfPrimary({
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

function best(members: readonly ServerId[], rank: (member: ServerId) => number): ServerId {
  let found: { member: ServerId; rank: number } | undefined;
  for (const member of members) {
    const own = rank(member);
    if (found === undefined || own > found.rank) found = { member, rank: own };
  }
  return must(found, 'there is somebody to choose').member;
}

function isWhole(answer: MemberAnswer): boolean {
  return isHolder(answer) && answer.replica.whole;
}

/** It has recorded a version as a member. */
function isHolder(answer: MemberAnswer): answer is MemberAnswer & { readonly kind: 'holds' } {
  return answer.kind === 'holds' && !answer.replica.learner;
}

function name(chunk: ChunkHandle): string {
  return `chunk ${hex(chunk)}`;
}
