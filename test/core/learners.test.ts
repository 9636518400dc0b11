import test from 'ava';
import fc from 'fast-check';
import { KiB, MiB } from '../../src/base/units.ts';
import { differingBlocks, digestOf, Learner, type LearnerStep } from '../../src/core/learners.ts';
import { Primary } from '../../src/core/primary.ts';

const NO_ORDERS = { committedSerial: 0, waitingBytes: 0 };

/** All steps up to the end, one done after another. */
function steps(learner: Learner): LearnerStep[] {
  const taken: LearnerStep[] = [];
  for (let step = learner.takeStep(); step !== undefined; step = learner.takeStep()) {
    taken.push(step);
    learner.stepDone(step);
  }
  return taken;
}

test('blocks that follow one another go together, and the end comes last', (t) => {
  const learner = new Learner(0);
  t.is(learner.takeStep(), undefined, 'nothing before it has begun');
  learner.begun([0, 1, 4, ...Array.from({ length: 10 }, (_, index) => 7 + index)]);
  t.deepEqual(steps(learner), [
    { kind: 'blocks', firstBlock: 0, count: 2, lost: false },
    { kind: 'blocks', firstBlock: 4, count: 1, lost: false },
    { kind: 'blocks', firstBlock: 7, count: 8, lost: false },
    { kind: 'blocks', firstBlock: 15, count: 2, lost: false },
    { kind: 'end' },
  ]);
});

test('no more than two steps wait: orders do not gather behind a whole chunk', (t) => {
  const learner = new Learner(0);
  learner.begun([0, 2, 4]);
  const [first] = [learner.takeStep(), learner.takeStep()];
  t.is(learner.takeStep(), undefined);
  if (first !== undefined) learner.stepDone(first);
  t.like(learner.takeStep(), { firstBlock: 4 });
});

test('a step of which a block was bad is taken again before the end, and a lost block alone', (t) => {
  const learner = new Learner(0);
  learner.begun([0, 1, 2]);
  const first = learner.takeStep();
  if (first?.kind !== 'blocks') return t.fail();
  t.is(learner.takeStep(), undefined, 'not the end: blocks are under way');
  learner.blockLost(1);
  learner.stepAgain(first);
  t.deepEqual(steps(learner), [
    { kind: 'blocks', firstBlock: 0, count: 1, lost: false },
    { kind: 'blocks', firstBlock: 1, count: 1, lost: true },
    { kind: 'blocks', firstBlock: 2, count: 1, lost: false },
    { kind: 'end' },
  ]);
});

test('P9: it is required when all is copied, and its admission asked for when it has what clients were told', (t) => {
  const learner = new Learner(10);
  learner.begun([]);
  t.is(learner.next(NO_ORDERS), 'nothing');
  steps(learner);
  t.is(learner.next({ committedSerial: 12, waitingBytes: 1 }), 'require');
  t.is(learner.next({ committedSerial: 12, waitingBytes: 1 }), 'nothing');
  learner.applied(10);
  t.is(learner.next({ committedSerial: 12, waitingBytes: 1 }), 'nothing');
  learner.applied(11);
  t.is(learner.next({ committedSerial: 12, waitingBytes: 0 }), 'ask');
  t.is(learner.next({ committedSerial: 12, waitingBytes: 0 }), 'nothing', 'once');
  t.throws(() => learner.applied(13));
});

test('P9: a learner that falls behind sets the pace, and is not asked for before all is copied', (t) => {
  const learner = new Learner(0);
  learner.begun([0]);
  t.is(learner.next({ committedSerial: 3, waitingBytes: 9 * MiB }), 'require');
  t.is(learner.next({ committedSerial: 0, waitingBytes: 0 }), 'nothing');
  steps(learner);
  t.is(learner.next({ committedSerial: 0, waitingBytes: 0 }), 'ask');
});

test('P9: a learner may be forgotten until its admission was asked for', (t) => {
  const learner = () => {
    const begun = new Learner(0);
    begun.begun([]);
    steps(begun);
    begun.next(NO_ORDERS);
    return begun;
  };
  t.is(new Learner(0).end(), 'forget');
  t.is(learner().end(), 'forget', 'required only');
  const asked = learner();
  asked.next(NO_ORDERS);
  t.is(asked.end(), 'leave out');
});

