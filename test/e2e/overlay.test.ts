// An overlay of the kernel's may have its upper layer on a mount, as containers have theirs: what is changed or removed
// there lies in the mount, and hides what lies below.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { isMounted, skips, TestCluster } from './cluster.ts';

test('an overlay has its upper layer on the mount', async (t) => {
  if (skips(t)) return;
  if (!/\boverlay$/m.test(readFileSync('/proc/filesystems', 'utf8'))) {
    t.log('skipped: the kernel has no overlays');
    t.pass();
    return;
  }
  t.timeout(120_000);
  await using cluster = new TestCluster({ chunkservers: 1, replication: 1 });
  await cluster.start();
  const lower = join(cluster.directory, 'lower');
  const upper = join(cluster.mount, 'upper');
  const work = join(cluster.mount, 'work');
  const merged = join(cluster.directory, 'merged');
  for (const path of [join(lower, 'dir/sub'), upper, work, merged]) await fs.mkdir(path, { recursive: true });
  for (const name of ['removed', 'moved', 'changed', 'dir/f', 'dir/sub/f']) {
    await fs.writeFile(join(lower, name), `${name} below`);
  }
  const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  const mountIt = () => execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, merged]);
  const check = async () => {
    t.deepEqual((await fs.readdir(merged)).sort(), ['changed', 'dir', 'elsewhere', 'new']);
    t.deepEqual(await fs.readdir(join(merged, 'dir')), []);
    t.is(await fs.readFile(join(merged, 'changed'), 'utf8'), 'changed below, and above');
    t.is(await fs.readFile(join(merged, 'elsewhere'), 'utf8'), 'moved below');
  };
  try {
    mountIt();
    await fs.rm(join(merged, 'removed'));
    await fs.rename(join(merged, 'moved'), join(merged, 'elsewhere'));
    await fs.appendFile(join(merged, 'changed'), ', and above');
    await fs.rm(join(merged, 'dir'), { recursive: true });
    await fs.mkdir(join(merged, 'dir'));
    await fs.writeFile(join(merged, 'new'), 'above');
    await check();
    execFileSync('umount', [merged]);
    for (const name of ['removed', 'moved']) {
      const { rdev, mode } = await fs.lstat(join(upper, name));
      t.deepEqual({ rdev, mode }, { rdev: 0, mode: 0o020000 }, `a whiteout hides ${name}`);
    }
    mountIt();
    await check();
  } finally {
    if (isMounted(merged)) execFileSync('umount', ['-l', merged]);
  }
});
