// The list of POSIX checks (test/posix), on a mount and on an ordinary directory.
import { tmpdir } from 'node:os';
import test from 'ava';
import { POSIX_CHECKS } from '../posix/list.ts';
import { runList } from '../posix/posix.ts';
import { skips } from './cluster.ts';

test('the mount is as POSIX has it, and an ordinary directory is, too', async (t) => {
  if (skips(t)) return;
  t.timeout(600_000);
  const report = await runList(POSIX_CHECKS, { plain: tmpdir() });
  if (report === undefined) {
    t.log('skipped: no C++ compiler');
    t.pass();
    return;
  }
  t.deepEqual(Object.fromEntries(report.wrong), {}, 'wrong checks');
  t.deepEqual(Object.fromEntries(report.failed), {}, 'what the mount does differently');
  t.true(report.count >= 600 && report.ordinaryCount >= 60, 'there is a list to speak of');
});
