import { assert } from '../base/assert.ts';
import type { ChunkHandle, ServerId } from '../base/ids.ts';
import { type Refusal, type Result, refuse } from '../base/result.ts';
import { planRecovery, versionAfter } from './lost-log.ts';
import { isPresent, type MemberAnswer, versionOf } from './member-answers.ts';
import { memberCountMin } from './placement.ts';
import {
  type LoggedChunk,
  nameOf,
  nobodyToSpare,
  planAdmission,
  planRaise,
  type RaiseOptions,
  type RaisePlan,
} from './raise-plan.ts';

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
      const { minReplicas, random, servers, forRepair, withoutRules } = this.#options;
      const options = { minReplicas, random, servers, forRepair, withoutRules };
      const planOf = (found: LoggedChunk, answers: ReadonlyMap<ServerId, MemberAnswer>) =>
        planRaise(this.#chunk, found, answers, options);
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
      const error = `${nameOf(this.#chunk)}: version ${version} is not recorded by ${failed.join(', ')}`;
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