test('without P9 a learner is asked for whatever it has', (t) => {
  const learner = new Learner(0, new Set(['P9'] as const));
  learner.begun([]);
  steps(learner);
  t.is(learner.next({ committedSerial: 12, waitingBytes: 1 }), 'ask');
  t.false(learner.required);
});

test('blocks differ where their checksums do', (t) => {
  const own = { length: 130 * KiB, checksums: [1, 2, 3] };
  t.deepEqual(differingBlocks(own, [1, 2, 3]), []);
  t.deepEqual(differingBlocks(own, [1, 9, 3]), [1]);
  t.deepEqual(differingBlocks(own, []), [0, 1, 2]);
  t.deepEqual(differingBlocks({ length: 0, checksums: [] }, []), []);
});

test('the digest is of all that two replicas have to have in common, in whatever order their tables are', (t) => {
  const entry = (writer: number) => ({ writer, number: 1, chunkOffset: 0, length: 5, checksum: 9 });
  const stream = { version: 1, nextSerial: 1 };
  const sums = { length: 5, sealed: false, stream, checksums: [7], table: [entry(1), entry(2)] };
  const digest = digestOf(sums);
  t.is(digestOf({ ...sums, stream: { version: 2, nextSerial: 9 }, table: [entry(2), entry(1)] }), digest);
  const others = [
    { ...sums, length: 6 },
    { ...sums, sealed: true },
    { ...sums, checksums: [8] },
    { ...sums, table: [entry(1)] },
    { ...sums, table: [entry(1), { ...entry(2), number: 2 }] },
  ];
  for (const other of others) t.not(digestOf(other), digest);
});

/** Members 0 and 1 of a version, and a learner. */
function primaryOfTwo(): Primary {
  const start = { length: 0, sealed: false, table: [] };
  return new Primary({ chunk: 1, version: 4, memberCount: 2, chunkSizeBytes: 256 * KiB, ...start });
}

function order(primary: Primary, number: number): void {
  primary.admit({ kind: 'write', writer: 1, number, chunkOffset: 0, length: 10, recordChecksum: 0 }, 4);
}

test('P9: a required learner counts for what is in flight and what comes, but for what it has already', (t) => {
  const primary = primaryOfTwo();
  for (const number of [1, 2, 3]) order(primary, number);
  const byMembers = (serial: number) => [0, 1].flatMap((member) => primary.applied(serial, member));
  t.deepEqual(byMembers(0), [0]);
  t.deepEqual(primary.learnerApplied(0), [], 'not required, and committed before');
  primary.requireLearner(2);
  t.deepEqual(byMembers(1), [1], 'it said that it has it');
  t.deepEqual(byMembers(2), []);
  order(primary, 4);
  t.deepEqual(byMembers(3), []);
  t.deepEqual(primary.learnerApplied(2), [2]);
  t.deepEqual(primary.releaseLearner(), [3], 'given up');
  order(primary, 5);
  t.deepEqual(byMembers(4), [4]);
});

test('P9: whatever comes first, nothing is committed that a required learner has not applied', (t) => {
  const run = fc.array(fc.constantFrom('order', 'member 0', 'member 1', 'learner', 'require'), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(run, (events) => {
      const primary = primaryOfTwo();
      const applied = { 'member 0': 0, 'member 1': 0, learner: 0 };
      let requiredAt: number | undefined;
      for (const event of events) {
        if (event === 'order') order(primary, primary.nextSerial + 1);
        else if (event === 'require') {
          requiredAt ??= primary.committedSerial;
          primary.requireLearner(applied.learner);
        } else if (applied[event] < primary.nextSerial) {
          const serial = applied[event];
          applied[event] += 1;
          if (event === 'learner') primary.learnerApplied(serial);
          else primary.applied(serial, event === 'member 0' ? 0 : 1);
        }
        const least = Math.min(applied['member 0'], applied['member 1']);
        const withLearner =
          requiredAt === undefined ? least : Math.min(least, Math.max(applied.learner, requiredAt));
        t.is(primary.committedSerial, withLearner);
      }
    }),
  );
});
