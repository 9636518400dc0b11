// A mount whose kernel leaves permissions to the master refuses what others do: the checks of the list (test/posix) about
// them, but for what such a kernel asks nobody for.
import { chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import test from 'ava';
import { POSIX_CHECKS } from '../posix/list.ts';
import { runList } from '../posix/posix.ts';
import { skips, TestCluster } from './cluster.ts';

const ABOUT_PERMISSIONS = /EACCES|EPERM|sticky|may not read|who may read|whatever becomes of its mode/;
const NOT_ASKED_FOR = /fifo|socket|^(access|chdir|exec)|devices/;

test('a mount without default_permissions refuses what others do', async (t) => {
  if (skips(t)) return;
  t.timeout(300_000);
  await using cluster = new TestCluster({ chunkservers: 1, replication: 1, chunkSize: '1MiB' });
  chmodSync(cluster.directory, 0o755);
  await cluster.start();
  const mount = await cluster.mountAgain('allow_other,suid,no_default_permissions');
  const chosen = ([name]: [string, unknown]) => ABOUT_PERMISSIONS.test(name) && !NOT_ASKED_FOR.test(name);
  const checks = Object.fromEntries(Object.entries(POSIX_CHECKS).filter(chosen));
  const report = await runList(checks, { plain: tmpdir(), mount });
  if (report === undefined) {
    t.log('skipped: no C++ compiler');
    t.pass();
    return;
  }
  t.deepEqual(Object.fromEntries(report.failed), {}, 'what it does differently');
  t.true(report.count >= 40, `${report.count} checks`);
});
