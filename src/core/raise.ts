import { assert, must } from '../base/assert.ts';
import { type ChunkHandle, hex, type ServerId } from '../base/ids.ts';
import { ok, type Refusal, type Result, refuse } from '../base/result.ts';
import type { ReplicaReport } from './chunk-locations.ts';
import { memberCountMin } from './placement.ts';

/** What the log has of a chunk (P1). */
export interface LoggedChunk {
  readonly version: number;
  readonly members: readonly ServerId[];
  readonly primary: ServerId | 0;
  readonly goal: number;
}

/** What a member says of its replica when it is asked before a raise. */
export type MemberAnswer =
  | { readonly kind: 'holds'; readonly replica: ReplicaReport }
  /** It never had one. */
  | { readonly kind: 'absent' }
  /** It had one and cannot use it. */
  | { readonly kind: 'lost' }
  | { readonly kind: 'silent'; readonly goneForMs: number };

/** What became of an order to record the new version. */
export type OrderOutcome = 'recorded' | 'failed';

/** Who gets which order: `set` records on a replica, `create` makes one where there is none. */
export interface RaiseOrders {
  readonly set: readonly ServerId[];
  readonly create: readonly ServerId[];
  /** Of created ones: others hold data, the primary copies it to them. */
  readonly copy: boolean;
}

/** The next version's membership, as it goes into the log. */
export interface RaisePlan {
  /** The version that is left: the raise is compare-and-set on it (P2). */
  readonly version: number;
  readonly members: ServerId[];
  readonly primary: ServerId;
  readonly loss: boolean;
}

export type RaiseStep =
  | { readonly kind: 'ask'; readonly members: readonly ServerId[] }
  | { readonly kind: 'log'; readonly plan: RaisePlan }
  | { readonly kind: 'order'; readonly orders: RaiseOrders }
  | { readonly kind: 'active'; readonly version: number; readonly primary: ServerId }
  | { readonly kind: 'refused'; readonly error: Refusal };

export interface RaiseOptions {
  /** How long a member may be gone before the chunk goes on without it: it may just be restarting. */
  readonly patienceMs: number;
  /** A primary that a client complained about: another one is preferred. */
  readonly suspect: ServerId | undefined;
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
  readonly #answers = new Map<ServerId, MemberAnswer>();
  readonly #outcomes = new Map<ServerId, OrderOutcome>();

  constructor(chunk: ChunkHandle, logged: LoggedChunk, options: RaiseOptions) {
    this.#chunk = chunk;
    this.#logged = logged;
    this.#options = options;
    this.#step = { kind: 'ask', members: logged.members };
  }

  get next(): RaiseStep {
    return this.#step;
  }

