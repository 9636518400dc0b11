// Rules of the protocol left out, one at a time: after how many seeds somebody notices.
import { must } from '../../src/base/assert.ts';
import { messageOf } from '../../src/base/errors.ts';
import { MINUTE_MS, SECOND_MS } from '../../src/base/units.ts';
import type { Rule } from '../../src/core/rules.ts';
import { FAULTS, type FaultMixture } from './faults/faults.ts';
import { type Plan, runSeed } from './story.ts';

/** What a seed has to be about for the accident to be likely; the rest is its own choice. */
const PLANS: Readonly<Record<Rule, Partial<Plan>>> = {
  P2: often(writes('kill a server', 'late copies', 'partition')),
  P3: writes('version untold', 'kill a server'),
  P5: often(appends('orders cut off', 'kill a server')),
  P6: appends('orders cut off', 'kill a client', 'slow network'),
  P7: writes('power cut of a server'),
  P9: {
    ...appends('kill a server', 'lesson broken off'),
    // Few servers and many failures, so that the chunk which is appended to is repaired while it is.
    serverCount: 4,
    faultsMs: 8 * SECOND_MS,
  },
  P10: writes('kill a server', 'lost connections', 'slow network'),
  P13: { ...appends('orders cut off', 'slow network'), faultsMs: 6 * SECOND_MS },
  P15: appends('answers lost', 'kill a server'),
  // Others fill the chunk while an answer is lost: who leaves it then appends once more to the next.
  P17: appends('answers lost'),
  P18: appends('kill a server', 'lost connections'),
  P19: writes('kill a server', 'kill all'),
  P20: { workloads: ['copies'], faultsMs: 6 * SECOND_MS, faults: faultsOf('slow network') },
  P21: appends('kill the master', 'kill a client'),
  // Who comes after a client that died looks for its records.
  A1: { ...appends('kill a client', 'answers lost'), workloads: ['named-appends'] },
  T1: { workloads: ['trees'], faultsMs: 4 * SECOND_MS, faults: faultsOf('kill the master') },
  // A client tells late what it holds.
  L1: often(locks(MINUTE_MS, 'kill the master', 'partition', 'pause')),
  // What a client had sent is on its way for longer than its session lasts.
  L2: {
    ...often(locks(2 * SECOND_MS, 'partition', 'slow network', 'late copies')),
    faultsMs: 16 * SECOND_MS,
  },
};

export const RULES = Object.keys(PLANS) as readonly Rule[];

export function isRule(text: string): text is Rule {
  return text in PLANS;
}

export interface Finding {
  /** How many seeds it took. */
  readonly seeds: number;
  readonly what: string;
}

/**
 * The first seed that fails without the rule, and does not with it. Undefined: none of so many has noticed.
 */
export async function seedsUntilMissed(
  rule: Rule,
  { from, count }: { from: number; count: number },
): Promise<Finding | undefined> {
  for (let seed = from; seed < from + count; seed += 1) {
    const what = await failureOf(seed, { ...PLANS[rule], withoutRules: new Set([rule]) });
    if (what === undefined || (await failureOf(seed, PLANS[rule])) !== undefined) continue;
    return { seeds: seed + 1 - from, what };
  }
  return undefined;
}

async function failureOf(seed: number, plan: Partial<Plan>): Promise<string | undefined> {
  try {
    await runSeed(seed, { plan });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function writes(...faults: string[]): Partial<Plan> {
  return { workloads: ['random-writes'], faultsMs: 8 * SECOND_MS, faults: faultsOf(...faults) };
}

function appends(...faults: string[]): Partial<Plan> {
  return { workloads: ['appends'], faultsMs: 3 * SECOND_MS, faults: faultsOf(...faults) };
}

function locks(sessionTimeoutMs: number, ...faults: string[]): Partial<Plan> {
  return { workloads: ['locks'], sessionTimeoutMs, faultsMs: 8 * SECOND_MS, faults: faultsOf(...faults) };
}

/** The next thing goes wrong before the last one is mended. */
function often(plan: Partial<Plan>): Partial<Plan> {
  const faults = must(plan.faults, 'it says what goes wrong');
  return { ...plan, faults: { ...faults, calmMsMax: 0.2 * SECOND_MS } };
}

function faultsOf(...names: string[]): FaultMixture {
  return {
    faults: FAULTS.filter(({ name }) => names.includes(name)),
    calmMsMax: 1 * SECOND_MS,
    durationsMs: [10, 500, 4_000],
  };
}
