// The simulation notices when a rule of the protocol is left out: otherwise its silence would mean nothing.
import test from 'ava';
import type { Rule } from '../../src/core/rules.ts';
import { seedsUntilMissed } from './rules.ts';

const SEEDS_MAX = 200;
/** Where to begin, so that it does not take long. */
const RULES: readonly { rule: Rule; from: number; accident: string }[] = [
  { rule: 'P2', from: 0, accident: 'a replica records a version that is not above its own' },
  { rule: 'P9', from: 40, accident: 'a learner is admitted before it has what clients were told' },
  { rule: 'P10', from: 0, accident: 'a primary answers before the others have applied' },
  { rule: 'P17', from: 20, accident: 'a client leaves a chunk that may have its record' },
  { rule: 'P18', from: 0, accident: 'a new primary forgets which appends were taken' },
];

for (const { rule, from, accident } of RULES) {
  test.serial(`it is found out when ${accident} (${rule})`, async (t) => {
    const finding = await seedsUntilMissed(rule, { from, count: SEEDS_MAX });
    t.truthy(finding);
    t.log(`after ${finding?.seeds} seeds: ${finding?.what}`);
  });
}
