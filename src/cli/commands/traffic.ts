import { formatSize } from '../../base/units.ts';
import type { ServerStatus, StatusResponse } from '../../rpc/messages.ts';
import { table } from './table.ts';

type Traffic = NonNullable<StatusResponse['traffic']>;

/** What passes through each server: of the last seconds. */
export function trafficTable(servers: readonly ServerStatus[]): string {
  return table(
    ['SERVER', 'STATE', 'READ/s', 'WRITTEN/s', 'OPS/s', 'FAILED/s', 'READ ms', 'MUTATE ms'],
    servers.map(({ server, alive, traffic }) => [
      server,
      alive ? 'alive' : 'GONE',
      ...(traffic === undefined ? Array<string>(6).fill('-') : columns(traffic)),
    ]),
  );
}

/** "1.0 MiB/s read (0.5 ms), 2.0 MiB/s written (3.0 ms)". */
export function trafficLine(traffic: Traffic): string {
  const { readBytesPerSecond, writtenBytesPerSecond, readMs, mutateMs } = traffic;
  const took = (ms: number) => (ms === 0 ? '' : ` (${ms.toFixed(1)} ms)`);
  const read = `${formatSize(Math.round(readBytesPerSecond))}/s read${took(readMs)}`;
  return `${read}, ${formatSize(Math.round(writtenBytesPerSecond))}/s written${took(mutateMs)}`;
}

/** "12.0/s, 0.0/s of them failed". */
export function operationsLine({ operationsPerSecond, errorsPerSecond }: Traffic): string {
  return `${operationsPerSecond.toFixed(1)}/s, ${errorsPerSecond.toFixed(1)}/s of them failed`;
}

function columns(traffic: Traffic): string[] {
  const { readBytesPerSecond, writtenBytesPerSecond, operationsPerSecond, errorsPerSecond } = traffic;
  const took = (ms: number) => (ms === 0 ? '-' : ms.toFixed(1));
  return [
    formatSize(Math.round(readBytesPerSecond)),
    formatSize(Math.round(writtenBytesPerSecond)),
    operationsPerSecond.toFixed(1),
    errorsPerSecond.toFixed(1),
    took(traffic.readMs),
    took(traffic.mutateMs),
  ];
}
