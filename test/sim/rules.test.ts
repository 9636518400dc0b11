// The simulation notices when a rule of the protocol is left out: otherwise its silence would mean nothing.
import test from 'ava';
import type { Rule } from '../../src/core/rules.ts';
import { seedsUntilMissed } from './rules.ts';

const SEEDS_MAX = 200;
const RULES: readonly { rule: Rule; accident: string }[] = [
  { rule: 'P2', accident: 'a replica records a version that is not above its own' },
  { rule: 'P3', accident: 'a primary has to have recorded the last version' },
  { rule: 'P5', accident: 'a restarted server is primary of what it was' },
  { rule: 'P7', accident: 'a replica that lost power is taken for whole' },
  { rule: 'P9', accident: 'a learner is admitted before it has what clients were told' },
  { rule: 'P10', accident: 'a primary answers before the others have applied' },
  { rule: 'P13', accident: 'readers are shown what is not on all members' },
  { rule: 'P15', accident: 'an append that was taken before is applied again' },
  { rule: 'P17', accident: 'a client leaves a chunk that may have its record' },
  { rule: 'P18', accident: 'a new primary forgets which appends were taken' },
  { rule: 'P19', accident: 'a replica that missed a truncation does not make up for it' },
  { rule: 'P20', accident: 'a chunk is shared while somebody orders mutations of it' },
  { rule: 'P21', accident: 'a restarted master believes lengths of files that are being written' },
  { rule: 'A1', accident: 'a client looks for an appender in the last extent alone' },
  { rule: 'T1', accident: 'a restarted master lets removals lie' },
  { rule: 'L1', accident: 'a restarted master grants locks before it knows all that are held' },
  { rule: 'L2', accident: 'a lock passes on while writes of a session that ended are on their way' },
];

for (const { rule, accident } of RULES) {
  test.serial(`it is found out when ${accident} (${rule})`, async (t) => {
    const finding = await seedsUntilMissed(rule, { from: 0, count: SEEDS_MAX });
    t.truthy(finding);
    t.log(`after ${finding?.seeds} seeds: ${finding?.what}`);
  });
}
