import test from 'ava';
import fc from 'fast-check';
import { chunkHandle, type ServerId, serverId } from '../../src/base/ids.ts';
import type { ReplicaReport } from '../../src/core/chunk-locations.ts';
import type { MemberAnswer } from '../../src/core/member-answers.ts';
import { Raise } from '../../src/core/raise.ts';
import { type LoggedChunk, planRaise, type RaiseOptions } from '../../src/core/raise-plan.ts';
import { replicaReport } from './replica-report.ts';

const CHUNK = chunkHandle(7);
const [A, B, C] = [serverId(1), serverId(2), serverId(3)];
const LOGGED: LoggedChunk = { version: 4, members: [A, B, C], primary: A, goal: 3 };
const OPTIONS: RaiseOptions = { minReplicas: 2, servers: [A, B, C], random: () => 0.5 };

function holds(change: Partial<ReplicaReport> = {}): MemberAnswer {
  return { kind: 'holds', replica: replicaReport(CHUNK, { version: 4, ...change }) };
}
const absent: MemberAnswer = { kind: 'absent' };
const lost: MemberAnswer = { kind: 'lost' };
const dead: MemberAnswer = { kind: 'silent', awaited: false };
const awaited: MemberAnswer = { kind: 'silent', awaited: true };

function plan(answers: readonly MemberAnswer[], logged = LOGGED, reason: Partial<RaiseOptions> = {}): string {
  const byMember = new Map(logged.members.map((member, index) => [member, answers[index] ?? dead] as const));
  const result = planRaise(CHUNK, logged, byMember, { ...OPTIONS, ...reason });
  if (!result.ok) return result.error.code;
  const { members, primary, loss } = result.value;
  return `${members.join(',')} by ${primary}${loss ? ' with loss' : ''}`;
}

test('the members that are there go on, never fewer than the minimum', (t) => {
  t.is(plan([holds(), holds(), holds()]), '1,2,3 by 1');
  t.is(plan([dead, holds(), holds()]), '2,3 by 2');
  t.is(plan([dead, dead, holds()]), 'TOO_FEW_REPLICAS');
  t.is(plan([holds()], { ...LOGGED, members: [A], goal: 1 }), '1 by 1');
  t.is(plan([dead], { ...LOGGED, members: [A], goal: 1 }), 'TOO_FEW_REPLICAS');
});

test('a member that has not found this master yet is waited for', (t) => {
  t.is(plan([awaited, holds(), holds()]), 'NOT_READY');
});

test('P3: the primary is a whole member, whatever version it recorded', (t) => {
  t.is(plan([holds({ whole: false }), holds({ version: 2 }), holds({ whole: false })]), '1,2,3 by 2');
});

test('nobody whole, but somebody did not answer: it may be the whole one', (t) => {
  t.is(plan([holds({ whole: false }), holds({ whole: false }), dead]), 'NOT_READY');
});

test('P7: nobody whole, and all answered: the one that got furthest serves, and the loss is logged', (t) => {
  const torn = (reconciledVersion: number, orders: number, length: number) =>
    holds({ whole: false, reconciledVersion, orders, length });
  t.is(plan([torn(4, 1, 1), torn(4, 1, 3), torn(4, 1, 2)]), '1,2,3 by 2 with loss', 'by length last');
  t.is(
    plan([torn(4, 1, 9), torn(4, 2, 3), lost]),
    '1,2 by 2 with loss',
    'an overwrite is no longer, and later',
  );
  t.is(
    plan([torn(3, 9, 9), torn(4, 0, 1), torn(2, 9, 99)]),
    '1,2,3 by 2 with loss',
    'a later version has it all',
  );
  const recorded = { ...OPTIONS, accusation: { by: A, accused: A, refused: true, again: false } };
  t.is(
    plan([torn(4, 5, 9), torn(4, 4, 8), lost], LOGGED, recorded),
    '1,2 by 2 with loss',
    'not who resigned',
  );
});

test('P9: a copy that was never finished is no source, though nobody else is left', (t) => {
  const begun = holds({ whole: false, reconciledVersion: 0, length: 99 });
  t.is(plan([begun, lost, begun]), 'NOT_READY', 'the one that lost its disk may have had it all');
  t.is(plan([absent, begun, begun]), '1,2,3 by 2 with loss', 'nothing was ever synced: nothing is there');
  t.is(plan([begun, holds({ whole: false, length: 1 }), lost]), '1,2 by 2 with loss');
});

