import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { gone, isMounted, ROOT, run, type TestCluster } from '../e2e/cluster.ts';
import { mountDirectory } from './mount-helper.ts';

export const GFS_MOUNT = join(ROOT, 'dist/mount/gfs-mount.js');

/** Mounts a cluster once more, in the background, until the test ends; resolves to the process's id. */
export async function mountInBackground(
  t: ExecutionContext,
  { file }: TestCluster,
  driver: 'kernel' | 'fuse-native',
  options = 'defaults',
): Promise<{ path: string; pid: number }> {
  const path = mountDirectory(t);
  const log = join(tmpdir(), `gfs-mount-${driver}-${process.pid}.log`);
  t.teardown(() => fs.rm(log, { force: true }));
  const argv = ['--driver', driver, file.master.address, path, '-o', options, '--log-file', log];
  const started = await run(process.execPath, [GFS_MOUNT, ...argv]);
  t.is(started.code, 0, started.stderr);
  t.true(isMounted(path), 'it serves when the starter ends');
  const [line = '{}'] = (await fs.readFile(log, 'utf8')).split('\n').filter((text) => text.includes(path));
  const { pid } = JSON.parse(line) as { pid: number };
  return { path, pid };
}

/** SIGTERM ends a mount; what was written there and not closed is seen by `first`. */
export async function sigtermWritesOut(
  t: ExecutionContext,
  first: TestCluster,
  driver: 'kernel' | 'fuse-native',
): Promise<void> {
  const second = await mountInBackground(t, first, driver);
  const data = randomBytes(3_000_000);
  const file = await fs.open(join(second.path, 'unclosed'), 'w');
  await file.write(data);
  process.kill(second.pid, 'SIGTERM');
  await gone(second.pid);
  t.false(isMounted(second.path));
  await file.close().catch(() => undefined);
  t.true((await fs.readFile(join(first.mount, 'unclosed'))).equals(data));
}
