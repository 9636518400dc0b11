// A real cluster, mounted by way of libfuse: what programs and people see of `gfs-mount --driver fuse-native`.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { gone, isMounted, run, skips, TestCluster } from '../../e2e/cluster.ts';
import { whyNoPython } from '../../e2e/lock-program.ts';
import { GFS_MOUNT, mountInBackground, sigtermWritesOut } from '../background-mount.ts';
import { mountDirectory, startServer } from '../mount-helper.ts';
import { POSIX_LIST, placesIn } from '../posix-list.ts';
import { skipsLibfuse } from './libfuse.ts';

/** What the package cannot do, as --help says. */
const IMPOSSIBLE: ReadonlySet<string> = new Set([
  'mode, owner and times are kept to the nanosecond, also before 1970',
  'names that are not UTF-8',
]);

let cluster: TestCluster | undefined;
let path = '';

test.before(async (t) => {
  const quiet = { log: (text: string) => t.log(text), pass: () => undefined };
  if (skips(quiet) || skipsLibfuse(quiet)) return;
  cluster = new TestCluster({ chunkSize: '1MiB' });
  await cluster.start();
  path = await cluster.mountAgain('defaults', 'fuse-native');
});
test.after.always(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

/** A test on the cluster; without /dev/fuse or libfuse it says so and passes. */
function mounted(title: string, body: (t: ExecutionContext, cluster: TestCluster) => Promise<void>): void {
  test.serial(title, async (t) => {
    if (cluster !== undefined) await body(t, cluster);
    else if (!skips(t)) skipsLibfuse(t);
  });
}

for (const [title, check] of Object.entries(POSIX_LIST)) {
  mounted(`${IMPOSSIBLE.has(title) ? 'impossible' : 'the mount'}: ${title}`, async (t) => {
    const work = check(placesIn(await fs.mkdtemp(join(path, 'posix-'))));
    if (IMPOSSIBLE.has(title)) await t.throwsAsync(work);
    else await t.notThrowsAsync(work);
  });
}

mounted('SIGTERM writes out what was written and not closed, and unmounts', (t, first) =>
  sigtermWritesOut(t, first, 'fuse-native'),
);

mounted('unmounted from outside, it ends by itself; killed, the next one replaces it', async (t, first) => {
  const second = await mountInBackground(
    t,
    first,
    'fuse-native',
    'ro,noexec,nodiratime,fsname=a,attr_timeout=0',
  );
  const line = (await fs.readFile('/proc/mounts', 'utf8'))
    .split('\n')
    .find((text) => text.includes(second.path));
  t.regex(line ?? '', /^a \S+ fuse\.gfs ro,nosuid,nodev,noexec,.*default_permissions/);
  await t.throwsAsync(fs.writeFile(join(second.path, 'x'), ''), { code: 'EROFS' });
  execFileSync('umount', [second.path]);
  await gone(second.pid);

  const third = await mountInBackground(t, first, 'fuse-native');
  process.kill(third.pid, 'SIGKILL');
  await gone(third.pid);
  // Who asks while the connection is just being aborted is told that.
  const dead = await t.throwsAsync<NodeJS.ErrnoException>(fs.stat(third.path));
  t.regex(dead.code ?? '', /^(ENOTCONN|ECONNABORTED)$/);
  const argv = ['-f', '--driver', 'fuse-native', first.file.master.address, third.path];
  const next = await startServer(t, [GFS_MOUNT, ...argv], 'serving');
  await fs.writeFile(join(third.path, 'replaced'), 'data');
  next.process.kill('SIGINT');
  t.deepEqual(await next.ended, { code: 0, signal: null });
  t.false(isMounted(third.path));
  t.is(await fs.readFile(join(first.mount, 'replaced'), 'utf8'), 'data');
});

mounted(
  'what another mount changes is seen: at once where the kernel remembers nothing',
  async (t, first) => {
    const second = await mountInBackground(t, first, 'fuse-native', 'attr_timeout=0,entry_timeout=0');
    const [here, there] = [join(first.mount, 'shared'), join(second.path, 'shared')];
    await fs.mkdir(here);
    await t.throwsAsync(fs.stat(join(there, 'f')), { code: 'ENOENT' });
    await fs.writeFile(join(here, 'f'), 'a'.repeat(100_000));
    t.is(await fs.readFile(join(there, 'f'), 'latin1'), 'a'.repeat(100_000));
    // An editor's save: the name means another file now.
    await fs.writeFile(join(here, 'new'), 'b');
    await fs.rename(join(here, 'new'), join(here, 'f'));
    t.is(await fs.readFile(join(there, 'f'), 'utf8'), 'b');
    // Directories that names lead through, too.
    await fs.rename(here, `${here}2`);
    await t.throwsAsync(fs.stat(join(there, 'f')), { code: 'ENOENT' });
    t.is(await fs.readFile(join(`${there}2`, 'f'), 'utf8'), 'b');
    // A file that is open here is gone for others as soon as it is removed.
    await using open = await fs.open(join(`${there}2`, 'f'), 'r');
    await fs.unlink(join(`${there}2`, 'f'));
    t.deepEqual(await fs.readdir(`${here}2`), []);
    t.is((await open.readFile()).toString(), 'b');
  },
);

mounted(
  'lines appended by way of both drivers are all there, to a file that was made for it',
  async (t, first) => {
    const there = await fs.open(join(path, 'log'), 'a');
    const here = await fs.open(join(first.mount, 'log'), 'a');
    const lines = Array.from({ length: 100 }, (_, index) => `line ${index}\n`);
    for (const [index, line] of lines.entries()) await (index % 2 ? here : there).write(line);
    await Promise.all([here.close(), there.close()]);
    t.is(await fs.readFile(join(first.mount, 'log'), 'utf8'), lines.join(''));
  },
);

/** Asks with little room first, as Python does: what does not fit is refused. */
const XATTRS_PYTHON = `
import os, sys
path, value = sys.argv[1], bytes(range(256)) * 250
os.setxattr(path, 'user.long', value, os.XATTR_CREATE)
assert os.getxattr(path, 'user.long') == value
for number in range(100): os.setxattr(path, 'user.' + str(number).zfill(20), b'')
assert len(os.listxattr(path)) == 101, os.listxattr(path)
assert os.getxattr(path, 'user.' + '7'.zfill(20)) == b''
for number in range(100): os.removexattr(path, 'user.' + str(number).zfill(20))
assert os.listxattr(path) == ['user.long']
os.removexattr(path, 'user.long')
`;

mounted('extended attributes are those of all mounts, whatever room there is for them', async (t, first) => {
  const [here, there] = [join(path, 'attributes'), join(first.mount, 'attributes')];
  await fs.writeFile(here, '');
  const shell = async (script: string) => {
    const { stdout, stderr } = await run('sh', ['-c', `cd ${path}; ${script}`]);
    return stdout + stderr;
  };
  if ((await run('sh', ['-c', 'command -v setfattr getfattr'])).code === 0) {
    const set = 'setfattr -n user.a -v one attributes; setfattr -n user.empty attributes';
    const shown = '# file: attributes\nuser.a="one"\nuser.empty\n\n';
    t.is(await shell(`${set}; getfattr -d attributes`), shown.replace('empty', 'empty=""'));
    t.regex(await shell('getfattr -n user.none attributes'), /No such attribute/);
    t.regex(await shell('setfattr -x user.none attributes'), /No such attribute/);
    const { stdout } = await run('getfattr', ['--only-values', '-n', 'user.a', there]);
    t.is(stdout, 'one');
    t.is(await shell('setfattr -x user.a attributes; setfattr -x user.empty attributes; getfattr -d .'), '');
  } else {
    t.log('without setfattr and getfattr (Debian: attr)');
  }
  const missing = whyNoPython();
  if (missing !== undefined) return t.log(missing);
  const { code, stderr } = await run('python3', ['-c', XATTRS_PYTHON, here]);
  t.is(code, 0, stderr);
});

mounted('a wrong call says in one line what is wrong', async (t, first) => {
  const place = mountDirectory(t);
  const call = (...argv: string[]) =>
    run(process.execPath, [GFS_MOUNT, '--driver', 'fuse-native', first.file.master.address, ...argv]);
  const others = await call(place, '-o', 'allow_other');
  t.is(others.code, 2);
  t.regex(others.stderr, /^gfs-mount: .*allow_other.*\n$/);
  const occupied = await call(path);
  t.is(occupied.code, 1);
  t.regex(occupied.stderr, /^gfs-mount: cannot mount at .*: something is mounted there.*\n$/);
  const nowhere = await call(join(place, 'nothing'));
  t.is(nowhere.code, 1);
  t.regex(nowhere.stderr, /^gfs-mount: cannot mount at .*ENOENT.*\n$/);
});