test('P19: a plan tells which version all of its members have recorded', (t) => {
  const recorded = (...answers: MemberAnswer[]) => {
    const byMember = new Map(
      LOGGED.members.map((member, index) => [member, answers[index] ?? dead] as const),
    );
    const result = planRaise(CHUNK, LOGGED, byMember, OPTIONS);
    return result.ok ? result.value.recorded : result.error.code;
  };
  t.is(recorded(holds(), holds({ version: 2 }), holds({ version: 3 })), 2);
  t.is(recorded(holds(), dead, holds({ version: 3 })), 3, 'of those that stay');
  t.is(recorded(holds(), absent, holds()), 4, 'a copy is begun after all cuts');
});

test('absent is not empty unless all members report absent, and then it may be a loss', (t) => {
  t.is(plan([absent, absent, absent]), '1,2,3 by 1 with loss');
  t.is(plan([absent, absent, dead]), 'NOT_READY');
  t.is(plan([absent, absent, lost]), 'NOT_READY');
  t.is(plan([absent, holds(), absent]), '1,2,3 by 2');
});

test('a primary that clients complain about is replaced, if another can serve', (t) => {
  t.is(plan([holds(), holds({ version: 3 }), holds()], LOGGED, { avoid: A }), '1,2,3 by 3');
  t.is(plan([holds(), holds({ whole: false }), absent], LOGGED, { avoid: A }), '1,2,3 by 1');
});

test('members and primary come from the last logged set, the primary whole unless a loss is logged', (t) => {
  const answer = fc.oneof(
    fc.constantFrom(absent, lost, dead, awaited),
    fc
      .record({ version: fc.integer({ min: 1, max: 4 }), whole: fc.boolean(), length: fc.nat(9) })
      .map((change) => holds(change)),
  );
  fc.assert(
    fc.property(fc.tuple(answer, answer, answer), fc.constantFrom(undefined, A, B), (answers, avoid) => {
      const byMember = new Map([A, B, C].map((member, index) => [member, answers[index] ?? dead] as const));
      const result = planRaise(CHUNK, LOGGED, byMember, { ...OPTIONS, avoid });
      if (!result.ok) return true;
      const { members, primary, loss } = result.value;
      const primaryAnswer = byMember.get(primary);
      const anybodyHolds = answers.some(({ kind }) => kind === 'holds');
      const whole = primaryAnswer?.kind === 'holds' && primaryAnswer.replica.whole;
      return members.length >= 2 && members.includes(primary) && (whole || loss || !anybodyHolds);
    }),
  );
  t.pass();
});

/** Answers every step of a raise; `orders` decides what becomes of each order. */
function run(
  answers: readonly MemberAnswer[],
  orders: (member: ServerId, raise: number) => boolean,
  reason: Partial<RaiseOptions> = {},
  logged = LOGGED,
) {
  const raise = new Raise(CHUNK, logged, { ...OPTIONS, ...reason });
  const log: string[] = [];
  let row = logged;
  for (let count = 0; ; ) {
    const step = raise.next;
    switch (step.kind) {
      case 'ask':
        for (const member of step.members) raise.answered(member, answers[member - 1] ?? dead);
        break;
      case 'log':
        count += 1;
        row = { ...row, ...step.plan, version: step.plan.version + 1 };
        log.push(`log ${row.version}`);
        raise.logged(row);
        break;
      case 'order': {
        const { set, create, copy } = step.orders;
        const members = set.map(({ member }) => member);
        log.push(`set ${members.join(',')} create ${create.join(',')}${copy ? ' copy' : ''}`);
        for (const member of row.members) {
          raise.ordered(member, orders(member, count) ? 'recorded' : 'failed');
        }
        break;
      }
      case 'kept':
        return [...log, `kept ${step.version} by ${step.primary}`];
      case 'active':
        return [...log, `active ${step.version} by ${step.primary}`];
      case 'stuck':
        return [...log, `stuck ${step.version} by ${step.primary}`];
      case 'refused':
        return [...log, step.error.code];
    }
  }
}

