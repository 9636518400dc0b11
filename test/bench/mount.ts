// Everyday work on a mounted cluster (master, 3 chunkservers and mount on this machine, three copies) and on a plain
// directory of the same disk, in turn and in one run: what `gfs bench` measures. Machines differ and are noisy: read the ratios.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KiB, MiB } from '../../src/base/units.ts';
import { GFS, TestCluster } from '../e2e/cluster.ts';
import { printTable } from './figures.ts';

/** One client, as one program of a person. */
const SIZES = ['--clients', '1', '--size', '1GiB', '--files', '2000', '--time', '60s'];
/** Random reads and writes of so large a file would take minutes; appends have a benchmark of their own. */
const FIGURES = ['--only', 'write,read,create,stat,open,remove'];

export async function benchMount(): Promise<void> {
  await using cluster = new TestCluster();
  const file = await cluster.start();
  const plain = join(cluster.directory, 'plain');
  mkdirSync(plain);
  const argv = [GFS, 'bench', cluster.mount, '--compare', plain, ...SIZES, ...FIGURES];
  process.stdout.write(`${execFileSync(process.execPath, argv, { encoding: 'utf8' })}\n`);
  const daemons: [string, number][] = [
    ['master', file.master.pid],
    ...file.chunkservers.map(({ id, pid }): [string, number] => [`chunkserver ${id}`, pid]),
    ['mount', file.mount.pid],
  ];
  printTable(
    ['memory after it', 'resident MiB'],
    daemons.map(([name, pid]) => [name, (residentBytes(pid) / MiB).toFixed(0)]),
  );
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * KiB;
}
