// A mount without extended attributes, and with locks of its own, beside one that has all.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { must } from '../../src/base/assert.ts';
import { kill, skips, TestCluster } from './cluster.ts';
import { WatchedMount } from './two-mounts.ts';

const COUNT = 20;

test('with noxattr and nolock the kernel asks for no ACLs, and for nothing when what was read is closed', async (t) => {
  if (skips(t)) return;
  t.timeout(120_000);
  await using cluster = new TestCluster({ chunkSize: '256KiB' });
  const { master } = await cluster.start();
  const all = new WatchedMount(master.address);
  const less = new WatchedMount(master.address, 'noxattr,nolock');
  try {
    await Promise.all([all.mounted(), less.mounted()]);
    const asked: Record<string, number>[] = [];
    for (const mount of [all, less]) {
      const directory = await fs.mkdtemp(join(mount.path, 'd-'));
      const files = Array.from({ length: COUNT }, (_, index) => join(directory, `f${index}`));
      for (const file of files) await fs.writeFile(file, 'data');
      const before = await mount.requests();
      t.is(spawnSync('ls', ['-l', directory]).status, 0);
      for (const file of files) t.is(await fs.readFile(file, 'utf8'), 'data');
      const after = await mount.requests();
      const more = (kind: string) => (after[kind] ?? 0) - (before[kind] ?? 0);
      asked.push({ getXattr: more('getXattr'), flush: more('flush') });
    }
    const [usual, few] = asked;
    t.true(must(usual?.getXattr, 'it was counted') >= COUNT);
    t.true(must(usual?.flush, 'it was counted') >= COUNT);
    t.true(must(few?.getXattr, 'it was counted') <= 1, 'it is told once that there are none');
    // Processes begun by other tests close descriptors of the writer, too.
    t.true(must(few?.flush, 'it was counted') < COUNT);

    const set = spawnSync('setfattr', ['-n', 'user.a', '-v', '1', less.path], { encoding: 'utf8' });
    if (set.error === undefined) t.regex(set.stderr, /not supported/);
    else t.log('setfattr is not installed');

    await fs.writeFile(join(less.path, 'locked'), '');
    const holder = spawn('flock', [join(less.path, 'locked'), 'sh', '-c', 'echo held; exec sleep 100']);
    await once(holder.stdout, 'data');
    const wants = (mount: WatchedMount) =>
      spawnSync('flock', ['-n', join(mount.path, 'locked'), 'true']).status;
    t.is(wants(less), 1, 'they hold on this machine');
    t.is(wants(all), 0, 'and nobody else knows of them');
    kill(must(holder.pid, 'it runs'));
  } finally {
    await Promise.all([all.end(), less.end()]);
  }
});