test('P4: a raise is active when every member recorded it', (t) => {
  t.deepEqual(
    run([holds(), holds(), absent], () => true),
    ['log 5', 'set 1,2 create 3 copy', 'active 5 by 1'],
  );
  t.deepEqual(
    run([absent, absent, absent], () => true),
    ['log 5', 'set  create 1,2,3', 'active 5 by 1'],
  );
});

test('P3: a raise that gets stuck is followed by another one, without those that did not record it', (t) => {
  t.deepEqual(
    run([holds(), holds(), holds()], (member) => member !== C),
    ['log 5', 'set 1,2,3 create ', 'log 6', 'set 1,2 create ', 'active 6 by 1'],
  );
});

test('P3: a version never has fewer members than the minimum: a raise that stays stuck is refused', (t) => {
  const steps = run([holds(), holds(), holds()], (member) => member === A);
  t.deepEqual(
    steps.filter((step) => !step.startsWith('set')),
    ['log 5', 'log 6', 'log 7', 'NOT_READY'],
  );
  t.is(plan([holds(), dead, holds()], LOGGED, { minReplicas: 3 }), 'TOO_FEW_REPLICAS');
  t.is(plan([dead, dead, holds()], LOGGED, { minReplicas: 1 }), '3 by 3');
});

test('P12: a primary that says that it is in charge is kept, unless another one is due', (t) => {
  const inCharge = holds({ inCharge: true });
  const recorded = () => true;
  t.deepEqual(run([inCharge, holds(), dead], recorded, { keep: 'inCharge' }), ['kept 4 by 1']);
  t.deepEqual(run([inCharge, holds(), holds()], recorded, { keep: 'reconciling' }).at(-1), 'active 5 by 1');
  const reconciling = holds({ inCharge: true, reconciled: false });
  t.deepEqual(run([reconciling, holds(), holds()], recorded, { keep: 'reconciling' }), ['kept 4 by 1']);
  t.deepEqual(run([holds(), inCharge, holds()], recorded, { keep: 'inCharge' }).at(-1), 'active 5 by 1');
  const elsewhere = holds({ inCharge: true, version: 3 });
  t.deepEqual(run([elsewhere, holds(), holds()], recorded, { keep: 'inCharge' }).at(-1), 'active 5 by 2');
  t.deepEqual(
    run([inCharge, holds({ version: 3 }), holds()], recorded, { avoid: A }).at(-1),
    'active 5 by 3',
  );
});

test('P12: an accused member that is silent is left out, and the primary goes on', (t) => {
  const accusation = { by: A, accused: B, refused: false, again: false };
  t.is(plan([holds(), dead, holds()], LOGGED, { accusation }), '1,3 by 1');
});

test('P12: an accused member that answers makes the master suspect the primary', (t) => {
  const accusation = { by: A, accused: B, refused: false, again: false };
  t.is(plan([holds(), holds(), holds()], LOGGED, { accusation }), '1,2,3 by 3');
});

test('P12: an accused member that only wants a reconcile gets one, under the same primary', (t) => {
  const accusation = { by: A, accused: B, refused: true, again: true };
  for (const change of [{ restarted: true }, { version: 3 }, { whole: false }, { reconciled: false }]) {
    t.is(plan([holds(), holds(change), holds()], LOGGED, { accusation }), '1,2,3 by 1');
  }
  t.is(plan([holds(), absent, holds()], LOGGED, { accusation }), '1,2,3 by 1');
});

test('P12: a member that refuses in its own words, or that two primaries accused, is left out', (t) => {
  const refused = { by: A, accused: B, refused: true, again: false };
  const again = { by: A, accused: B, refused: false, again: true };
  const all = [holds(), holds(), holds()];
  t.is(plan(all, LOGGED, { accusation: refused }), '1,3 by 1');
  t.is(plan(all, LOGGED, { accusation: again }), '1,3 by 1');
});

test('P12: the minimum is kept: without room on a member that cannot be left out nothing is raised', (t) => {
  const refused = { by: A, accused: B, refused: true, again: false };
  const again = { by: A, accused: B, refused: false, again: true };
  t.is(plan([holds(), holds(), dead], LOGGED, { accusation: refused }), 'TOO_FEW_REPLICAS');
  t.is(plan([holds(), holds(), dead], LOGGED, { accusation: again }), '1,2 by 1');
});