  /** A member's answer to `ask`. */
  answered(member: ServerId, answer: MemberAnswer): void {
    assert(this.#step.kind === 'ask', 'members answer when they are asked');
    this.#answers.set(member, answer);
    if (this.#answers.size < this.#logged.members.length) return;
    const plan = planRaise(this.#chunk, this.#logged, this.#answers, this.#options);
    this.#step = plan.ok ? { kind: 'log', plan: plan.value } : { kind: 'refused', error: plan.error };
  }

  /** `log` was done; `row` is what the log has now. */
  logged(row: LoggedChunk): void {
    assert(this.#step.kind === 'log', 'a plan is logged once');
    assert(row.version === this.#step.plan.version + 1, 'a raise goes one version up');
    this.#logged = row;
    this.#count += 1;
    const holds = (member: ServerId) => this.#answers.get(member)?.kind === 'holds';
    const set = row.members.filter(holds);
    const create = row.members.filter((member) => !holds(member));
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
    if (this.#count >= RAISES_MAX) {
      const error = `${name(this.#chunk)}: version ${version} is not recorded by ${failed.join(', ')}`;
      this.#step = { kind: 'refused', error: refuse('NOT_READY', error).error };
      return;
    }
    this.#answers.clear();
    this.#outcomes.clear();
    this.#step = { kind: 'ask', members };
  }
}

/** The next membership, from what all members of the last logged one said. */
export function planRaise(
  chunk: ChunkHandle,
  { version, members, primary, goal }: LoggedChunk,
  answers: ReadonlyMap<ServerId, MemberAnswer>,
  options: RaiseOptions,
): Result<RaisePlan> {
  const answerOf = (member: ServerId) => must(answers.get(member), 'every member was asked');
  const holders: ReplicaReport[] = [];
  const present: ServerId[] = [];
  let silentCount = 0;
  let absentCount = 0;
  for (const member of members) {
    const answer = answerOf(member);
    switch (answer.kind) {
      case 'holds':
        if (answer.replica.version > version) return logWasLost(chunk, version, { member, answer });
        holders.push(answer.replica);
        present.push(member);
        break;
      case 'absent':
        absentCount += 1;
        present.push(member);
        break;
      case 'silent':
        silentCount += 1;
        if (answer.goneForMs < options.patienceMs) {
          return refuse('NOT_READY', `${name(chunk)}: server ${member} may come back in a moment`);
        }
        break;
      case 'lost':
        break;
    }
  }
  const minimum = memberCountMin(goal);
  if (present.length < minimum) {
    return refuse(
      'TOO_FEW_REPLICAS',
      `${name(chunk)}: ${present.length} members are there, ${minimum} are needed`,
    );
  }
  if (holders.length === 0 && absentCount < members.length) {
    // P23: the data may be where nobody can ask.
    return refuse('NOT_READY', `${name(chunk)}: those who answer hold nothing, others may`);
  }
  const rank = rankOfPrimary({ primary, answerOf, options });
  const whole = present.filter((member) => isWhole(answerOf(member)));
  if (holders.length === 0 || whole.length > 0) {
    const candidates = holders.length === 0 ? present : whole;
    // All empty: nobody wrote, or all lost power before the first sync and have nothing left. Whoever has an
    // acknowledgement learns by the loss which it was (P14).
    const loss = holders.length === 0;
    return ok({ version, members: present, primary: best(candidates, rank), loss });
  }
  if (silentCount > 0) return refuse('NOT_READY', `${name(chunk)}: no whole replica is there, others may be`);
  // P7: all said that power was lost under them. The longest serves; what was not synced may be gone.
  const holding = present.filter((member) => answerOf(member).kind === 'holds');
  const longest = best(holding, (member) => lengthOf(answerOf(member)));
  return ok({ version, members: present, primary: longest, loss: true });
}

/**
 * Any whole member will do (P3). Better are: one that nobody complained about, one that recorded later versions, for
 * there is less to copy, and the one that was primary, for its clients are connected to it.
 */
function rankOfPrimary({
  primary,
  answerOf,
  options: { suspect, random },
}: {
  primary: ServerId | 0;
  answerOf: (member: ServerId) => MemberAnswer;
  options: RaiseOptions;
}): (member: ServerId) => number {
  return (member) => {
    const answer = answerOf(member);
    const trusted = member === suspect ? 0 : 2 ** 40;
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
  return answer.kind === 'holds' && answer.replica.whole;
}

function lengthOf(answer: MemberAnswer): number {
  return answer.kind === 'holds' ? answer.replica.length : -1;
}

/** P25: somebody was ordered what this log does not have. Nothing may be decided from such a log. */
function logWasLost(
  chunk: ChunkHandle,
  version: number,
  { member, answer }: { member: ServerId; answer: { replica: ReplicaReport } },
): Result<never> {
  return refuse(
    'CORRUPT',
    `${name(chunk)} is at version ${version} in the log, but server ${member} has ${answer.replica.version}: ` +
      'the end of the log was lost',
    { server: String(member) },
  );
}

function name(chunk: ChunkHandle): string {
  return `chunk ${hex(chunk)}`;
}
