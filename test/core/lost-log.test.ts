import test from 'ava';
import { chunkHandle, type ServerId, serverId } from '../../src/base/ids.ts';
import { type RecordedVersion, versionAfter } from '../../src/core/lost-log.ts';
import type { MemberAnswer } from '../../src/core/member-answers.ts';
import { Raise } from '../../src/core/raise.ts';
import type { RaiseOptions } from '../../src/core/raise-plan.ts';
import { replicaReport } from './replica-report.ts';

const CHUNK = chunkHandle(7);
const [A, B, C, D, E] = [1, 2, 3, 4, 5].map(serverId) as [ServerId, ServerId, ServerId, ServerId, ServerId];
const SERVERS = [A, B, C, D, E];
const LOGGED = { version: 4, members: [A, B, C], primary: A, goal: 3 };
const OPTIONS: RaiseOptions = { minReplicas: 2, servers: SERVERS, random: () => 0.5 };

const silent: MemberAnswer = { kind: 'silent', awaited: false };
const absent: MemberAnswer = { kind: 'absent' };

/** A replica at this version, with these members. */
function at(
  version: number,
  members: readonly ServerId[],
  change: Partial<RecordedVersion> = {},
  whole = true,
): MemberAnswer {
  const primary = members[0] ?? A;
  const recorded = { version, members, primary, loss: 0, ...change };
  return { kind: 'holds', replica: replicaReport(CHUNK, { version, whole }), recorded };
}

/** What a raise does when servers answer like this; the first round too, where they are members. */
function run(answers: readonly MemberAnswer[], options: Partial<RaiseOptions> = {}, logged = LOGGED) {
  const raise = new Raise(CHUNK, logged, { ...OPTIONS, ...options });
  const asked: string[] = [];
  while (raise.next.kind === 'ask') {
    const { members } = raise.next;
    asked.push(members.join(','));
    for (const member of members) raise.answered(member, answers[member - 1] ?? silent);
  }
  return { raise, asked, step: raise.next };
}

function planned(answers: readonly MemberAnswer[], options: Partial<RaiseOptions> = {}, logged = LOGGED) {
  const { step } = run(answers, options, logged);
  if (step.kind === 'refused') return step.error.code;
  if (step.kind !== 'log') return step.kind;
  const { members, primary, lostVersion } = step.plan;
  return `${members.join(',')} by ${primary} after ${lostVersion}`;
}

test('P25: a version above the log has everybody asked, and the highest one’s members go on', (t) => {
  const lost = at(6, [B, D]);
  const { asked, step } = run([at(4, [A, B, C]), lost, absent, at(6, [B, D]), absent]);
  t.deepEqual(asked, ['1,2,3', '1,2,3,4,5']);
  if (step.kind !== 'log') return t.fail(step.kind);
  t.like(step.plan, { version: 4, members: [B, D], primary: B, loss: false, recorded: 0, lostVersion: 6 });
  t.true(versionAfter(step.plan) > 6 + 100_000, 'far above whatever else was lost');
});

test('P25: the record of the highest version takes the place of the row: its cut and its loss', (t) => {
  const lost = at(6, [A, B], { cutVersion: 5, cutLength: 40, loss: 6 });
  const { step } = run([lost, lost, at(4, [A, B, C]), absent, absent]);
  if (step.kind !== 'log') return t.fail(step.kind);
  t.like(step.plan, { lostCutVersion: 5, lostCutLength: 40, lostLoss: 6 });
  const old = at(6, [A, B], { cutVersion: 3, cutLength: 40 });
  const known = run([old, old, absent, absent, absent]).step;
  t.is(known.kind === 'log' && known.plan.lostCutVersion, undefined, 'one that the log has is not repeated');
});

test('P25: a lost version that only a server outside of the row has is found by its report', (t) => {
  const answers = [at(4, [A, B, C]), absent, absent, at(9, [D, E]), at(9, [D, E])];
  t.is(planned(answers), '1,2,3 by 1 after undefined', 'the members alone do not tell');
  t.is(planned(answers, { isBeyondLog: true }), '4,5 by 4 after 9');
});

test('P25: a later version that the silent could have alone is waited for', (t) => {
  const found = at(6, [A, B, C]);
  t.is(planned([found, found, silent, absent, absent]), '1,2 by 1 after 6', 'one is fewer than the minimum');
  t.is(planned([found, silent, silent, absent, absent]), 'NOT_READY');
  t.is(planned([found, found, silent, silent, absent]), 'NOT_READY', 'with one that was admitted');
  t.is(planned([found, found, found, silent, silent]), '1,2,3 by 1 after 6');
  const single = { ...LOGGED, members: [A], goal: 1 };
  t.is(planned([at(6, [A]), absent, absent, silent, absent], {}, single), 'NOT_READY');
  t.is(planned([at(6, [A]), absent, absent, absent, absent], {}, single), '1 by 1 after 6');
});

test('P25: for a repair one whole member of the lost version is enough to teach others', (t) => {
  const lost: MemberAnswer = { kind: 'lost' };
  const answers = [at(6, [A, B]), lost, absent, absent, absent];
  t.is(planned(answers), 'TOO_FEW_REPLICAS');
  t.is(planned(answers, { forRepair: true }), '1,2 by 1 after 6');
});

test('P25: a member that the log never heard of counts as silent', (t) => {
  const found = at(6, [A, serverId(8), serverId(9)]);
  t.is(planned([found, absent, absent, absent, absent]), 'NOT_READY');
});

test('P25: nothing is kept, and nobody is admitted or left out, before the chunk is recovered', (t) => {
  const inCharge = (version: number): MemberAnswer => {
    const answer = at(version, [A, B, C]);
    return answer.kind === 'holds' ? { ...answer, replica: { ...answer.replica, inCharge: true } } : answer;
  };
  const answers = [inCharge(4), at(6, [A, B, C]), silent, silent, absent];
  t.is(planned(answers, { keep: 'inCharge' }), 'NOT_READY');
  t.is(run(answers).raise.versionBeyondLog, 6);
});

test('P25: the rules of a raise hold for the lost version: nobody whole is a loss', (t) => {
  const torn = at(6, [A, B], {}, false);
  const { step } = run([torn, torn, absent, absent, absent]);
  t.is(step.kind === 'log' && step.plan.loss, true);
});

test('P25: a reported version that nobody has any more, and nobody is silent, was deleted', (t) => {
  const all = at(4, [A, B, C]);
  t.is(planned([all, all, all, absent, absent], { isBeyondLog: true }), '1,2,3 by 1 after undefined');
  t.is(planned([all, all, all, absent, silent], { isBeyondLog: true }), 'NOT_READY');
});
