// `gfs sync`, both ways, on a cluster of real processes.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type FileCommands, sharedCommands } from './file-commands.ts';

const withCommands = sharedCommands('1MiB');

/** A tree with some of everything; `tree` is its name here. */
function makeTree({ directory }: FileCommands): string {
  const tree = join(directory, 'tree');
  mkdirSync(join(tree, 'a/b'), { recursive: true });
  writeFileSync(join(tree, 'a/one'), 'one');
  writeFileSync(join(tree, 'a/b/two'), 'two');
  writeFileSync(join(tree, 'three'), 'three');
  symlinkSync('a/one', join(tree, 'link'));
  for (const path of ['a/one', 'a/b/two', 'three', 'a/b', 'a'])
    utimesSync(join(tree, path), 1e9, 1e9 + 0.123456);
  return tree;
}

async function checkSame(t: ExecutionContext, commands: FileCommands, tree: string, path: string) {
  const back = join(commands.directory, 'back');
  rmSync(back, { recursive: true, force: true });
  await commands.gfs('get', '-r', path, 'back');
  t.is(execFileSync('diff', ['-r', '--no-dereference', tree, back]).toString(), '');
}

withCommands(
  'only what differs goes up, and with --delete what is too much goes away',
  async (t, commands) => {
    const tree = makeTree(commands);
    const sync = (...more: string[]) => commands.gfs('sync', 'tree', 'gfs:/up', ...more);
    t.is(await sync(), '4 copied (11 B), 0 unchanged, 0 removed\n');
    await checkSame(t, commands, tree, '/up');
    t.is(await sync(), '0 copied (0 B), 4 unchanged, 0 removed\n');

    writeFileSync(join(tree, 'a/b/two'), 'TWO');
    chmodSync(join(tree, 'three'), 0o600);
    rmSync(join(tree, 'a/one'));
    rmSync(join(tree, 'link'));
    mkdirSync(join(tree, 'link'));
    writeFileSync(join(tree, 'link/in'), '');
    const refused = await commands.call(['sync', 'tree', 'gfs:/up']);
    t.is(refused.code, 1);
    t.is(refused.err, 'gfs: /up/link: not a directory\n');
    t.is(refused.out.toString(), '1 copied (3 B), 1 unchanged, 0 removed\n');
    t.is(await commands.gfs('cat', '/up/a/one'), 'one');

    const planned = await sync('--delete', '-n');
    t.is(planned, 'remove /up/a/one\nremove /up/link\ncopy tree/link\ncopy tree/link/in\n');
    t.is(await commands.gfs('cat', '/up/a/one'), 'one');
    t.is(await sync('--delete'), '1 copied (0 B), 2 unchanged, 2 removed\n');
    await checkSame(t, commands, tree, '/up');
    t.regex(await commands.gfs('ls', '-l', '/up/three'), /^-rw------- /);
    rmSync(tree, { recursive: true });
  },
);

withCommands('what the cluster has comes down the same way', async (t, commands) => {
  const tree = makeTree(commands);
  await commands.gfs('put', '-r', 'tree', '/down');
  t.is(await commands.gfs('sync', 'gfs:down', 'copy'), '4 copied (11 B), 0 unchanged, 0 removed\n');
  const copy = join(commands.directory, 'copy');
  t.is(execFileSync('diff', ['-r', '--no-dereference', tree, copy]).toString(), '');
  t.is(statSync(join(copy, 'a/b')).mtimeMs, statSync(join(tree, 'a/b')).mtimeMs);
  mkdirSync(join(copy, 'extra/below'), { recursive: true });
  writeFileSync(join(copy, 'extra/below/file'), '');
  writeFileSync(join(copy, 'three'), 'changed');
  t.is(await commands.gfs('sync', 'gfs:/down', 'copy'), '1 copied (5 B), 3 unchanged, 0 removed\n');
  t.is(
    await commands.gfs('sync', '--delete', 'gfs:/down', 'copy'),
    '0 copied (0 B), 4 unchanged, 1 removed\n',
  );
  t.is(execFileSync('diff', ['-r', '--no-dereference', tree, copy]).toString(), '');
});

withCommands('--checksum sees what size and time do not show', async (t, commands) => {
  const directory = join(commands.directory, 'sums');
  mkdirSync(directory);
  const file = join(directory, 'file');
  writeFileSync(file, 'before');
  utimesSync(file, 1e9, 1e9);
  await commands.gfs('sync', 'sums', 'gfs:/sums');
  writeFileSync(file, 'behind');
  utimesSync(file, 1e9, 1e9);
  t.regex(await commands.gfs('sync', 'sums', 'gfs:/sums'), /^0 copied/);
  t.regex(await commands.gfs('sync', '--checksum', 'sums', 'gfs:/sums'), /^1 copied/);
  t.is(await commands.gfs('cat', '/sums/file'), 'behind');
  utimesSync(file, 2e9, 2e9);
  t.regex(await commands.gfs('sync', '--checksum', 'sums', 'gfs:/sums'), /^0 copied/);
  const [{ mtime }] = JSON.parse(await commands.gfs('ls', '--json', '/sums'));
  t.is(mtime, new Date(2e12).toISOString());
  writeFileSync(join(commands.directory, 'sums2'), '');
  t.is((await commands.call(['sync', 'sums2', 'gfs:/sums'])).err, 'gfs: sums2: not a directory\n');
  t.is((await commands.call(['sync', 'sums', '/sums'])).code, 2);
  t.is(readFileSync(file, 'utf8'), 'behind');
});
