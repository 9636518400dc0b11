import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { parseMountTable } from '../../mount/mount-table.ts';

/** Why nothing can be mounted here; undefined: it can. Tests that skip for it print it. */
export function whyNoMount(): string | undefined {
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse';
  if (process.getuid?.() === 0) return undefined;
  return spawnSync('fusermount3', ['-V']).error === undefined ? undefined : 'there is no fusermount3';
}

/** An empty directory to mount at; whatever is mounted there when the test ends is taken away. */
export function mountDirectory(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'gfs-mount-'));
  t.teardown(() => {
    while (mountedAt(path)) {
      if (spawnSync('umount', ['-l', path]).status !== 0) spawnSync('fusermount3', ['-u', '-z', path]);
    }
    rmdirSync(path);
  });
  return path;
}

export function mountedAt(path: string): boolean {
  return parseMountTable(readFileSync('/proc/self/mountinfo', 'latin1')).some((entry) => entry.path === path);
}

export interface Server {
  readonly process: ChildProcess;
  /** All that it said so far. */
  output(): string;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** Runs a script that mounts, until it says that it serves; kills it at the test's end. */
export async function startServer(
  t: ExecutionContext,
  argv: readonly string[],
  serves = 'serving\n',
): Promise<Server> {
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const ended = new Promise<Awaited<Server['ended']>>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const serving = new Promise<void>((resolve) => {
    const read = (text: string) => {
      output += text;
      if (output.includes(serves)) resolve();
    };
    child.stdout.setEncoding('utf8').on('data', read);
    child.stderr.setEncoding('utf8').on('data', read);
  });
  await Promise.race([serving, ended]);
  if (!output.includes(serves)) throw new Error(`not serving: ${output}`);
  return { process: child, output: () => output, ended };
}
