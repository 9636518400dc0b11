import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { Durations } from '../../src/base/metrics.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { Monitor } from '../../src/rpc/monitor.ts';
import { LogBook } from './harness.ts';
import { complaintsAbout, figureIn, scrape } from './prometheus-text.ts';

const newMonitor = () => new Monitor({ env: new NodeEnv(silentLogger), version: '1.2.3' });

async function readiness(monitor: Monitor): Promise<string> {
  const answer = await monitor.routes['/readyz']?.();
  return `${answer?.status} ${answer?.body}`;
}

test('a process is ready when it says so, and not while it lacks something', async (t) => {
  const monitor = newMonitor();
  t.is(await readiness(monitor), '503 starting\n');
  let missing: string | undefined;
  monitor.serves(() => missing);
  t.is(await readiness(monitor), '200 ok\n');
  missing = 'no master';
  t.is(await readiness(monitor), '503 no master\n');
});

test('figures are read when they are asked for, also those that are added later', async (t) => {
  const monitor = newMonitor();
  let value = 1;
  monitor.add([{ type: 'gauge', name: 'gfs_things', help: 'How many things there are.', read: () => value }]);
  t.is(figureIn(await scrape(monitor), 'gfs_things'), 1);
  value = 2;
  monitor.add([
    {
      type: 'counter',
      name: 'gfs_events_total',
      help: 'What has happened, by kind.',
      read: async () => [
        { labels: { kind: 'good' }, value: 3 },
        { labels: { kind: 'a "bad"\nbackslash \\' }, value: 4 },
      ],
    },
    { type: 'gauge', name: 'gfs_unknown', help: 'What nobody knows yet.', read: () => undefined },
  ]);
  const families = await scrape(monitor);
  t.is(figureIn(families, 'gfs_things'), 2);
  t.is(figureIn(families, 'gfs_events_total', { kind: 'good' }), 3);
  t.is(figureIn(families, 'gfs_events_total', { kind: 'a "bad"\nbackslash \\' }), 4);
  t.is(figureIn(families, 'gfs_unknown'), undefined);
  t.is(figureIn(families, 'gfs_build_info', { version: '1.2.3' }), 1);
  t.deepEqual(complaintsAbout(families), []);
});

test('a figure that cannot be read is left out, and the log says why', async (t) => {
  const log = new LogBook();
  const monitor = new Monitor({ env: new NodeEnv(log), version: '1' });
  const broken = () => Promise.reject(new GfsError('IO_ERROR', 'the disk is broken'));
  monitor.add([
    { type: 'gauge', name: 'gfs_space_bytes', help: 'What cannot be read.', read: broken },
    { type: 'gauge', name: 'gfs_things', help: 'How many things there are.', read: () => 1 },
  ]);
  const families = await scrape(monitor);
  t.is(figureIn(families, 'gfs_space_bytes'), undefined);
  t.is(figureIn(families, 'gfs_things'), 1);
  const [line] = log.lines.filter(({ level }) => level === 'warn');
  const told = { figure: 'gfs_space_bytes', code: 'IO_ERROR', error: 'the disk is broken' };
  t.deepEqual(line?.fields, { component: 'daemon', ...told });
});

test('beside its own figures a process shows what Node tells of it', async (t) => {
  const families = await scrape(newMonitor());
  for (const name of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_heap_size_used_bytes',
  ]) {
    t.true((figureIn(families, name) ?? -1) >= 0, name);
  }
  const lag = figureIn(families, 'nodejs_eventloop_lag_p99_seconds') ?? -1;
  t.true(lag > 0 && lag < 60, String(lag));
});

test('two processes in one program have figures of their own', async (t) => {
  const [one, two] = [newMonitor(), newMonitor()];
  const figure = { type: 'gauge', name: 'gfs_mine', help: 'Only in one of them.' } as const;
  one.add([{ ...figure, read: () => 1 }]);
  two.add([{ ...figure, read: () => 2 }]);
  t.is(figureIn(await scrape(one), 'gfs_mine'), 1);
  t.is(figureIn(await scrape(two), 'gfs_mine'), 2);
  t.throws(() => one.add([{ ...figure, read: () => 3 }]), { message: /gfs_mine is added once/ });
});

test('a duration counts in its bucket and in all above it', async (t) => {
  const durations = new Durations();
  for (const ms of [0, 0.05, 0.06, 1, 2500, 60_000]) durations.record(ms);
  const upTo = (seconds: number) =>
    durations.buckets.find(({ upToSeconds }) => upToSeconds === seconds)?.count;
  t.is(upTo(0.00005), 2);
  t.is(upTo(0.0001), 3);
  t.is(upTo(0.0005), 3);
  t.is(upTo(0.001), 4);
  t.is(upTo(2.5), 5);
  t.is(upTo(10), 5);
  t.is(durations.count, 6);
  t.is(durations.sumSeconds, 62.50111);
  const monitor = newMonitor();
  const read = () => [{ labels: { method: 'x' }, durations }];
  monitor.add([{ type: 'histogram', name: 'gfs_wait_seconds', help: 'How long one waits.', read }]);
  const families = await scrape(monitor);
  t.deepEqual(complaintsAbout(families), []);
  t.is(figureIn(families, 'gfs_wait_seconds_bucket', { method: 'x', le: '2.5' }), 5);
  t.is(figureIn(families, 'gfs_wait_seconds_bucket', { method: 'x', le: '+Inf' }), 6);
  t.is(figureIn(families, 'gfs_wait_seconds_count', { method: 'x' }), 6);
});
