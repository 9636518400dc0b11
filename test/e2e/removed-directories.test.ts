// A process works in a directory that is removed by way of another mount: it finds itself where a local file system would
// leave it, in a directory without a name, and not in one that is stale.
import { chmodSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { compileProgram } from '../compile-program.ts';
import { Callers, World } from '../posix/world.ts';
import { ROOT, skips, TestCluster } from './cluster.ts';

test('a working directory that another mount removed, or replaced, is an empty one without a name', async (t) => {
  if (skips(t)) return;
  t.timeout(120_000);
  await using cluster = new TestCluster({ chunkservers: 1, replication: 1 });
  chmodSync(cluster.directory, 0o755);
  await cluster.start();
  const program = compileProgram(join(ROOT, 'test/posix/caller.cc'), cluster.directory);
  if (program === undefined) {
    t.log('skipped: no C++ compiler');
    t.pass();
    return;
  }
  const there = cluster.mount;
  const here = await cluster.mountAgain('allow_other,attr_timeout=3600,entry_timeout=3600');
  const callers = new Callers(program);
  try {
    for (const [name, take] of [
      ['removed', () => fs.rmdir(join(there, 'removed'))],
      ['replaced', () => fs.rename(join(there, 'other'), join(there, 'replaced'))],
    ] as const) {
      await fs.mkdir(join(there, name));
      await fs.mkdir(join(there, 'other'), { recursive: true });
      const before = (await fs.stat(join(here, name))).ino;
      const world = new World(here, callers);
      await world.script(`chdir ${name}\nopen x . rdonly\nstat . nlink -> 2`);
      await take();
      // The news are on their way for a moment.
      while ((await fs.stat(join(here, name)).catch(() => undefined))?.ino === before) await sleep(10);
      await world.script(`
        stat . type nlink -> dir 0
        list . ->
        stat x type -> ENOENT
        open y f creat,wronly -> ENOENT
        mkdir e -> ENOENT
        chmod . 700
        fstat x mode -> 700
        stat .. type -> dir
        chdir ..
        open y f creat,wronly
        unlink f`);
    }
    t.pass();
  } finally {
    callers.end();
  }
});
