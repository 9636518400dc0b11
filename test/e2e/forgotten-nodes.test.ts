// A mount remembers a node for as long as its kernel does, and no longer.
import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { run } from './cluster.ts';
import { between, TwoMounts, type WatchedMount } from './two-mounts.ts';

const DIRECTORY_COUNT = 4;
const FILE_COUNT = 500;

const mounts = new TwoMounts(test);

/** Resolves when the mount remembers no more nodes than that: the kernel forgets in its own time. */
async function forgotten(mount: WatchedMount, countMax: number): Promise<void> {
  do execFileSync('sh', ['-c', 'echo 2 > /proc/sys/vm/drop_caches']);
  while ((await mount.counts()).nodes > countMax);
}

between(
  mounts,
  'what the kernel has forgotten the mount forgets, however it was told',
  async (t, { a, b }) => {
    for (const mount of [mounts.a, mounts.b]) await forgotten(mount, 0);
    const directories = Array.from({ length: DIRECTORY_COUNT }, (_, number) => `d${number}`);
    for (const directory of directories) {
      await mkdir(join(a, directory));
      const files = Array.from({ length: FILE_COUNT }, (_, number) => join(a, directory, `f${number}`));
      await Promise.all(files.map((file) => writeFile(file, '')));
    }
    const nodeCount = DIRECTORY_COUNT * FILE_COUNT;
    // How many nodes a mount knows just then is another matter: other tests have the kernel forget, too.
    const { create = 0 } = await mounts.a.requests();
    t.true(create >= nodeCount, 'what was made');
    const script = (text: string) => run('sh', ['-c', `cd ${b}; ${text}`]);
    for (const look of ['ls -lR', 'find . -type f -size 0', 'mkdir copy; cp -al d* copy']) {
      const { readDirectory: before = 0 } = await mounts.b.requests();
      t.is((await script(look)).code, 0, look);
      const { readDirectory: after = 0 } = await mounts.b.requests();
      t.true(after - before > DIRECTORY_COUNT, `${look}: the kernel is told anew`);
      await forgotten(mounts.b, 0);
    }
    t.is((await script('rm -r copy')).code, 0);
    for (const mount of [mounts.a, mounts.b]) await forgotten(mount, 0);
  },
);
