// Record appends through mounts of a cluster (master, 3 chunkservers and the mounts on this machine, three copies), and
// to a plain file of the same disk, in turn and in one run. Each write(2) of a mount returns when all three replicas
// have the record. Beside them, what bare sockets give for the same hops without a kernel's or a disk's part: the kernel lets one
// append to a file be on its way in a mount. Machines differ and are noisy: read the ratios.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { median } from '../../src/cli/bench/arithmetic.ts';
import { TestCluster } from '../e2e/cluster.ts';
import { printTable } from './figures.ts';
import { BareHops } from './sockets.ts';

const RECORD_BYTES = 100;
const REPEATS = 3;
const RECORDS_OF_ONE = 6_000;
const RECORDS_OF_MANY = 12_000;
const WRITERS = 8;

export async function benchAppend(): Promise<void> {
  await using cluster = new TestCluster();
  await using hops = new BareHops();
  await hops.start();
  const { master, chunkservers, mount } = await cluster.start();
  const mounts = [cluster.mount, await cluster.mountAgain()];
  const daemons = new Map([
    ['master', master.pid],
    ...chunkservers.map(({ id, pid }): [string, number] => [`chunkserver ${id}`, pid]),
    ['first mount', mount.pid],
  ]);
  const plain = join(cluster.directory, 'plain');
  mkdirSync(plain);
  const rows: (string | number)[][] = [];
  const cpu: (string | number)[][] = [];
  const figure = async (name: string, there: readonly string[], records: number) => {
    const here: number[] = [];
    const reference: number[] = [];
    const bare: number[] = [];
    const usedMs: number[][] = [];
    for (let repeat = 0; repeat < REPEATS; repeat += 1) {
      const before = [...daemons.values()].map(cpuMsOf);
      const file = `log${rows.length}.${repeat}`;
      here.push(
        await rate(
          there.map((directory) => join(directory, file)),
          records,
        ),
      );
      usedMs.push([...daemons.values()].map((pid, index) => cpuMsOf(pid) - (before[index] ?? 0)));
      reference.push(
        await rate(
          there.map(() => join(plain, file)),
          records,
        ),
      );
      bare.push(await hops.rate({ inFlight: new Set(there).size, records, bytes: RECORD_BYTES }));
      mustHold(join(plain, file), records);
      mustHold(join(cluster.mount, file), records);
    }
    const [ours, theirs, ceiling] = [median(here), median(reference), median(bare)];
    const perRecord = [...daemons].map((_, index) => median(usedMs.map((all) => all[index] ?? 0)) / records);
    cpu.push([name, ...perRecord.map((ms) => (ms * 1000).toFixed(0))]);
    const ratios = [(ours / ceiling).toFixed(2), (ours / theirs).toFixed(3)];
    rows.push([name, ours.toFixed(0), ceiling.toFixed(0), theirs.toFixed(0), ...ratios]);
  };
  await figure('1 writer, 1 mount: records/s', [mounts[0] ?? ''], RECORDS_OF_ONE);
  const many = Array.from({ length: WRITERS }, (_, index) => mounts[index % mounts.length] ?? '');
  await figure(`${WRITERS} writers, 2 mounts, 1 file: records/s`, many, RECORDS_OF_MANY);
  const columns = ['mounts', 'bare hops', 'plain file', 'of bare', 'of plain'];
  printTable(['appends of 100 bytes', ...columns], rows);
  printTable(['CPU time for a record, us', ...daemons.keys()], cpu);
}

/** Appends per second by one thread for each path, together. */
async function rate(paths: readonly string[], records: number): Promise<number> {
  const go = new Int32Array(new SharedArrayBuffer(4));
  const each = records / paths.length;
  const workers = paths.map((path, writer) => {
    const workerData = { path, writer, each, recordBytes: RECORD_BYTES, go };
    return new Worker(new URL('./append-writer.js', import.meta.url), { workerData });
  });
  await Promise.all(workers.map((worker) => event(worker, 'message')));
  const ended = Promise.all(workers.map((worker) => event(worker, 'exit')));
  const began = process.hrtime.bigint();
  Atomics.store(go, 0, 1);
  Atomics.notify(go, 0);
  await ended;
  return records / (Number(process.hrtime.bigint() - began) / 1e9);
}

function event(worker: Worker, name: 'message' | 'exit'): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once(name, () => resolve());
  });
}

/** In user and kernel mode since its start, to 10 ms. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Every record is there once: a fast append that loses some is not one. */
function mustHold(path: string, records: number): void {
  const lines = readFileSync(path, 'latin1').split('\n');
  const distinct = new Set(lines).size - 1;
  if (lines.length - 1 !== records || distinct !== records) {
    throw new Error(`${path}: ${lines.length - 1} records, ${distinct} different ones, not ${records}`);
  }
}
