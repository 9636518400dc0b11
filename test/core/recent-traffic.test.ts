import test from 'ava';
import { OperationCounters } from '../../src/core/operation-counters.ts';
import { RecentTraffic, type Traffic, trafficOfAll } from '../../src/core/recent-traffic.ts';

/** Of which each took as long as the others. */
const ops = (operation: string, count: number, bytes = 0, latencyMs = 0, errorCount = 0) => {
  const counters = new OperationCounters();
  const latencyUs = (latencyMs * 1000) / count;
  for (let index = 0; index < count; index += 1)
    counters.record(operation, { failed: index < errorCount, bytes: bytes / count, latencyUs });
  return counters.take();
};
const shown = (traffic: Traffic | undefined) =>
  traffic && { ...traffic, reads: traffic.reads.meanMs, mutations: traffic.mutations.meanMs };

test('the traffic of a server is the average of its last five seconds', (t) => {
  const traffic = new RecentTraffic();
  traffic.note(ops('Read', 1000, 1e9), 0);
  t.is(traffic.average, undefined, 'nobody knows how long that took');
  traffic.note([...ops('Read', 10, 2e6, 5), ...ops('Mutate', 4, 1000, 8, 1), ...ops('Push', 2, 3e6)], 2000);
  t.deepEqual(shown(traffic.average), {
    readBytesPerSecond: 1e6,
    writtenBytesPerSecond: 1_500_500,
    operationsPerSecond: 8,
    errorsPerSecond: 0.5,
    readsPerSecond: 5,
    mutationsPerSecond: 2,
    reads: 0.5,
    mutations: 2,
  });
  for (let second = 3; second <= 7; second += 1) traffic.note(ops('ReadBlock', 1, 1000), second * 1000);
  t.like(traffic.average, { readBytesPerSecond: 1000, writtenBytesPerSecond: 0, operationsPerSecond: 1 });
  t.like(shown(traffic.average), { reads: 0, mutations: 0 }, 'no client read or wrote');
});

test('heartbeats that are rarer than that are averaged from one to the next', (t) => {
  const traffic = new RecentTraffic();
  traffic.note([], 0);
  traffic.note(ops('Read', 60, 60e6), 60_000);
  t.like(traffic.average, { readBytesPerSecond: 1e6, operationsPerSecond: 1 });
  traffic.note([], 120_000);
  t.like(traffic.average, { readBytesPerSecond: 0, operationsPerSecond: 0 });
});

test('of several servers the traffic adds up, and times are those of all their calls', (t) => {
  const [one, other] = [new RecentTraffic(), new RecentTraffic()];
  for (const traffic of [one, other]) traffic.note([], 0);
  one.note([...ops('Read', 6, 60, 6, 1), ...ops('Push', 3, 40)], 1000);
  // Slower reads, of which there are fewer, in a longer time.
  other.note(ops('Read', 2, 80, 10), 2000);
  const all = trafficOfAll([one, other].flatMap(({ average }) => average ?? []));
  t.deepEqual(shown(all), {
    ...{ readBytesPerSecond: 100, writtenBytesPerSecond: 40, operationsPerSecond: 10, errorsPerSecond: 1 },
    ...{ readsPerSecond: 7, mutationsPerSecond: 0, reads: 2, mutations: 0 },
  });
  t.true(all.reads.quantileMs(0.5) <= 1);
  t.true(all.reads.quantileMs(0.99) > 4);
  t.like(shown(trafficOfAll([])), { operationsPerSecond: 0, reads: 0 });
});

test('what heartbeats took of the counters is in their totals still', (t) => {
  const counters = new OperationCounters();
  const record = (operation: string, bytes: number, failed = false) =>
    counters.record(operation, { failed, bytes, latencyUs: 10 });
  record('Read', 1);
  record('Read', 2);
  t.like(counters.take(), [{ operation: 'Read', count: 2, bytes: 3 }]);
  record('Read', 4, true);
  record('Push', 5);
  const totals = () => [...counters.totals()];
  const expected = [
    {
      operation: 'Read',
      count: 3,
      errorCount: 1,
      bytes: 7,
      latencyUsSum: 30,
      latencyUsMax: 10,
      latencyCounts: [3],
    },
    {
      operation: 'Push',
      count: 1,
      errorCount: 0,
      bytes: 5,
      latencyUsSum: 10,
      latencyUsMax: 10,
      latencyCounts: [1],
    },
  ];
  t.deepEqual(totals(), expected);
  t.deepEqual(totals(), expected, 'looking changes nothing');
  counters.take();
  t.deepEqual(totals(), expected);
  t.deepEqual(counters.take(), []);
});
