// What it takes to make empty files in one directory and to remove them with rm -rf: alone, and while two more mounts know all
// the names, which have to hear of each that goes. Real processes on this machine: master, 3 chunkservers, mounts.
// GFS_BENCH_FILES: how many files. Machines differ and are noisy: read the processor time.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../../src/cli/bench/arithmetic.ts';
import { TestCluster } from '../e2e/cluster.ts';
import { printTable } from './figures.ts';

const REPEATS = 3;
const FILES = Number(process.env['GFS_BENCH_FILES'] ?? 3000);
const OTHER_MOUNTS = 2;
/** Answers are no longer believed by kernels then, and what was put off is done. */
const PAUSE_MS = 2500;
const TICKS_PER_SECOND = 100;

interface Figure {
  readonly perSecond: number;
  /** Of master, the mount that works, and the others together. */
  readonly microseconds: readonly number[];
}

export async function benchRemovals(): Promise<void> {
  await using cluster = new TestCluster();
  const { master, mount } = await cluster.start();
  const others: string[] = [];
  const figures = new Map<string, Figure[]>();
  const measure = (name: string, work: () => void) => {
    const groups = [[master.pid], [mount.pid], cluster.otherPids];
    const before = groups.map(processorSeconds);
    const began = process.hrtime.bigint();
    work();
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    const microseconds = groups.map((pids, index) => {
      return ((processorSeconds(pids) - (before[index] ?? 0)) * 1e6) / FILES;
    });
    figures.set(name, [...(figures.get(name) ?? []), { perSecond: FILES / seconds, microseconds }]);
  };
  for (let round = 0; round < 2 * REPEATS; round += 1) {
    if (round === REPEATS) {
      while (others.length < OTHER_MOUNTS) others.push(await cluster.mountAgain('allow_other'));
    }
    const directory = join(cluster.mount, `files${round}`);
    mkdirSync(directory);
    const how = others.length === 0 ? '1 mount' : `${1 + others.length} mounts`;
    measure(`make, ${how}`, () => {
      for (let n = 0; n < FILES; n += 1) closeSync(openSync(join(directory, `file${n}`), 'w'));
    });
    for (const other of others)
      execFileSync('ls', ['-l', join(other, basename(directory))], { stdio: 'ignore' });
    await sleep(PAUSE_MS);
    measure(`remove, ${how}`, () => execFileSync('rm', ['-rf', directory]));
  }
  printTable(
    ['empty files', 'a second', 'us of master', 'us of its mount', 'us of the others'],
    [...figures].map(([name, all]) => [
      name,
      median(all.map(({ perSecond }) => perSecond)).toFixed(0),
      ...[0, 1, 2].map((group) => median(all.map(({ microseconds }) => microseconds[group] ?? 0)).toFixed(0)),
    ]),
  );
}

/** User and system time, behind the name in parentheses: fields 14 and 15. */
function processorSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }, 0);
}
