// Files that are made without a name (O_TMPFILE), and may be given one, on two mounts of one cluster.
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KiB, MiB } from '../../src/base/units.ts';
import { run } from './cluster.ts';
import type { DaemonCluster } from './daemon-cluster.ts';
import { sharedCluster } from './shared-cluster.ts';

/** On Linux it comes with the flag of a directory, which node knows and which is not the same on all processors. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;
const HERE = 0;
const THERE = 1;

const onCluster = sharedCluster({ chunkservers: 3, master: ['--session-timeout', '3s'] });

async function openUnnamed(of: DaemonCluster, { mount = HERE, flags = 0 } = {}): Promise<fs.FileHandle> {
  return await fs.open(of.path('', mount), O_TMPFILE | constants.O_RDWR | flags, 0o666);
}

/** linkat(2) of an open file; answers what went wrong. */
async function link(file: fs.FileHandle, path: string): Promise<string> {
  const { stderr } = await run('ln', ['-L', '--', `/proc/${process.pid}/fd/${file.fd}`, path]);
  return stderr;
}

async function inodeCount(of: DaemonCluster): Promise<number> {
  const { files, ffree } = await fs.statfs(of.path('', THERE));
  return files - ffree;
}

onCluster('one is written, linked and read by way of another mount', async (t, of) => {
  const data = Buffer.alloc(600 * KiB, 'data of several chunks');
  const before = await fs.readdir(of.path(''));
  const file = await openUnnamed(of);
  await file.write(data);
  t.is((await file.stat()).nlink, 0);
  t.deepEqual(await fs.readdir(of.path('')), before);
  await file.sync();
  t.is(await link(file, of.path('linked')), '');
  t.is((await file.stat()).nlink, 1);
  const there = of.path('linked', THERE);
  t.true((await fs.readFile(there)).equals(data));
  t.is((await fs.stat(there)).nlink, 1);
  await file.write('and more');
  await file.close();
  t.is((await fs.stat(there)).size, data.length + 8);
  t.true((await of.checkMembers(['linked'])).length === 0);
  await fs.rm(there);
});

onCluster('one that had a name, or was to have none, gets none', async (t, of) => {
  const file = await openUnnamed(of);
  t.is(await link(file, of.path('once')), '');
  await fs.rm(of.path('once', THERE));
  t.regex(await link(file, of.path('twice')), /No such file or directory/);
  const private_ = await openUnnamed(of, { flags: constants.O_EXCL });
  t.regex(await link(private_, of.path('never')), /No such file or directory/);
  t.deepEqual(await fs.readdir(of.path('')), []);
  await Promise.all([file.close(), private_.close()]);
});

onCluster('one that is closed gives back what it took', async (t, of) => {
  const [count, { bfree, bsize }] = [await inodeCount(of), await fs.statfs(of.path(''))];
  const file = await openUnnamed(of);
  t.is(await inodeCount(of), count + 1);
  await file.write(Buffer.alloc(8 * MiB, 1));
  await file.sync();
  await file.close();
  while ((await inodeCount(of)) > count) await sleep(50);
  const isFree = async () => (await fs.statfs(of.path(''))).bfree * bsize > bfree * bsize - 4 * MiB;
  while (!(await isFree())) await sleep(100);
  t.pass();
});

onCluster('one outlives the master, and ends with the mount that made it', async (t, of) => {
  const count = await inodeCount(of);
  const kept = await openUnnamed(of);
  const lost = await openUnnamed(of, { mount: THERE });
  await kept.write('kept');
  await kept.sync();
  t.is(await inodeCount(of), count + 2);
  await of.master.kill();
  of.master.start();
  await of.master.ready();
  // As soon as both sessions have told, files that nobody has open are removed.
  await of.mounts[THERE]?.daemon.kill();
  await lost.close().catch(() => undefined);
  of.mounts[THERE]?.daemon.start();
  await of.mounts[THERE]?.daemon.ready();
  while ((await inodeCount(of)) > count + 1) await sleep(50);
  t.is((await kept.stat()).size, 4);
  t.is(await link(kept, of.path('kept')), '');
  t.is(await fs.readFile(of.path('kept', THERE), 'utf8'), 'kept');
  await kept.close();
  await fs.rm(join(of.path('kept')));
});
