// Two mounts that change the same names at the same time: each name is decided once, and nobody waits in vain for the other.
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { between, TwoMounts } from './two-mounts.ts';

const ROUNDS = 100;
const { mkdir, open, readdir, rename, rm, rmdir, stat, unlink, writeFile } = fs.promises;

const mounts = new TwoMounts(test);

/** How each ended: 'ok', or the code of its failure. */
async function endings(...calls: Promise<unknown>[]): Promise<string[]> {
  const results = await Promise.allSettled(calls);
  return results.map((result) => {
    if (result.status === 'fulfilled') return 'ok';
    return (result.reason as { code?: string }).code ?? String(result.reason);
  });
}

between(mounts, 'mkdir -p of one tree on both mounts makes it, on both', async (t, { a, b }) => {
  const make = promisify(execFile);
  for (let round = 0; round < ROUNDS / 2; round += 1) {
    const tree = `tree${round}/one/two/three/four`;
    await Promise.all([make('mkdir', ['-p', join(a, tree)]), make('mkdir', ['-p', join(b, tree)])]);
    t.is((await stat(join(a, tree))).ino, (await stat(join(b, tree))).ino);
    const both = Array.from({ length: 4 }, (_, index) => join(index % 2 === 0 ? a : b, `t${round}`, 'x/y/z'));
    await Promise.all(both.map((path) => mkdir(path, { recursive: true })));
  }
});

between(mounts, 'exclusive creation has one winner', async (t, { a, b }) => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const create = async (place: string) => {
      const file = await open(join(place, `f${round}`), 'wx');
      await file.close();
    };
    t.deepEqual((await endings(create(a), create(b))).sort(), ['EEXIST', 'ok'], `round ${round}`);
  }
});

between(mounts, 'a rename or a removal is decided once', async (t, { a, b }) => {
  for (let round = 0; round < ROUNDS; round += 1) {
    await mkdir(join(a, 'x'));
    await stat(join(b, 'x'));
    const renames = await endings(rename(join(a, 'x'), join(a, 'ya')), rename(join(b, 'x'), join(b, 'yb')));
    t.deepEqual([...renames].sort(), ['ENOENT', 'ok'], `rename, round ${round}`);
    const name = renames[0] === 'ok' ? 'ya' : 'yb';
    t.deepEqual([await readdir(a), await readdir(b)], [[name], [name]]);
    const removals = await endings(rmdir(join(a, name)), rmdir(join(b, name)));
    t.deepEqual([...removals].sort(), ['ENOENT', 'ok'], `rmdir, round ${round}`);
  }
});

between(mounts, 'a directory is removed, or gets a name, not both', async (t, { a, b }) => {
  for (let round = 0; round < ROUNDS; round += 1) {
    await mkdir(join(a, 'd'));
    await stat(join(b, 'd'));
    const [removal = '', creation = ''] = await endings(
      rmdir(join(a, 'd')),
      writeFile(join(b, 'd', 'f'), 'x'),
    );
    const both = `${removal}, ${creation}`;
    t.true(['ok, ENOENT', 'ENOTEMPTY, ok'].includes(both), `${both}, round ${round}`);
    t.is(fs.existsSync(join(a, 'd', 'f')), creation === 'ok');
    t.is(fs.existsSync(join(b, 'd')), creation === 'ok');
    await rm(join(a, 'd'), { recursive: true, force: true });
  }
});

between(
  mounts,
  'two mounts that work in the same directories hold each other up for no second',
  async (t, { a, b }) => {
    const names = Array.from({ length: 20 }, (_, index) => index);
    for (let round = 0; round < ROUNDS / 4; round += 1) {
      await mkdir(join(a, 'one'));
      await mkdir(join(b, 'two'));
      await Promise.all(names.map((name) => writeFile(join(name % 2 ? a : b, 'one', `f${name}`), '')));
      // Each believes all of it, and removes and renames half of it.
      for (const place of [a, b]) for (const name of names) fs.statSync(join(place, 'one', `f${name}`));
      const results = names.map((name) => {
        const place = name % 2 ? a : b;
        const file = join(place, 'one', `f${name}`);
        if (name % 4 < 2) return unlink(file);
        return rename(file, join(place, 'two', `f${name}`));
      });
      t.deepEqual(new Set(await endings(...results)), new Set(['ok']));
      t.deepEqual(fs.readdirSync(join(a, 'one')), []);
      t.deepEqual(fs.readdirSync(join(b, 'two')).length, names.length / 2);
      await Promise.all([
        rmdir(join(a, 'one')),
        ...fs.readdirSync(join(b, 'two')).map((name, index) => unlink(join(index % 2 ? a : b, 'two', name))),
      ]);
      await rmdir(join(b, 'two'));
    }
    t.false(mounts.cluster.log('master').includes('waited for in vain'), mounts.cluster.log('master'));
  },
);
