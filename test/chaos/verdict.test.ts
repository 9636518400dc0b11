import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { accidents } from './accidents.ts';
import { fileOf, lineOf, RECORD_COUNT, recordOf } from './lines.ts';
import { judge, judgeCopy, judgeLog, readManifest, tooLittle } from './verdict.ts';

const all = (count: number) => new Set(Array.from({ length: count }, (_, index) => index + 1));
const log = (...lines: readonly (readonly [string, number])[]) =>
  lines.map(([name, number]) => lineOf(name, number)).join('');

test('a log is good when each line is there once, whole, in the order of its writer', (t) => {
  const told = new Map([
    ['a', all(2)],
    ['b', all(1)],
  ]);
  const check = (text: string, expected: RegExp | undefined) => {
    const problems = judgeLog(text, told);
    if (expected === undefined) t.deepEqual(problems, []);
    else t.regex(problems.join('\n'), expected);
  };
  const [a1, a2, b1] = [lineOf('a', 1), lineOf('a', 2), lineOf('b', 1)];
  check(a1 + b1 + a2, undefined);
  check(a1 + a2 + lineOf('a', 3) + b1, undefined); // Nobody was told of line 3, and it may be there.
  check(a1 + b1, /line 2 of a was acknowledged and is not there/);
  check(a1 + b1 + a2 + a1, /line 1 of a is there twice/);
  check(a2 + a1 + b1, /line 1 of a is out of order/);
  check(a1 + a2.slice(0, 20) + b1 + a2.slice(20), /a line that nobody wrote/);
  check(`${a1 + b1}\0\0${a2}`, /a line that nobody wrote/);
  check(a1 + b1 + a2 + lineOf('a', 3).slice(0, 5), /ends within a line/);
  check(a1 + b1 + a2 + lineOf('c', 1), /a line that nobody wrote/);
});

test('what a reader saw has to be how the log began', (t) => {
  const whole = Buffer.from(log(['a', 1], ['a', 2]));
  t.deepEqual(judgeCopy(whole.subarray(0, 20), whole), []);
  t.regex(judgeCopy(Buffer.concat([whole, Buffer.of(0)]), whole).join(), /saw \d+ bytes of a log of/);
  const other = Buffer.from(whole);
  other[7] = 0;
  t.deepEqual(judgeCopy(other, whole), ['byte 7 of the log is not what a reader saw there']);
});

test('records and files are as the manifest says', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-verdict-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const records = Array.from({ length: RECORD_COUNT }, (_, index) =>
    recordOf('a', index, index === 5 ? 7 : 0),
  );
  const check = (manifest: string, expected: readonly string[]) => {
    writeFileSync(join(directory, 'log'), '');
    writeFileSync(join(directory, 'records-a'), Buffer.concat(records));
    writeFileSync(join(directory, 'file-a-1'), fileOf('a', 9));
    t.deepEqual(judge(directory, [readManifest('a', manifest)]), expected);
  };
  check('begin 5 7\nrecord 5 7\nmaking 1 9\nfile 1 9\n', []);
  check('begin 5 7\nbegin 5 8\n', []);
  check('begin 5 8\nrecord 5 8\n', ['record 5 of a went back to 7']);
  check('begin 5 6\n', ['record 5 of a is from nowhere']);
  check('making 1 1\nfile 1 1\n', ['file 1 of a is not its 1th']);
  check('making 1 1\nfile 1 1\nmaking 1 9\n', []);
  check('making 2 2\nfile 2 2\n', ['file 2 of a is not there']);
  check('problem it saw zeros\n', ['a: it saw zeros']);
  records[3] = Buffer.concat([recordOf('a', 3, 1).subarray(0, 512), recordOf('a', 3, 2).subarray(512)]);
  check('begin 3 2\nbegin 5 7\n', ['record 3 of a is a mixture']);
});

test('a manifest whose last line was cut off counts what it tells', (t) => {
  const told = readManifest('a', 'append 1\nunknown 2\nown 1\nbegin 0 1\nrecord 0 1\nappend 3');
  t.is(told.acknowledged, 3);
  t.deepEqual([...told.appended], [1]);
});

test('a run without load or without deaths proves nothing', (t) => {
  t.is(tooLittle({ acknowledged: 10_000, kills: 50, minutes: 10 }), undefined);
  t.regex(tooLittle({ acknowledged: 9_999, kills: 50, minutes: 10 }) ?? '', /9999 operations/);
  t.regex(tooLittle({ acknowledged: 10_000, kills: 49, minutes: 10 }) ?? '', /49 kills/);
});

test('a seed gives the same accidents again, of every kind, and none of the network where it cannot be split', (t) => {
  const nodes = ['master', 'server0', 'server1', 'mount0'];
  const take = (seed: number, canSplit: boolean) => {
    const planned = accidents(seed, nodes, canSplit);
    return Array.from({ length: 300 }, () => planned.next().value);
  };
  t.deepEqual(take(1, true), take(1, true));
  t.notDeepEqual(take(1, true), take(2, true));
  const kinds = (canSplit: boolean) =>
    [...new Set(take(1, canSplit).map((planned) => planned?.accident.kind ?? 'none'))].sort();
  t.deepEqual(kinds(true), ['deafen', 'isolate', 'kill', 'mute', 'part', 'pause']);
  t.deepEqual(kinds(false), ['kill', 'pause']);
});
