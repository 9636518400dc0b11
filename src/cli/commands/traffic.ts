import { formatSize } from '../../base/units.ts';
import type { ServerStatus, StatusResponse } from '../../rpc/messages.ts';
import { table } from './table.ts';

type Traffic = NonNullable<StatusResponse['traffic']>;

const MS_WITH_TENTHS_MAX = 10;
const RATE_WITH_TENTHS_MAX = 1000;

/** What passes through each server, and through all: of the last seconds. Eighty columns hold it. */
export function trafficTable(servers: readonly ServerStatus[], all: Traffic | undefined): string {
  return table(
    [
      ...['SERVER', 'STATE', 'READ/s', 'WRITTEN/s', 'OPS/s', 'FAILED/s'],
      ...['READ ms\np50/p99', 'MUTATE ms\np50/p99'],
    ],
    [
      ...servers.map(({ server, alive, traffic }) => [
        server,
        alive ? 'alive' : 'GONE',
        ...(traffic === undefined ? Array<string>(6).fill('-') : columns(traffic)),
      ]),
      ...(all === undefined ? [] : [['all', '', ...columns(all)]]),
    ],
  );
}

/** "1.0 MiB/s read, 2.0 MiB/s written". */
export function bytesLine({ readBytesPerSecond, writtenBytesPerSecond }: Traffic): string {
  return `${bytesRate(readBytesPerSecond)}/s read, ${bytesRate(writtenBytesPerSecond)}/s written`;
}

/** "12.0/s, 0.0/s of them failed". */
export function operationsLine({ operationsPerSecond, errorsPerSecond }: Traffic): string {
  return `${rate(operationsPerSecond)}/s, ${rate(errorsPerSecond)}/s of them failed`;
}

/** "5.0/s: 0.5 ms on average, p50 0.4 ms, p99 2.0 ms"; "none" where there were none. */
export function readsLine({ readsPerSecond, readMs, readP50Ms, readP99Ms }: Traffic): string {
  return timesLine(readsPerSecond, readMs, readP50Ms, readP99Ms);
}

export function mutationsLine({ mutationsPerSecond, mutateMs, mutateP50Ms, mutateP99Ms }: Traffic): string {
  return timesLine(mutationsPerSecond, mutateMs, mutateP50Ms, mutateP99Ms);
}

function timesLine(perSecond: number, meanMs: number, p50Ms: number, p99Ms: number): string {
  if (perSecond === 0) return 'none';
  return `${rate(perSecond)}/s: ${took(meanMs)} ms on average, p50 ${took(p50Ms)} ms, p99 ${took(p99Ms)} ms`;
}

function columns(traffic: Traffic): string[] {
  const { readP50Ms, readP99Ms, mutateP50Ms, mutateP99Ms } = traffic;
  const times = (p50Ms: number, p99Ms: number) => (p99Ms === 0 ? '-' : `${took(p50Ms)}/${took(p99Ms)}`);
  return [
    bytesRate(traffic.readBytesPerSecond),
    bytesRate(traffic.writtenBytesPerSecond),
    rate(traffic.operationsPerSecond),
    rate(traffic.errorsPerSecond),
    times(readP50Ms, readP99Ms),
    times(mutateP50Ms, mutateP99Ms),
  ];
}

function bytesRate(bytesPerSecond: number): string {
  return formatSize(Math.round(bytesPerSecond));
}

function rate(perSecond: number): string {
  return perSecond.toFixed(perSecond < RATE_WITH_TENTHS_MAX ? 1 : 0);
}

/** As many digits as say something: 0.05, 1.2, 34, 1200. */
function took(ms: number): string {
  if (ms < 1) return ms.toFixed(2);
  return ms.toFixed(ms < MS_WITH_TENTHS_MAX ? 1 : 0);
}
