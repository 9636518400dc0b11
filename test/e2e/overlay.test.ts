// An overlay of the kernel's may have its upper layer on a mount, as containers have theirs: what is changed or removed
// there lies in the mount, and hides what lies below.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { skips, TestCluster } from './cluster.ts';

const run = promisify(execFile);

/** In mounts of its own: whoever looks at all mounts of the machine, as df does, would keep the overlay busy. */
const SCRIPT = `
layers=$1 upper=$2 merged=$3
mount_it() { mount -t overlay overlay -o "$layers" "$merged"; }
show() { (cd "$merged"; ls -A; ls -A dir; cat changed; echo; cat elsewhere; echo); }
mount_it
(cd "$merged"; rm removed; mv moved elsewhere; printf ', and above' >> changed; rm -r dir; mkdir dir; printf above > new)
show
umount "$merged"
(cd "$upper"; stat -c '%n %f %t,%T' removed moved)
mount_it
show
`;

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
  const { stdout } = await run('unshare', [
    '--mount',
    'sh',
    '-euc',
    SCRIPT,
    'overlay',
    layers,
    upper,
    merged,
  ]);
  const merge = ['changed', 'dir', 'elsewhere', 'new', 'changed below, and above', 'moved below'];
  const whiteouts = ['removed 2000 0,0', 'moved 2000 0,0'];
  t.deepEqual(stdout.trim().split('\n'), [...merge, ...whiteouts, ...merge]);
});
