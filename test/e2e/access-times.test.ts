// Times of access by reading, on several mounts of one cluster.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { kill, skips, TestCluster } from './cluster.ts';

const LONG_AGO = new Date(1_000_000_000_000);
/** On Linux. */
const O_NOATIME = 0o1000000;

interface Mounts {
  readonly cluster: TestCluster;
  /** Where the kernel asks each time. */
  readonly a: string;
  readonly b: string;
}

/** A cluster, and two mounts of it. */
function onMounts(
  title: string,
  optionsOfB: string,
  body: (t: ExecutionContext, mounts: Mounts) => Promise<void>,
) {
  test.serial(title, async (t) => {
    if (skips(t)) return;
    t.timeout(120_000);
    await using cluster = new TestCluster({ chunkservers: 1, replication: 1, chunkSize: '1MiB' });
    await cluster.start();
    const a = await cluster.mountAgain('attr_timeout=0');
    const b = await cluster.mountAgain(optionsOfB);
    await body(t, { cluster, a, b });
  });
}

/** A file that was read and changed long ago, a directory with it, and a link to it. */
function furnish(a: string): void {
  fs.mkdirSync(join(a, 'd'));
  fs.writeFileSync(join(a, 'd/f'), 'data');
  fs.symlinkSync('d/f', join(a, 'l'));
  for (const path of ['d/f', 'd']) fs.utimesSync(join(a, path), LONG_AGO, LONG_AGO);
  fs.lutimesSync(join(a, 'l'), LONG_AGO, LONG_AGO);
}

const NAMES = ['d/f', 'd', 'l'] as const;
const times = (mount: string) => NAMES.map((name) => fs.lstatSync(join(mount, name)).atimeMs);
const unread = NAMES.map(() => LONG_AGO.getTime());

function readAll(mount: string): void {
  fs.readFileSync(join(mount, 'd/f'));
  fs.readdirSync(join(mount, 'd'));
  fs.readlinkSync(join(mount, 'l'));
}

/** For what other mounts are told later. */
async function comesTrue(check: () => boolean): Promise<void> {
  while (!check()) await sleep(20);
}

onMounts(
  'what is read on one mount is seen there at once, and on another one soon',
  'defaults',
  async (t, { a, b }) => {
    furnish(a);
    const before = Date.now();
    readAll(b);
    const read = times(b);
    t.true(
      read.every((atime) => atime >= before),
      `${read}`,
    );
    await comesTrue(() => times(a).every((atime, index) => atime === read[index]));
    readAll(b);
    readAll(a);
    t.deepEqual([times(a), times(b)], [read, read], 'it had been read since it was changed');
    const { mtimeMs, ctimeMs } = fs.statSync(join(b, 'd/f'));
    t.is(mtimeMs, LONG_AGO.getTime());
    t.true(ctimeMs <= before, 'nothing else moves');
  },
);

onMounts('a file that the kernel has pages of is read after a change', 'defaults', async (t, { b }) => {
  for (const length of [100_000, 300_000]) {
    const path = join(b, `f${length}`);
    fs.writeFileSync(path, Buffer.alloc(length));
    fs.readFileSync(path);
    const changed = new Date();
    fs.utimesSync(path, LONG_AGO, LONG_AGO);
    fs.readFileSync(path);
    await comesTrue(() => fs.statSync(path).atimeMs >= changed.getTime());
    fs.utimesSync(path, LONG_AGO, LONG_AGO);
    fs.closeSync(fs.openSync(path, fs.constants.O_RDONLY | O_NOATIME));
    const noted = fs.openSync(path, fs.constants.O_RDONLY | O_NOATIME);
    fs.readSync(noted, Buffer.alloc(10));
    fs.closeSync(noted);
    t.is(fs.statSync(path).atimeMs, LONG_AGO.getTime(), 'O_NOATIME');
  }
});

for (const options of ['noatime', 'ro']) {
  onMounts(`nothing moves on a mount with ${options}`, options, async (t, { a, b }) => {
    furnish(a);
    readAll(b);
    t.deepEqual(times(b), unread);
  });
}

onMounts('of directories alone nothing moves with nodiratime', 'nodiratime', async (t, { a, b }) => {
  furnish(a);
  readAll(b);
  const [file, directory, link] = times(b);
  t.is(directory, LONG_AGO.getTime());
  t.true(file !== LONG_AGO.getTime() && link !== LONG_AGO.getTime());
});

onMounts('a file is read while there is no master', 'defaults', async (t, { cluster, a, b }) => {
  furnish(a);
  const file = fs.openSync(join(b, 'd/f'), 'r');
  kill(cluster.file.master.pid, 'SIGSTOP');
  try {
    const read = Buffer.alloc(4);
    fs.readSync(file, read, 0, 4, 0);
    t.is(read.toString(), 'data');
  } finally {
    kill(cluster.file.master.pid, 'SIGCONT');
    fs.closeSync(file);
  }
  await comesTrue(() => fs.statSync(join(a, 'd/f')).atimeMs !== LONG_AGO.getTime());
});
