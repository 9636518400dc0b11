// When nobody answers for longer than a mount waits: who had something to lose is told, once, and nobody else.
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { skips, TestCluster } from './cluster.ts';

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'OK',
    (error: NodeJS.ErrnoException) => error.code,
  );

test.serial(
  'what cannot be written by io_timeout is EIO, once at each handle that was open for writing',
  async (t) => {
    if (skips(t)) return;
    t.timeout(120_000);
    await using cluster = new TestCluster();
    const { chunkservers } = await cluster.start();
    const mount = await cluster.mountAgain('io_timeout=2');
    const [path, otherPath] = [join(mount, 'file'), join(mount, 'other')];
    await cluster.shell('echo before > file; echo before > other; sync file other');
    const [first, second, reading] = [await open(path, 'r+'), await open(path, 'r+'), await open(path, 'r')];
    const other = await open(otherPath, 'r+');
    const signal = (name: 'SIGSTOP' | 'SIGCONT') => {
      for (const { pid } of chunkservers) process.kill(pid, name);
    };
    signal('SIGSTOP');
    try {
      t.is(await codeOf(first.write('lost', 0)), 'OK');
      t.is(await codeOf(first.sync()), 'EIO');
      t.is(await codeOf(first.sync()), 'OK', 'it was told');
      t.is(await codeOf(second.sync()), 'EIO', 'it may have relied on the same bytes');
      t.is(await codeOf(second.sync()), 'OK');
      t.is(await codeOf(other.sync()), 'OK', 'nothing of it was lost');
    } finally {
      signal('SIGCONT');
    }
    for (const handle of [first, second, reading, other]) t.is(await codeOf(handle.close()), 'OK');
    const again = await open(path, 'r+');
    await again.write('AFTER', 0);
    await again.sync();
    await again.close();
    t.is(await readFile(join(cluster.mount, 'file'), 'latin1'), 'AFTERe\n');
    t.is(await readFile(join(cluster.mount, 'other'), 'latin1'), 'before\n');
  },
);
