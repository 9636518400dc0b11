// Starting, stopping and being started wrongly: what a person sees, and what is left behind.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { GFS, gone, isMounted, kill, ROOT, run, skips, TestCluster } from './cluster.ts';

const MASTER = join(ROOT, 'dist/src/cli/gfs-master.js');
const CHUNKSERVER = join(ROOT, 'dist/src/cli/gfs-chunkserver.js');
const MOUNT = join(ROOT, 'dist/mount/gfs-mount.js');
const NOBODY_LISTENS = '127.0.0.1:1';

test('a mount without a master says so, exits with 1 and leaves nothing mounted', async (t) => {
  if (skips(t)) return;
  const directory = mkdtempSync(join(tmpdir(), 'gfs-e2e-'));
  try {
    for (const front of [[], ['-f']]) {
      const done = await run(process.execPath, [
        MOUNT,
        ...front,
        '--master',
        NOBODY_LISTENS,
        '-o',
        'io_timeout=2',
        directory,
      ]);
      t.is(done.code, 1, done.stderr);
      t.regex(done.stderr, /^gfs-mount: .*127\.0\.0\.1:1.*\n$/);
      t.false(isMounted(directory));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('an address where no gfs master answers is told apart', async (t) => {
  const stranger = createServer((socket) =>
    socket.on('error', () => undefined).end('220 mail.example ESMTP\r\n'),
  );
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  const address = stranger.address();
  const port = typeof address === 'object' ? address?.port : 0;
  try {
    const done = await run(process.execPath, [GFS, 'status', '--master', `127.0.0.1:${port}`]);
    t.is(done.code, 1);
    t.regex(done.stderr, new RegExp(`^gfs: .*127\\.0\\.0\\.1:${port}.*\\n$`));
  } finally {
    stranger.close();
  }
});

test('wrong flags of every program: one line that names the key, exit 2', async (t) => {
  const cases: [string[], RegExp][] = [
    [[MASTER, '--data', '/tmp/x', '--replication', '0'], /--replication/],
    [[MASTER], /--data is missing/],
    [[CHUNKSERVER, '--data', '/tmp/x'], /--master is missing/],
    [[CHUNKSERVER, '--data', '/tmp/x', '--master', 'nowhere'], /--master .*"nowhere" is not HOST:PORT/],
    [[MOUNT], /mountpoint/],
    [[MOUNT, '-o', 'sparkle', '/tmp/x'], /sparkle/],
    [[MOUNT, '--log-file', '/proc/none/log', '/tmp/x'], /--log-file.*\/proc\/none\/log/],
    [[GFS, 'up', '--chunkservers', '0'], /--chunkservers/],
    [[GFS, 'up', '--gateway', '0.0.0.0:7401'], /--gateway.*other machines/],
    [[GFS, 'gateway', '--listen', '0.0.0.0:7401'], /--identity is missing/],
    [[GFS, 'gateway', '--identity', 'root'], /--identity.*"root" is neither/],
    [[GFS, 'frobnicate'], /frobnicate/],
  ];
  for (const [argv, expected] of cases) {
    const done = await run(process.execPath, argv);
    t.is(done.code, 2, done.stderr);
    t.regex(done.stderr, expected);
    t.is(done.stderr.trim().split('\n').length, 1, done.stderr);
  }
});

test('--help of every program fits a terminal of 80 columns', async (t) => {
  for (const program of [
    [MASTER],
    [CHUNKSERVER],
    [MOUNT],
    [GFS],
    [GFS, 'up'],
    [GFS, 'top'],
    [GFS, 'gateway'],
  ]) {
    const help = await run(process.execPath, [...program, '--help']);
    t.is(help.code, 0);
    t.regex(help.stdout, /Usage:/);
    const tooLong = help.stdout.split('\n').filter((line) => line.length > 80);
    t.deepEqual(tooLong, []);
  }
});

test.serial(
  'gfs up killed alone: the next one stops what it left running, says which, and the data is there',
  async (t) => {
    if (skips(t)) return;
    t.timeout(120_000);
    await using cluster = new TestCluster();
    const before = await cluster.start();
    await cluster.shell('echo kept > file && sync file');
    cluster.up.kill('SIGKILL');
    await new Promise((resolve) => cluster.up.once('exit', resolve));
    t.true(isMounted(cluster.mount));

    await cluster.start();
    for (const { pid } of [before.master, ...before.chunkservers, before.gateway, before.mount]) {
      t.regex(cluster.stderr, new RegExp(`stopping gfs[- ][a-z]+ \\(pid ${pid}\\)`));
      await gone(pid);
    }
    t.is(await cluster.shell('cat file'), 'kept\n');
  },
);

test.serial(
  'a daemon that dies is reported, the rest goes on; a second gfs up on the data is refused',
  async (t) => {
    if (skips(t)) return;
    t.timeout(120_000);
    await using cluster = new TestCluster();
    const { master, chunkservers } = await cluster.start();
    await cluster.shell('echo one > file && sync file');

    const second = await run(process.execPath, [
      GFS,
      'up',
      '--data',
      cluster.data,
      '--mount',
      `${cluster.mount}2`,
    ]);
    t.is(second.code, 1);
    t.regex(second.stderr, /another "gfs up" runs on/);
    const twin = await run(process.execPath, [
      MASTER,
      '--data',
      join(cluster.data, 'master'),
      '--listen',
      '127.0.0.1:0',
    ]);
    t.is(twin.code, 1);
    t.regex(twin.stderr, /in use|already/i);

    const victim = chunkservers[1];
    kill(victim?.pid ?? 0);
    while (!cluster.stderr.includes('died')) await sleep(20);
    t.regex(cluster.stderr, new RegExp(`chunkserver 2 \\(pid ${victim?.pid}\\) died: SIGKILL`));
    t.is(await cluster.shell('cat file'), 'one\n');
    await cluster.shell('echo two > other && sync other && cat other');

    const stranger = mkdtempSync(join(tmpdir(), 'gfs-e2e-'));
    try {
      // A chunkserver of another file system: made known to a master of its own first.
      const own = spawn(
        process.execPath,
        [MASTER, '--data', join(stranger, 'm'), '--listen', '127.0.0.1:0'],
        {
          stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
        },
      );
      const { ready } = (await new Promise((resolve) => own.once('message', resolve))) as {
        ready: { address: string };
      };
      const argv = [CHUNKSERVER, '--data', join(stranger, 'c'), '--reserve', '1MiB', '--master'];
      const server = spawn(process.execPath, [...argv, ready.address], {
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      });
      await new Promise((resolve) => server.once('message', resolve));
      server.kill('SIGTERM');
      await new Promise((resolve) => server.once('exit', resolve));
      own.kill('SIGTERM');
      await new Promise((resolve) => own.once('exit', resolve));
      const refused = await run(process.execPath, [...argv, master.address]);
      t.is(refused.code, 1);
      t.regex(refused.stderr, /belongs to file system/);
    } finally {
      rmSync(stranger, { recursive: true, force: true });
    }
  },
);

test.serial('chunk size and replication stay as they were at the first start', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-e2e-'));
  try {
    const argv = [MASTER, '--data', directory, '--listen', '127.0.0.1:0'];
    const first = spawn(process.execPath, [...argv, '--chunk-size', '1MiB'], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    await new Promise((resolve) => first.once('message', resolve));
    first.kill('SIGTERM');
    await new Promise((resolve) => first.once('exit', resolve));
    const other = await run(process.execPath, [...argv, '--chunk-size', '2MiB']);
    t.is(other.code, 1);
    t.regex(other.stderr, /chunk.size.*1048576.*2097152|chunk.size.*2097152.*1048576/i);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test.serial('SIGTERM to npm itself ends everything', async (t) => {
  if (skips(t)) return;
  t.timeout(120_000);
  const directory = mkdtempSync(join(tmpdir(), 'gfs-e2e-'));
  const mount = join(directory, 'mnt');
  mkdirSync(mount);
  const npm = spawn(
    'npm',
    [
      ...['start', '--', '--data', join(directory, 'data'), '--mount', mount],
      ...['--listen', '127.0.0.1:0', '--gateway', '127.0.0.1:0'],
    ],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  try {
    let said = '';
    npm.stdout.on('data', (text: Buffer) => {
      said += text.toString();
    });
    while (!said.includes('gfs is up')) {
      t.is(npm.exitCode, null, said);
      await sleep(50);
    }
    const file = JSON.parse((await run('cat', [join(directory, 'data/cluster.json')])).stdout) as {
      master: { pid: number };
      mount: { pid: number };
    };
    npm.kill('SIGTERM');
    await gone(file.mount.pid);
    await gone(file.master.pid);
    while (existsSync(join(directory, 'data/cluster.json'))) await sleep(20);
    t.false(isMounted(mount));
  } finally {
    npm.kill('SIGKILL');
    if (isMounted(mount)) await run('umount', ['-l', mount]);
    rmSync(directory, { recursive: true, force: true });
  }
});
