// How long a writer waits when a server of its chunk dies or stops: one writer, 64 KiB a write, synced each time, on a
// real cluster (master, 3 chunkservers and a mount on this machine, three copies). A round takes one server away in the
// middle of writing, and brings it back afterwards. GFS_BENCH_ROUNDS: rounds of each kind.
import { type ChildProcess, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gone, kill, ROOT, TestCluster } from '../e2e/cluster.ts';
import { printTable } from './figures.ts';

const ROUNDS = Number(process.env.GFS_BENCH_ROUNDS ?? 5);
const BLOCK = Buffer.alloc(64 * 1024, 7);
const BEFORE_MS = 500;
/** Longer than a stall lasts. */
const AFTER_MS = { SIGKILL: 3_000, SIGSTOP: 7_000 };

interface Server {
  readonly id: number;
  pid: number;
  readonly data: string;
}

interface Stat {
  readonly extents: readonly {
    readonly primary: number;
    readonly replicas: readonly { readonly server: number }[];
  }[];
}

export async function benchTakeover(): Promise<void> {
  await using cluster = new TestCluster();
  const { master, chunkservers } = await cluster.start();
  const servers: Server[] = chunkservers.map(({ id, pid, data }) => ({ id, pid, data }));
  const restarted: ChildProcess[] = [];
  const rows: (string | number)[][] = [];
  for (const [name, victim, signal] of [
    ['primary killed', 'primary', 'SIGKILL'],
    ['secondary killed', 'secondary', 'SIGKILL'],
    ['primary stopped', 'primary', 'SIGSTOP'],
    ['secondary stopped', 'secondary', 'SIGSTOP'],
  ] as const) {
    const stallsMs: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await until(async () => (await aliveCount(cluster)) === servers.length);
      const path = `${name}.${round}`.replace(' ', '-');
      stallsMs.push(
        await longestStall(join(cluster.mount, path), AFTER_MS[signal], async () => {
          const server = await find(cluster, servers, path, victim);
          kill(server.pid, signal);
          return async () => {
            if (signal === 'SIGSTOP') return kill(server.pid, 'SIGCONT');
            await gone(server.pid);
            const started = restart(server, master.address);
            restarted.push(started);
            server.pid = started.pid ?? 0;
          };
        }),
      );
    }
    stallsMs.sort((a, b) => a - b);
    rows.push([name, ...[0.5, 0.99].map((part) => at(stallsMs, part)), stallsMs.length]);
  }
  for (const process of restarted) process.kill('SIGKILL');
  printTable(['longest stall of a writer, ms', 'median', 'p99', 'rounds'], rows);
}

/** Writes, has a server taken away, goes on writing; the longest time between two writes that were answered. */
async function longestStall(
  path: string,
  afterMs: number,
  takeAway: () => Promise<() => Promise<void>>,
): Promise<number> {
  const file = await open(path, 'w');
  let longestMs = 0;
  let endMs = performance.now() + BEFORE_MS;
  let lastMs = performance.now();
  const write = async () => {
    while (performance.now() < endMs) {
      await file.write(BLOCK);
      await file.datasync();
      const nowMs = performance.now();
      longestMs = Math.max(longestMs, nowMs - lastMs);
      lastMs = nowMs;
    }
  };
  await write();
  endMs = performance.now() + afterMs;
  longestMs = 0;
  const writing = write();
  const bringBack = await takeAway();
  await writing;
  await bringBack();
  await file.close();
  return longestMs;
}

async function find(
  cluster: TestCluster,
  servers: readonly Server[],
  path: string,
  which: 'primary' | 'secondary',
): Promise<Server> {
  const { stdout } = await cluster.gfs('stat', `/${path}`, '--json');
  const extent = (JSON.parse(stdout) as Stat).extents.at(-1);
  const found = extent?.replicas.find(({ server }) => (server === extent.primary) === (which === 'primary'));
  const server = servers.find(({ id }) => id === found?.server);
  if (server === undefined) throw new Error(`no ${which} of ${path}: ${stdout}`);
  return server;
}

async function aliveCount(cluster: TestCluster): Promise<number> {
  const { stdout } = await cluster.gfs('servers', '--json');
  return (JSON.parse(stdout) as { alive: boolean }[]).filter(({ alive }) => alive).length;
}

function restart({ data }: Server, master: string): ChildProcess {
  const program = join(ROOT, 'dist/src/cli/gfs-chunkserver.js');
  const keys = ['--data', data, '--master', master, '--listen', '127.0.0.1:0', '--reserve', '64MiB'];
  return spawn(process.execPath, [program, ...keys], { stdio: 'ignore' });
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(200);
}

function at(sorted: readonly number[], part: number): string {
  const index = Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1);
  return (sorted[Math.max(0, index)] ?? Number.NaN).toFixed(0);
}
