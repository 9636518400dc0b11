// Everyday work on a mounted cluster (master, 3 chunkservers and mount on this machine, three copies) and on a plain
// directory of the same disk, in turn and in one run. Machines differ and are noisy: read the ratios.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { GiB, KiB, MiB } from '../../src/base/units.ts';
import { TestCluster } from '../e2e/cluster.ts';
import { median, printTable } from './figures.ts';

const REPEATS = 3;
const FILE_BYTES = 1 * GiB;
const SMALL_COUNT = 2000;
const SMALL_BYTES = 4 * KiB;

type Figures = Map<string, number[]>;

export async function benchMount(): Promise<void> {
  await using cluster = new TestCluster();
  const file = await cluster.start();
  const plain = mkdtempSync(join(cluster.directory, 'plain-'));
  const onMount: Figures = new Map();
  const onPlain: Figures = new Map();
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    measure(cluster.mount, onMount);
    measure(plain, onPlain);
  }
  printTable(
    ['figure', 'mount', 'plain directory', 'ratio'],
    [...onMount].map(([name, values]) => {
      const [here, there] = [median(values), median(onPlain.get(name) ?? [])];
      return [name, here.toFixed(0), there.toFixed(0), (here / there).toFixed(3)];
    }),
  );
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

function measure(directory: string, figures: Figures): void {
  const big = join(directory, 'big');
  note(figures, 'sequential write, MB/s', FILE_BYTES / 1e6, () => writeFile(big));
  dropCaches();
  note(figures, 'sequential read cold, MB/s', FILE_BYTES / 1e6, () => readFile(big));
  note(figures, 'sequential read warm, MB/s', FILE_BYTES / 1e6, () => readFile(big));
  unlinkSync(big);

  const folder = join(directory, 'small');
  mkdirSync(folder);
  const paths = Array.from({ length: SMALL_COUNT }, (_, n) => join(folder, `file${n}`));
  const bytes = randomBytes(SMALL_BYTES);
  note(figures, 'create + write 4 KiB + close, files/s', SMALL_COUNT, () => {
    for (const path of paths) {
      const file = openSync(path, 'w');
      writeSync(file, bytes);
      closeSync(file);
    }
  });
  dropCaches();
  note(figures, 'stat of uncached names, /s', SMALL_COUNT, () => each(paths, statSync));
  dropCaches();
  note(figures, 'read of small files cold, /s', SMALL_COUNT, () => each(paths, readFileSync));
  note(figures, 'unlink, /s', SMALL_COUNT, () => each(paths, unlinkSync));
  rmSync(folder, { recursive: true });
}

function each(paths: readonly string[], work: (path: string) => unknown): void {
  for (const path of paths) work(path);
}

function note(figures: Figures, name: string, amount: number, work: () => void): void {
  const began = process.hrtime.bigint();
  work();
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  const values = figures.get(name) ?? [];
  values.push(amount / seconds);
  figures.set(name, values);
}

function writeFile(path: string): void {
  const block = randomBytes(MiB);
  const file = openSync(path, 'w');
  for (let at = 0; at < FILE_BYTES; at += MiB) {
    block.writeDoubleLE(at);
    writeSync(file, block);
  }
  fsyncSync(file);
  closeSync(file);
}

function readFile(path: string): void {
  const block = Buffer.alloc(MiB);
  const file = openSync(path, 'r');
  while (readSync(file, block) > 0);
  closeSync(file);
}

function dropCaches(): void {
  if (process.getuid?.() === 0) execFileSync('sh', ['-c', 'sync; echo 3 > /proc/sys/vm/drop_caches']);
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * KiB;
}