test('P12: a primary that resigns is left out, and never the only whole replica', (t) => {
  const accusation = { by: A, accused: A, refused: false, again: false };
  t.is(plan([holds(), holds(), holds()], LOGGED, { accusation }), '2,3 by 2');
  const torn = holds({ whole: false });
  t.is(plan([holds(), torn, torn], LOGGED, { accusation }), '1,2,3 by 1');
});

/** B refused for want of room; of a mutation that others may have applied, or that nobody was ordered. */
const noRoom = (ordered: boolean, full: ServerId[] = [B]) => ({
  noRoom: { refused: B, full: new Set([...full, B]), ordered },
});

test('a member without room is left out where enough with room stay', (t) => {
  for (const ordered of [false, true]) {
    t.is(plan([holds(), holds(), holds()], LOGGED, noRoom(ordered)), '1,3 by 1');
    t.is(plan([holds(), holds(), holds()], { ...LOGGED, primary: B }, noRoom(ordered)), '1,3 by 1');
  }
  t.is(plan([absent, absent, absent], LOGGED, noRoom(false)), '1,3 by 1 with loss');
});

test('where none can be spared nothing is raised for a mutation that nobody was ordered', (t) => {
  t.is(plan([holds(), holds(), dead], LOGGED, noRoom(false)), 'NO_SPACE');
  t.is(plan([holds(), holds(), holds()], LOGGED, noRoom(false, [C])), 'NO_SPACE');
  t.is(plan([holds(), holds()], { ...LOGGED, members: [A, B], goal: 2 }, noRoom(false)), 'NO_SPACE');
  t.is(plan([absent, absent, absent], LOGGED, noRoom(false, [C])), 'NO_SPACE');
  t.deepEqual(
    run([holds(), holds(), dead], () => true, noRoom(false)),
    ['NO_SPACE'],
  );
});

test('a full member that stays orders, so that it refuses before others have applied', (t) => {
  t.is(plan([holds(), holds(), holds()], LOGGED, noRoom(true, [C])), '1,2,3 by 2');
  t.is(plan([holds(), holds(), dead], LOGGED, noRoom(true)), '1,2 by 2');
  // Before the version is reconciled, another one would only be as stuck.
  t.is(plan([holds({ reconciled: false }), holds(), dead], LOGGED, noRoom(true)), 'NO_SPACE');
  t.is(plan([holds(), holds({ whole: false }), dead], LOGGED, noRoom(true)), 'NO_SPACE');
});

test('a raise for want of room that is in the log is brought to an end, room or not', (t) => {
  t.deepEqual(
    run([holds(), holds(), holds()], (member, raise) => raise > 1 || member !== C, noRoom(true, [C])).filter(
      (step) => !step.startsWith('set'),
    ),
    ['log 5', 'log 6', 'active 6 by 2'],
  );
});

const D = 4 as ServerId;
const learner = holds({ learner: true, whole: false, reconciled: false });
const TWO: LoggedChunk = { ...LOGGED, members: [A, B] };

/** An admission of D to a version with these members, and what is logged for it. */
function admission(answers: readonly MemberAnswer[], logged = TWO, minReplicas = 2): string {
  const raise = new Raise(CHUNK, logged, { ...OPTIONS, minReplicas, admitted: D });
  const asked = raise.next;
  if (asked.kind !== 'ask') return 'nobody is asked';
  for (const [index, member] of asked.members.entries()) raise.answered(member, answers[index] ?? dead);
  const step = raise.next;
  if (step.kind !== 'log') return step.kind === 'refused' ? step.error.code : step.kind;
  const { members, primary, admitted } = step.plan;
  return `${members.join(',')} by ${primary}, ${admitted} is new`;
}

test('P9: a learner is admitted beside those who are there, and is not primary at once', (t) => {
  t.is(admission([holds(), holds(), learner]), '1,2,4 by 1, 4 is new');
  t.is(admission([dead, holds(), learner]), '2,4 by 2, 4 is new');
});

