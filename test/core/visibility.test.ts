import test from 'ava';
import type { VersionRecord } from '../../src/core/replica-types.ts';
import { type AppendKnowledge, visibilityOf } from '../../src/core/visibility.ts';

const record: VersionRecord = { chunk: 1, version: 3, members: [], primary: 1, loss: 0 };
const SOUND = { record, reconciledVersion: 3, whole: true, length: 100 };
const SETTLED: AppendKnowledge = { kind: 'settled' };

function check(state: typeof SOUND, knowledge: AppendKnowledge): string {
  const result = visibilityOf(state, knowledge);
  return result.ok ? `${result.value.length} ${result.value.rest}` : result.error.code;
}

test('P6: a replica that is not reconciled under its version is not read', (t) => {
  t.is(check(SOUND, SETTLED), '100 uncommitted');
  t.is(check({ ...SOUND, reconciledVersion: 2 }, SETTLED), 'NOT_READY');
});

test('P7: a replica that lost power is not read', (t) => {
  t.is(check({ ...SOUND, whole: false }, SETTLED), 'NOT_READY');
});

test('P13: appended bytes are shown once they are known to be on all members', (t) => {
  t.is(check(SOUND, { kind: 'primary', visibleLength: 60 }), '60 uncommitted');
  t.is(check(SOUND, { kind: 'member', visibleLength: 60 }), '60 unknown');
});

test('P13: after a restart each writer may have its last append in flight', (t) => {
  const appends = [{ chunkOffset: 80 }, { chunkOffset: 40 }, { chunkOffset: 95 }];
  t.is(check(SOUND, { kind: 'forgotten', appends }), '40 unknown');
  t.is(check(SOUND, { kind: 'forgotten', appends: [] }), '100 unknown');
});
