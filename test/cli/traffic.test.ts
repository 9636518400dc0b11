import test from 'ava';
import {
  bytesLine,
  mutationsLine,
  operationsLine,
  readsLine,
  trafficTable,
} from '../../src/cli/commands/traffic.ts';
import { ServerStatus, Traffic } from '../../src/rpc/messages.ts';

/** More than a network carries, and times that are worth a complaint. */
const most = Traffic.fromPartial({
  ...{ readBytesPerSecond: 1023.9 * 2 ** 20, writtenBytesPerSecond: 1023.9 * 2 ** 20 },
  ...{ operationsPerSecond: 123_456.7, errorsPerSecond: 12_345.6 },
  ...{ readsPerSecond: 99_999.9, readMs: 1234, readP50Ms: 1234.6, readP99Ms: 9999.9 },
  ...{ mutationsPerSecond: 99_999.9, mutateMs: 1234, mutateP50Ms: 1234.6, mutateP99Ms: 9999.9 },
});
const few = Traffic.fromPartial({
  ...{ operationsPerSecond: 1.25, readsPerSecond: 1.25, readMs: 0.049, readP50Ms: 0.05, readP99Ms: 9.94 },
});

test('the table of traffic fits eighty columns', (t) => {
  const servers = [
    ServerStatus.fromPartial({ server: 123_456, alive: true, traffic: most }),
    ServerStatus.fromPartial({ server: 2, alive: true, traffic: few }),
    ServerStatus.fromPartial({ server: 3 }),
  ];
  const lines = trafficTable(servers, most).split('\n');
  t.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  );
  const words = lines.slice(2).map((line) => line.split(/ {2,}/));
  t.deepEqual(words, [
    ['123456', 'alive', '1023.9 MiB', '1023.9 MiB', '123457', '12346', '1235/10000', '1235/10000'],
    ['2', 'alive', '0 B', '0 B', '1.3', '0.0', '0.05/9.9', '-'],
    ['3', 'GONE', '-', '-', '-', '-', '-', '-'],
    ['all', '1023.9 MiB', '1023.9 MiB', '123457', '12346', '1235/10000', '1235/10000'],
  ]);
  t.false(trafficTable(servers, undefined).includes('all'));
});

test('the lines about traffic fit beside their names, and say when there was none', (t) => {
  t.is(bytesLine(few), '0 B/s read, 0 B/s written');
  t.is(operationsLine(few), '1.3/s, 0.0/s of them failed');
  t.is(readsLine(few), '1.3/s: 0.05 ms on average, p50 0.05 ms, p99 9.9 ms');
  t.is(mutationsLine(few), 'none');
  const longest = [bytesLine, operationsLine, readsLine, mutationsLine].map((line) => line(most).length);
  t.true(Math.max(...longest) <= 60, String(longest));
});
