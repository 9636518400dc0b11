// A real cluster, mounted twice: what programs and people see of gfs-mount.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { gone, run, skips, TestCluster } from '../e2e/cluster.ts';
import { mountInBackground, sigtermWritesOut } from './background-mount.ts';
import { POSIX_LIST, placesIn } from './posix-list.ts';

let cluster: TestCluster | undefined;

test.before(async (t) => {
  if (skips({ log: (text) => t.log(text), pass: () => undefined })) return;
  cluster = new TestCluster({ chunkSize: '1MiB' });
  await cluster.start();
});
test.after.always(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

/** A test on the cluster; without /dev/fuse it says so and passes. */
function mounted(title: string, body: (t: ExecutionContext, cluster: TestCluster) => Promise<void>): void {
  test.serial(title, async (t) => {
    if (cluster === undefined) skips(t);
    else await body(t, cluster);
  });
}

for (const [title, check] of Object.entries(POSIX_LIST)) {
  test.serial(`an ordinary directory: ${title}`, async (t) => {
    const directory = await fs.mkdtemp(join(tmpdir(), 'gfs-posix-'));
    await check(placesIn(directory));
    await fs.rm(directory, { recursive: true });
    t.pass();
  });
  mounted(`the mount: ${title}`, async (t, { mount }) => {
    const directory = await fs.mkdtemp(join(mount, 'posix-'));
    await check(placesIn(directory));
    t.pass();
  });
}

mounted('what is closed on one mount is what is opened on another', async (t, first) => {
  const second = await mountInBackground(t, first, 'kernel', 'defaults,_netdev,rw');
  const [here, there] = [join(first.mount, 'shared'), join(second.path, 'shared')];
  for (let round = 0; round < 5; round += 1) {
    const data = randomBytes(50_000 + round * 100_000);
    await fs.writeFile(round % 2 ? here : there, data);
    t.true((await fs.readFile(round % 2 ? there : here)).equals(data), `round ${round}`);
  }
  // Pages that the reader has of an old version go when it opens the file again.
  await fs.writeFile(here, 'a'.repeat(100_000));
  t.is((await fs.readFile(there, 'latin1'))[0], 'a');
  await fs.writeFile(here, 'b'.repeat(100_000));
  t.is(await fs.readFile(there, 'latin1'), 'b'.repeat(100_000));
  // An editor's save: the name means another file now.
  await fs.writeFile(`${here}.new`, 'c');
  await fs.rename(`${here}.new`, here);
  t.is(await fs.readFile(there, 'utf8'), 'c');
  process.kill(second.pid, 'SIGTERM');
  await gone(second.pid);
});

mounted('lines appended by way of two mounts are all there', async (t, first) => {
  const second = await mountInBackground(t, first, 'kernel');
  const append = (mount: string, who: string) =>
    run('bash', ['-c', `for i in $(seq 100); do echo ${who} $i >> '${mount}/log'; done`]);
  await Promise.all([append(first.mount, 'a'), append(second.path, 'b')]);
  const lines = (await fs.readFile(join(first.mount, 'log'), 'utf8')).trim().split('\n');
  const expected = ['a', 'b'].flatMap((who) =>
    Array.from({ length: 100 }, (_, index) => `${who} ${index + 1}`),
  );
  t.deepEqual([...lines].sort(), expected.sort());
  for (const who of ['a', 'b']) {
    const numbers = lines.filter((line) => line.startsWith(who)).map((line) => Number(line.slice(2)));
    t.deepEqual(
      numbers,
      Array.from({ length: 100 }, (_, index) => index + 1),
    );
  }
  process.kill(second.pid, 'SIGTERM');
  await gone(second.pid);
});

mounted('SIGTERM writes out what was written and not closed, and unmounts', (t, first) =>
  sigtermWritesOut(t, first, 'kernel'),
);

mounted('unmounted from outside, it ends by itself', async (t, first) => {
  const second = await mountInBackground(t, first, 'kernel');
  await fs.writeFile(join(second.path, 'outside'), 'data');
  execFileSync('umount', [second.path]);
  await gone(second.pid);
  t.is(await fs.readFile(join(first.mount, 'outside'), 'utf8'), 'data');
});

mounted('the mount options are those of the mount', async (t, first) => {
  const second = await mountInBackground(t, first, 'kernel', 'ro,noexec,fsname=some/name,allow_other');
  const line = (await fs.readFile('/proc/mounts', 'utf8'))
    .split('\n')
    .find((text) => text.includes(second.path));
  t.regex(line ?? '', /^some\/name \S+ fuse\.gfs ro,nosuid,nodev,noexec,.*default_permissions,allow_other/);
  await t.throwsAsync(fs.writeFile(join(second.path, 'x'), ''), { code: 'EROFS' });
  process.kill(second.pid, 'SIGTERM');
  await gone(second.pid);
});

mounted('files belong to who made them, groups count, and others are kept out', async (t, first) => {
  const second = await mountInBackground(t, first, 'kernel', 'allow_other');
  const as = (uid: number, groups: string, script: string) =>
    run('setpriv', [
      ...[`--reuid=${uid}`, `--regid=${uid}`, groups === '' ? '--clear-groups' : `--groups=${groups}`],
      ...['bash', '-c', `cd '${second.path}/people' && ${script}`],
    ]);
  const people = join(second.path, 'people');
  await fs.mkdir(people);
  await fs.chmod(people, 0o777);
  t.is((await as(1234, '', 'umask 027 && echo secret > mine && mkdir dir')).code, 0);
  const mine = await fs.stat(join(people, 'mine'));
  t.deepEqual([mine.uid, mine.gid, mine.mode & 0o777], [1234, 1234, 0o640]);
  t.not((await as(4321, '', 'cat mine')).code, 0);
  t.is((await as(4321, '1234', 'cat mine')).stdout, 'secret\n');
  t.not((await as(4321, '', 'ls dir')).code, 0);
  t.not((await as(4321, '', 'chmod 777 mine')).code, 0);
  process.kill(second.pid, 'SIGTERM');
  await gone(second.pid);
});

mounted('a signal ends a read that waits for the cluster, and the mount goes on', async (t, first) => {
  await fs.writeFile(join(first.mount, 'cold'), randomBytes(2_000_000));
  const second = await mountInBackground(t, first, 'kernel');
  const { chunkservers } = first.file;
  for (const { pid } of chunkservers) process.kill(pid, 'SIGSTOP');
  try {
    const started = performance.now();
    await run('timeout', ['-s', 'INT', '0.5', 'cat', join(second.path, 'cold')]);
    t.true(performance.now() - started < 8_000, 'cat ended when it was told to');
    t.is((await fs.stat(join(second.path, 'cold'))).size, 2_000_000);
  } finally {
    for (const { pid } of chunkservers) process.kill(pid, 'SIGCONT');
  }
  await sleep(100);
  t.is((await fs.readFile(join(second.path, 'cold'))).length, 2_000_000);
  process.kill(second.pid, 'SIGTERM');
  await gone(second.pid);
});