test('P9: a dead member is exchanged for a learner where it could not be left out', (t) => {
  t.is(plan([holds(), dead], TWO), 'TOO_FEW_REPLICAS');
  t.is(admission([holds(), dead, learner]), '1,4 by 1, 4 is new');
  t.is(admission([holds(), dead, learner], TWO, 3), '1,2,4 by 1, 4 is new', 'one more is needed');
  t.is(admission([dead, dead, learner]), 'NOT_READY', 'a learner is no source');
});

test('P9: only a learner of this version in this process is admitted', (t) => {
  for (const change of [{ version: 3 }, { restarted: true }, { learner: false }]) {
    const other = holds({ learner: true, whole: false, ...change });
    t.is(admission([holds(), holds(), other]), 'NO_SUCH_CHUNK');
  }
  t.is(admission([holds(), holds(), absent]), 'NO_SUCH_CHUNK');
  t.is(admission([holds(), holds(), dead]), 'NO_SUCH_CHUNK');
  t.is(admission([holds(), holds(), awaited]), 'NOT_READY');
  t.is(admission([holds(), holds(), learner], { ...TWO, goal: 2 }), 'INVALID_ARGUMENT', 'there are enough');
});

test('P9: an admission whose learner does not record it is followed by a raise without it', (t) => {
  const answers = [holds(), holds(), dead, learner];
  const all = run(answers, (member) => member !== D, { admitted: D }, TWO);
  t.deepEqual(all, ['log 5', 'set 1,2,4 create ', 'log 6', 'set 1,2 create ', 'active 6 by 1']);
});

test('P9: one that was admitted and never recorded it is no source, and no member of nothing', (t) => {
  t.is(plan([learner, dead, holds()]), '1,3 by 3');
  t.is(plan([learner, absent, absent]), 'NOT_READY');
  const torn = holds({ whole: false });
  t.is(plan([torn, torn, learner]), '1,2,3 by 1 with loss', 'its length does not count');
});

test('P3: for a repair all members stay where too few are there, and a whole one is primary', (t) => {
  const forRepair = { keep: 'teaching', forRepair: true } as const;
  const recorded = (member: ServerId) => member === A;
  t.deepEqual(run([holds(), dead, dead], recorded, forRepair), [
    'log 5',
    'set 1 create 2,3 copy',
    'stuck 5 by 1',
  ]);
  t.deepEqual(run([holds({ whole: false }), dead, dead], recorded, forRepair), ['NOT_READY']);
  t.deepEqual(run([holds(), holds(), dead], () => true, forRepair).at(-1), 'active 5 by 1');
});

test('P7: for a repair the one that got furthest serves where the others have nothing that can be used', (t) => {
  const torn = (length: number) => holds({ whole: false, length });
  const forRepair = { forRepair: true };
  t.is(plan([lost, torn(3), lost], LOGGED, forRepair), '1,2,3 by 2 with loss');
  t.is(plan([dead, torn(3), lost], LOGGED, forRepair), 'NOT_READY', 'who is silent may have it all');
  t.is(plan([lost, lost, lost], LOGGED, forRepair), 'NOT_READY');
});

test('a primary that is in charge teaches, unless somebody can be left out first', (t) => {
  const inCharge = holds({ inCharge: true });
  const forRepair = { keep: 'teaching', forRepair: true } as const;
  t.deepEqual(
    run([inCharge, holds(), holds()], () => true, forRepair),
    ['kept 4 by 1'],
  );
  t.deepEqual(
    run([inCharge, dead, dead], () => true, forRepair),
    ['kept 4 by 1'],
  );
  t.deepEqual(run([inCharge, holds(), dead], () => true, forRepair).at(-1), 'active 5 by 1');
});

test('nothing is logged that a member that stays has no room to record', (t) => {
  const full = { ...holds(), full: true };
  const recorded = () => true;
  t.is(run([holds(), full, holds()], recorded).at(-1), 'active 5 by 1');
  t.deepEqual(run([holds(), full, holds()], recorded).slice(1, 2), ['set 1,3 create ']);
  t.deepEqual(run([full, full, holds()], recorded), ['NO_SPACE']);
  t.deepEqual(run([holds(), full, dead], recorded), ['NO_SPACE']);
  t.deepEqual(run([{ ...absent, full: true }, absent, dead], recorded), ['NOT_READY']);
  t.deepEqual(run([holds(), full, dead], recorded, noRoom(true)), ['NO_SPACE']);
});
