import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { MiB } from '../../src/base/units.ts';
import { MachineReporter } from '../../src/chunkserver/machine-reporter.ts';
import { env, until } from './harness.ts';

test('the report on this machine has plausible numbers', async (t) => {
  const reporter = MachineReporter.start({ env, directories: [tmpdir()] });
  t.teardown(() => reporter.close());
  const report = await reporter.collect();
  await reporter.close();
  t.deepEqual(report.problems, []);
  t.true(report.memoryTotalBytes > 100 * MiB);
  t.true(report.memoryAvailableBytes > 0 && report.memoryAvailableBytes <= report.memoryTotalBytes);
  t.true(report.swapUsedBytes <= report.swapTotalBytes);
  t.true(report.cpuCount >= 1);
  t.true(report.cpuLoadPercent >= 0 && report.cpuLoadPercent <= 100);
  t.true(report.networks.some(({ interface: name }) => name === 'lo'));
  t.true(report.processMemoryBytes > 1 * MiB);
  const [disk] = report.disks;
  t.is(disk?.path, tmpdir());
  t.true((disk?.totalBytes ?? 0) >= (disk?.freeBytes ?? 0) + 0 && (disk?.freeBytes ?? 0) > 0);
  t.true((disk?.inodeCountFree ?? 0) <= (disk?.inodeCount ?? 0) && (disk?.inodeCount ?? 0) > 0);
  t.not(disk?.filesystem, '');
  t.is(reporter.latest(), report);
});

test('a child that hangs is killed, what it said counts, and the next round has a new one', async (t) => {
  const script = fileURLToPath(new URL('./fixture-hanging-child.js', import.meta.url));
  const reporter = MachineReporter.start({
    env,
    directories: ['/'],
    script,
    intervalMs: 100,
    collectMsMax: 3_000,
  });
  t.teardown(() => reporter.close());
  const collecting = reporter.collect();
  await until('the child runs', () => reporter.childPid !== undefined);
  const pid = reporter.childPid ?? 0;
  const report = await collecting;
  t.is(report.cpuCount, 3);
  t.deepEqual(report.disks, []);
  t.deepEqual(report.problems, ['disks: timed out']);
  await until('it is dead', () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });
  await until('another one runs', () => reporter.childPid !== undefined && reporter.childPid !== pid);
  t.is((await reporter.collect()).cpuCount, 3);
  await reporter.close();
});

test('a child that cannot run is said, not waited for', async (t) => {
  const reporter = MachineReporter.start({
    env,
    directories: ['/'],
    script: '/nowhere.js',
    collectMsMax: 20_000,
  });
  t.teardown(() => reporter.close());
  const report = await reporter.collect();
  t.is(report.problems.length, 2);
  await reporter.close();
});
