// `gfs rm -r` beside mounts: processes that work in the tree, or have files of it open, find what `rm -rf` would leave them.
import { execFile } from 'node:child_process';
import { chmodSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { compileProgram } from '../compile-program.ts';
import { Callers, World } from '../posix/world.ts';
import { GFS, ROOT, skips, TestCluster } from './cluster.ts';

test('a tree that `gfs rm -r` removed is gone on every mount when it returns, and what is open goes on', async (t) => {
  if (skips(t)) return;
  t.timeout(120_000);
  await using cluster = new TestCluster({ chunkservers: 1, replication: 1 });
  chmodSync(cluster.directory, 0o755);
  const { master } = await cluster.start();
  const program = compileProgram(join(ROOT, 'test/posix/caller.cc'), cluster.directory);
  if (program === undefined) {
    t.log('skipped: no C++ compiler');
    t.pass();
    return;
  }
  const here = cluster.mount;
  const there = await cluster.mountAgain('allow_other,attr_timeout=3600,entry_timeout=3600');
  await fs.mkdir(join(here, 'tree/a/b'), { recursive: true });
  await fs.mkdir(join(here, 'tree/c'));
  for (const name of ['f', 'a/f', 'a/b/f', 'c/f']) await fs.writeFile(join(here, 'tree', name), 'content');
  await fs.link(join(here, 'tree/a/f'), join(here, 'kept'));
  const usedBefore = (await fs.statfs(here)).files - (await fs.statfs(here)).ffree;
  const callers = new Callers(program);
  try {
    const world = new World(there, callers);
    // Whoever is in it, and believes all of it for an hour.
    await world.script(`
      chdir tree/a
      list . -> b f
      stat b/f type -> file
      stat ../c/f type -> file
      stat ../../kept nlink -> 2
      open x b/f rdwr`);
    await promisify(execFile)(process.execPath, [GFS, 'rm', '-r', '--master', master.address, '/tree']);
    await world.script(`
      stat f type -> ENOENT
      stat b type -> ENOENT
      stat b/f type -> ENOENT
      list . ->
      open y new creat,wronly -> ENOENT
      mkdir new -> ENOENT
      fstat x nlink -> 0
      chdir ../..
      stat kept nlink -> 1
      stat tree type -> ENOENT`);
    t.deepEqual(await fs.readdir(here), ['kept']);
    t.is(await fs.readFile(join(there, 'kept'), 'utf8'), 'content');
    const used = async () => {
      const { files, ffree } = await fs.statfs(here);
      return files - ffree;
    };
    // Four directories and two closed files; a third is open.
    while ((await used()) > usedBefore - 6) await new Promise((resolve) => setTimeout(resolve, 50));
    t.is(await used(), usedBefore - 6);
  } finally {
    callers.end();
  }
});
