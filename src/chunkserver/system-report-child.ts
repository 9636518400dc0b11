/**
 * Run as a child process by `MachineReporter`: asks what may hang on a mount that does not answer, so that it can be
 * killed. Per request it sends two messages, the machine's and then the disks', because `node-disk-info` runs `df`
 * synchronously: what is stuck there must not keep back the rest.
 */
import { realpath, statfs } from 'node:fs';
import { loadavg, setPriority } from 'node:os';
import { promisify } from 'node:util';
import nodeDiskInfo from 'node-disk-info';
import si from 'systeminformation';
import { messageOf } from '../base/errors.ts';
import { KiB } from '../base/units.ts';
import type { DiskReport } from '../rpc/messages.ts';
import type { CollectRequest, DisksPart, MachinePart } from './system-report-parts.ts';

/** Below clients' work, and the programs it starts likewise. */
const PRIORITY = 10;

setPriority(PRIORITY);
// The server ended: nobody listens any more.
process.on('disconnect', () => process.exit(0));
process.on('message', (message) => {
  void answer(message as CollectRequest);
});

async function answer({ id, directories }: CollectRequest): Promise<void> {
  process.send?.(await machine(id));
  process.send?.(await disks(id, directories));
}

async function machine(id: number): Promise<MachinePart> {
  const problems: string[] = [];
  const [memory, load, networks] = await Promise.all([
    part('memory', problems, () => si.mem()),
    part('cpu', problems, () => si.currentLoad()),
    part('network', problems, () => si.networkStats('*')),
  ]);
  return {
    kind: 'machine',
    id,
    memoryTotalBytes: memory?.total ?? 0,
    memoryAvailableBytes: memory?.available ?? 0,
    swapTotalBytes: memory?.swaptotal ?? 0,
    swapUsedBytes: memory?.swapused ?? 0,
    cpuCount: load?.cpus.length ?? 0,
    cpuLoadPercent: load?.currentLoad ?? 0,
    loadAverage: loadavg()[0] ?? 0,
    networks: (networks ?? []).map(({ iface, rx_bytes, tx_bytes }) => ({
      interface: iface,
      receivedBytes: rx_bytes,
      sentBytes: tx_bytes,
    })),
    problems,
  };
}

async function disks(id: number, directories: readonly string[]): Promise<DisksPart> {
  const problems: string[] = [];
  const types = (await part('filesystems', problems, () => si.fsSize())) ?? [];
  const drives = (await part('disks', problems, async () => nodeDiskInfo.getDiskInfoSync())) ?? [];
  const reports: DiskReport[] = [];
  for (const directory of directories) {
    const path = (await part(directory, problems, () => promisify(realpath)(directory))) ?? directory;
    const drive = drives
      .filter(({ mounted }) => isBelow(path, mounted))
      .sort((a, b) => b.mounted.length - a.mounted.length)[0];
    const inodes = await part(`inodes of ${directory}`, problems, () => promisify(statfs)(path));
    if (drive === undefined) {
      problems.push(`disks: none holds ${directory}`);
      continue;
    }
    const { filesystem: device, mounted, used, available, capacity, blocks } = drive;
    reports.push({
      path: directory,
      filesystem: types.find(({ mount }) => mount === mounted)?.type ?? '',
      device,
      totalBytes: blocks * KiB,
      freeBytes: available * KiB,
      usedBytes: used * KiB,
      usedPercent: Number.parseFloat(capacity),
      inodeCount: inodes?.files ?? 0,
      inodeCountFree: inodes?.ffree ?? 0,
    });
  }
  return { kind: 'disks', id, disks: reports, problems };
}

async function part<T>(name: string, problems: string[], ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    problems.push(`${name}: ${messageOf(error)}`);
    return undefined;
  }
}

function isBelow(path: string, mount: string): boolean {
  return mount === '/' || path === mount || path.startsWith(`${mount}/`);
}
