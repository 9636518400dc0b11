// A program whose calls are interrupted 100 times a second: an append that was interrupted is done again by the program, so
// one that may have happened must not look interrupted.
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { compileTimerWriter } from '../chaos/timer-writer.ts';
import { judgeLog, readManifest } from '../chaos/verdict.ts';
import { run, skips, TestCluster } from './cluster.ts';

const APPENDS = 4_000;

test('4,000 appends of a program under an interval timer of 100 Hz are there once each', async (t) => {
  if (skips(t)) return;
  t.timeout(180_000);
  await using cluster = new TestCluster({ chunkSize: '256KiB' });
  await cluster.start();
  const outside = join(cluster.directory, 'outside');
  mkdirSync(outside);
  const program = compileTimerWriter(outside);
  if (program === undefined) {
    t.log('skipped: no C++ compiler');
    t.pass();
    return;
  }
  const log = join(cluster.mount, 'log');
  const manifest = join(outside, 'manifest');
  const { code, stdout, stderr } = await run(program, [log, manifest, 'ticking', String(APPENDS)]);
  t.is(code, 0, stderr);
  t.regex(stdout, /^[1-9]\d* ticks/, 'the timer ran');
  t.log(stdout.trim());
  const { appended, problems } = readManifest('ticking', readFileSync(manifest, 'utf8'));
  t.deepEqual(problems, []);
  t.is(appended.size, APPENDS, 'nothing failed');
  const text = readFileSync(log, 'latin1');
  t.deepEqual(judgeLog(text, new Map([['ticking', appended]])), []);
  t.is(text.split('\n').length - 1, APPENDS);
  t.is(statSync(log).size, text.length);
});
