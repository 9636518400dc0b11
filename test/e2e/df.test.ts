// What `df` shows of a mount.
import { statfs, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { MiB } from '../../src/base/units.ts';
import { run, skips, TestCluster } from './cluster.ts';

test('df counts what the files take, and what servers of one disk have free is divided by the copies', async (t) => {
  if (skips(t)) return;
  await using cluster = new TestCluster();
  await cluster.start();
  const used = async () => {
    const { bsize, blocks, bfree } = await statfs(cluster.mount);
    return (blocks - bfree) * bsize;
  };
  t.true((await used()) < MiB);
  await writeFile(`${cluster.mount}/file`, Buffer.alloc(20 * MiB, 1));
  // Servers tell with their heartbeats.
  while ((await used()) < 20 * MiB) await sleep(100);
  t.true((await used()) < 21 * MiB, 'three copies of it count once');
  // Others write to the disk meanwhile.
  const [ours, disk] = await Promise.all([statfs(cluster.mount), statfs(cluster.directory)]);
  const ratio = (disk.bavail * disk.bsize) / (ours.bavail * ours.bsize);
  t.true(ratio > 2.5 && ratio < 3.5, `${ratio} bytes of the disk for one of a file`);
  t.true(ours.ffree > 1000 && ours.files > ours.ffree);
  const { code, stdout } = await run('df', ['-P', cluster.mount]);
  t.is(code, 0);
  t.regex(stdout, /\n\S+ +\d+ +\d+ +\d+ +\d+% \S+\n$/);
});
