import type { Command } from 'commander';
import { formatSize } from '../../base/units.ts';
import { MasterDefinition, type ServerStatus } from '../../rpc/messages.ts';
import { addCommonKeys, askMaster, type CommonKeys, print, realWorld } from './common.ts';
import { properties, table } from './table.ts';
import { trafficTable } from './traffic.ts';

export function addServers(gfs: Command): void {
  const command = gfs
    .command('servers')
    .description('show every chunkserver: space, traffic, disks, memory, network');
  addCommonKeys(command, { json: true });
  command.addHelpText('after', '\nExample: gfs servers --master 10.0.0.1:7400');
  command.action(async ({ master, json }: CommonKeys) => {
    const { servers, traffic } = await askMaster(
      realWorld(),
      master,
      MasterDefinition.methods.listServers,
      {},
    );
    print(servers, json, (value) =>
      value.length === 0
        ? 'no chunkserver has registered yet'
        : [overview(value), trafficTable(value, traffic), ...value.map(details)].join('\n\n'),
    );
  });
}

function overview(servers: readonly ServerStatus[]): string {
  return table(
    ['SERVER', 'STATE', 'ADDRESS', 'RACK', 'CHUNKS', 'USED', 'FREE', 'LEASES'],
    servers.map(({ server, alive, address, rack, space, leaseCount }) => [
      server,
      alive ? 'alive' : 'GONE',
      address,
      rack || '-',
      space?.chunkCount ?? '-',
      space ? formatSize(space.usedBytes) : '-',
      space ? formatSize(space.freeBytes) : '-',
      leaseCount,
    ]),
  );
}

function details({ server, host, pid, dataDirectory, report, corruptBlockCount }: ServerStatus): string {
  const pairs: [string, string | number][] = [
    [`server ${server}`, `${host}, pid ${pid}`],
    ['  data', dataDirectory],
    ['  corrupt blocks', corruptBlockCount],
  ];
  if (report === undefined) return properties([...pairs, ['  machine', 'no report yet']]);
  for (const disk of report.disks) {
    pairs.push([
      '  disk',
      `${disk.path}: ${formatSize(disk.freeBytes)} free of ${formatSize(disk.totalBytes)} (${disk.usedPercent.toFixed(0)}% used)`,
    ]);
  }
  const memory = `${formatSize(report.memoryAvailableBytes)} available of ${formatSize(report.memoryTotalBytes)}`;
  const swap = `${formatSize(report.swapUsedBytes)} used of ${formatSize(report.swapTotalBytes)}`;
  pairs.push(
    ['  memory', `${memory}; swap ${swap}; this process ${formatSize(report.processMemoryBytes)}`],
    [
      '  cpu',
      `${report.cpuCount} cores, ${report.cpuLoadPercent.toFixed(0)}% busy, load ${report.loadAverage.toFixed(2)}`,
    ],
  );
  for (const network of report.networks) {
    const traffic = `${formatSize(network.receivedBytes)} received, ${formatSize(network.sentBytes)} sent`;
    pairs.push(['  network', `${network.interface}: ${traffic}`]);
  }
  for (const problem of report.problems) pairs.push(['  not known', problem]);
  return properties(pairs);
}
