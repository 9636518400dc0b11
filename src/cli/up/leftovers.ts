import { readdirSync, readFileSync } from 'node:fs';
import type { Env } from '../../base/env.ts';

/** In the environment of every daemon that `gfs up` starts: the data directory it belongs to. */
export const CLUSTER_VARIABLE = 'GFS_CLUSTER';

const PATIENCE_MS = 10_000;
const POLL_MS = 50;

export interface Leftover {
  readonly pid: number;
  /** "gfs-master", "gfs-chunkserver", "gfs-mount", "gfs gateway". */
  readonly program: string;
}

/** Daemons of this data directory that an earlier `gfs up` left running, when it was killed itself. */
export function findLeftovers(dataDirectory: string): Leftover[] {
  const marker = `${CLUSTER_VARIABLE}=${dataDirectory}`;
  const found: Leftover[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const [script = '', command] = readProc(name, 'cmdline')
      .slice(1)
      .filter((argument) => !argument.startsWith('-'));
    const file = /\/(gfs(?:-[a-z]+)?)\.js$/.exec(script)?.[1];
    const program = file === 'gfs' ? `gfs ${command}` : file;
    if (program !== undefined && readProc(name, 'environ').includes(marker))
      found.push({ pid: Number(name), program });
  }
  return found;
}

/** Stops them, the mount first so that it can still flush. Says which. */
export async function stopLeftovers(env: Env, leftovers: readonly Leftover[]): Promise<void> {
  for (const program of ['gfs-mount', 'gfs gateway', 'gfs-chunkserver', 'gfs-master']) {
    const group = leftovers.filter((leftover) => leftover.program === program);
    for (const { pid } of group) {
      process.stderr.write(`gfs up: stopping ${program} (pid ${pid}), left running by an earlier start\n`);
      signal(pid, 'SIGTERM');
    }
    const deadlineMs = env.monotonicMs() + PATIENCE_MS;
    while (group.some(({ pid }) => isRunning(pid))) {
      if (env.monotonicMs() > deadlineMs) {
        for (const { pid } of group) signal(pid, 'SIGKILL');
      }
      await env.sleep(POLL_MS);
    }
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself meanwhile.
  }
}

function isRunning(pid: number): boolean {
  const state = /^State:\s*(\w)/m.exec(readProc(String(pid), 'status').join('\n'))?.[1];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** NUL-separated parts of a file below /proc; none when the process is gone or somebody else's. */
function readProc(pid: string, file: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
