import test from 'ava';
import { ReplicaContent } from '../../src/core/replica-content.ts';
import { ReplicaStanding } from '../../src/core/replica-standing.ts';
import type { VersionRecord } from '../../src/core/replica-types.ts';
import { NO_RULES } from '../../src/core/rules.ts';

const EPOCH = 'epoch';

function at(version: number, cut: { cutVersion?: number; cutLength?: number } = {}): VersionRecord {
  return { chunk: 7, version, members: [], primary: 1, loss: 0, ...cut };
}

function contentAt(
  version: number,
  more: { lesson?: string; whole?: boolean; length?: number } = {},
): ReplicaContent {
  const { length = 0, lesson, whole = true } = more;
  const segments = length > 0 ? ([{ start: 0, end: length, source: 'zero', at: 0 }] as const) : [];
  return new ReplicaContent(
    {
      kind: 'base',
      record: at(version),
      reconciledVersion: lesson === undefined ? version : 0,
      stream: { version, nextSerial: 0 },
      ...{ whole, lesson, epoch: EPOCH, length, settledLength: length, segments },
      ...{ sealed: false, writtenAtMs: 0, readAtMs: 0, sums: length > 0 ? [0] : [], table: [] },
    },
    0,
  );
}

const begun = () => new ReplicaStanding({ restarted: false, withoutRules: NO_RULES });
const found = () => new ReplicaStanding({ restarted: true, withoutRules: NO_RULES });

test('P6: what an earlier process left takes no orders before a version is recorded', (t) => {
  const standing = found();
  t.is(standing.of(contentAt(3)), 'restarted');
  t.is(standing.refusalOfOrder(contentAt(3), undefined)?.code, 'NOT_READY');
  t.is(standing.refusalOfReconcileStep(contentAt(3), 3)?.code, 'NOT_READY');
  standing.noteVersion();
  t.is(standing.of(contentAt(3)), 'reconciled');
  t.is(standing.refusalOfOrder(contentAt(3), undefined), undefined);
});

test('P2: only a version above its own is taken', (t) => {
  for (const [version, code] of [
    [2, 'VERSION_MISMATCH'],
    [3, 'VERSION_MISMATCH'],
    [4, undefined],
  ] as const) {
    t.is(begun().refusalOfVersion(contentAt(3), at(version))?.code, code, `version ${version}`);
  }
});

test('P9: a learner takes the orders of its own lesson, and a member none of any', (t) => {
  const learner = contentAt(3, { lesson: 'a' });
  t.is(begun().refusalOfOrder(learner, 'a'), undefined);
  t.is(begun().refusalOfOrder(learner, 'b')?.code, 'NOT_READY');
  t.is(begun().refusalOfOrder(learner, undefined)?.code, 'NOT_READY');
  t.is(begun().refusalOfOrder(contentAt(3), 'a')?.code, 'NOT_READY');
});

test('P9: a lesson may begin again at its version; what is a member learns at a higher one only', (t) => {
  t.is(begun().refusalOfLearning(contentAt(3, { lesson: 'a' }), at(3)), undefined);
  t.is(begun().refusalOfLearning(contentAt(3), at(3))?.code, 'VERSION_MISMATCH');
  t.is(begun().refusalOfLearning(contentAt(3), at(4)), undefined);
});

test('P9: a restart breaks a lesson off', (t) => {
  const learner = contentAt(3, { lesson: 'a' });
  t.is(begun().refusalOfLesson(learner, 'a', 0), undefined);
  t.is(begun().refusalOfLesson(learner, 'a', 1)?.code, 'SERIAL_GAP');
  t.is(found().refusalOfLesson(learner, 'a', 0)?.code, 'NOT_READY');
});

test('who learned all is whole, until another lesson begins', (t) => {
  const learner = contentAt(3, { lesson: 'a', whole: false });
  const standing = begun();
  t.false(standing.isWhole(learner));
  standing.noteLessonEnded('a');
  t.true(standing.isWhole(learner));
  t.false(standing.isWhole(contentAt(3, { lesson: 'b', whole: false })));
  standing.noteLessonBegun();
  t.false(standing.isWhole(learner));
});

test('P19: a cut is repeated where it was missed only', (t) => {
  const lengthUnder = (own: number, cutVersion: number) =>
    begun().lengthUnder(contentAt(own, { length: 100 }), at(9, { cutVersion, cutLength: 40 }));
  t.is(lengthUnder(3, 4), 40);
  t.is(lengthUnder(4, 4), 100);
  t.is(lengthUnder(5, 4), 100);
});
