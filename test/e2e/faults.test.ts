// Damage below a running cluster: readers get right bytes or an error, never wrong ones, and people are told.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { gone, isMounted, kill, skips, TestCluster } from './cluster.ts';

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** The files of one server that hold chunks' bytes. */
function replicaFiles(data: string): string[] {
  return filesBelow(data).filter((path) => /[0-9a-f]{16}\.(data|log)$/.test(path));
}

function dropPageCache(): void {
  execFileSync('sh', ['-c', 'sync; echo 3 > /proc/sys/vm/drop_caches']);
}

/** Flips one bit in every 64 KiB of the file's second half: that is where bytes of the chunk are in either format. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  const file = openSync(path, 'r+');
  for (let at = Math.floor(bytes.length / 2); at < bytes.length; at += 65_536) {
    writeSync(file, Buffer.of((bytes[at] ?? 0) ^ 1), 0, 1, at);
  }
  closeSync(file);
}

test.serial(
  'a corrupt replica is passed over: the read is right, and the corruption is counted',
  async (t) => {
    if (skips(t)) return;
    t.timeout(120_000);
    await using cluster = new TestCluster({ chunkSize: '1MiB' });
    const { chunkservers } = await cluster.start();
    const content = randomBytes(6 * 1024 * 1024);
    await cluster.shell(`cat > file < ${save(cluster, content)} && sync file`);
    t.is(await cluster.stop(), 0);
    // Every copy on the first two servers is bad; only the third's is left.
    for (const { data } of chunkservers.slice(0, 2)) {
      const files = replicaFiles(data);
      t.true(files.length >= 6, `${files.length} replica files`);
      for (const path of files.filter((file) => statSync(file).size > 100_000)) damage(path);
    }
    await cluster.start();
    t.is(sha(readFileSync(join(cluster.mount, 'file'))), sha(content));
    const servers = JSON.parse((await cluster.gfs('servers', '--json')).stdout) as {
      corruptBlockCount: number;
    }[];
    const status = JSON.parse((await cluster.gfs('status', '--json')).stdout) as {
      badReplicaReportCount: number;
    };
    t.true(
      servers.reduce((sum, { corruptBlockCount }) => sum + corruptBlockCount, 0) +
        status.badReplicaReportCount >
        0,
      'nobody counted the corruption',
    );
  },
);

test.serial('a chunk whose files are gone from one server is read from the others', async (t) => {
  if (skips(t)) return;
  t.timeout(120_000);
  await using cluster = new TestCluster({ chunkSize: '1MiB' });
  const { chunkservers } = await cluster.start();
  const content = randomBytes(3 * 1024 * 1024);
  await cluster.shell(`cat > file < ${save(cluster, content)} && sync file`);
  t.is(await cluster.stop(), 0);
  for (const path of replicaFiles(chunkservers[0]?.data ?? '')) rmSync(path);
  await cluster.start();
  t.is(sha(readFileSync(join(cluster.mount, 'file'))), sha(content));
});

test.serial(
  'a chunkserver killed and started again has its copies again, and files go on being written',
  async (t) => {
    if (skips(t)) return;
    t.timeout(120_000);
    await using cluster = new TestCluster({ chunkSize: '1MiB' });
    const { chunkservers } = await cluster.start();
    await cluster.shell('head -c 3000000 /dev/urandom > file && sync file && cp file before');
    kill(chunkservers[2]?.pid ?? 0);
    await gone(chunkservers[2]?.pid ?? 0);
    await cluster.shell('cmp file before');
    t.is(await cluster.stop(), 0);
    await cluster.start();
    await cluster.shell('cmp file before && echo more >> file && tail -c 5 file | grep -q more');
  },
);

/** A test on a cluster whose servers and master share one small file system. */
function onOneDisk(
  size: string,
  run: (t: ExecutionContext, cluster: TestCluster) => Promise<void>,
): (t: ExecutionContext) => Promise<void> {
  return async (t) => {
    if (skips(t)) return;
    t.timeout(180_000);
    await using cluster = new TestCluster({ chunkSize: '1MiB', reserve: '4MiB' });
    mkdirSync(cluster.data, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', cluster.data]);
    try {
      await cluster.start();
      await run(t, cluster);
    } finally {
      if (cluster.running) await cluster.killAll();
      if (isMounted(cluster.mount)) execFileSync('umount', ['-l', cluster.mount]);
      execFileSync('umount', ['-l', cluster.data]);
    }
  };
}

/** Space has come back: it can be written again, ended and started, and a file has its content. */
async function isAsBefore(t: ExecutionContext, cluster: TestCluster, kept: string): Promise<void> {
  await cluster.shell(
    'for i in $(seq 100); do head -c 5000000 /dev/zero > again 2>/dev/null && sync again 2>/dev/null && exit; sleep 0.1; done; exit 1',
  );
  t.is(await cluster.stop(), 0, cluster.stderr);
  await cluster.start();
  t.is(sha(readFileSync(join(cluster.mount, 'kept'))), kept);
  t.is(await cluster.stop(), 0, cluster.stderr);
}

test.serial(
  'full disks are ENOSPC to the writer, and nothing acknowledged is lost',
  onOneDisk('96m', async (t, cluster) => {
    await cluster.shell('echo safe > safe && head -c 2000000 /dev/urandom > kept && sync safe kept');
    const kept = sha(readFileSync(join(cluster.mount, 'kept')));
    const full = await cluster.shell('dd if=/dev/zero of=big bs=1M count=64 conv=fsync 2>&1 || echo failed');
    t.regex(full, /No space left on device[\s\S]*failed/, cluster.stderr);
    t.is(await cluster.shell('cat safe'), 'safe\n');
    t.is(sha(readFileSync(join(cluster.mount, 'kept'))), kept);
    await cluster.shell('rm big');
    await isAsBefore(t, cluster, kept);
  }),
);

test.serial(
  'a disk without a byte left stops nobody: what is there is read, and room is used again',
  onOneDisk('64m', async (t, cluster) => {
    await cluster.shell('head -c 2000000 /dev/urandom > kept && sync kept && cp kept more');
    const kept = sha(readFileSync(join(cluster.mount, 'kept')));
    // Somebody else takes it all, the reserve too.
    const filler = join(cluster.data, 'filler');
    t.throws(() => execFileSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k'], { stdio: 'ignore' }));
    const full = await cluster.shell('dd if=/dev/zero of=big bs=1M count=8 conv=fsync 2>&1 || echo failed');
    t.regex(full, /No space left on device[\s\S]*failed/, cluster.stderr);
    // Names are made until the master has no room for another either.
    const names = await cluster.shell(
      'for i in $(seq 2000); do ln -s "$(printf %04000d $i)" name-$i 2>&1 || { echo failed; break; }; done',
    );
    t.regex(names, /No space left on device[\s\S]*failed/, cluster.stderr);
    t.is(sha(readFileSync(join(cluster.mount, 'kept'))), kept);
    await cluster.shell('rm more');
    t.is(cluster.stderr, '', 'nobody died');
    rmSync(filler);
    await isAsBefore(t, cluster, kept);
  }),
);

/** The content as a file beside the mount, for shell commands. */
function save(cluster: TestCluster, content: Uint8Array): string {
  const path = join(cluster.directory, `content-${sha(content).slice(0, 8)}`);
  const file = openSync(path, 'w');
  writeSync(file, content);
  closeSync(file);
  return path;
}

test.serial('pages that are read cold after damage never carry wrong bytes', async (t) => {
  if (skips(t)) return;
  t.timeout(120_000);
  await using cluster = new TestCluster({ chunkSize: '1MiB' });
  const { chunkservers } = await cluster.start();
  const content = randomBytes(2 * 1024 * 1024);
  await cluster.shell(`cat > file < ${save(cluster, content)} && sync file`);
  t.is(await cluster.stop(), 0);
  for (const { data } of chunkservers) {
    for (const path of replicaFiles(data).filter((file) => statSync(file).size > 100_000)) damage(path);
  }
  await cluster.start();
  dropPageCache();
  const file = openSync(join(cluster.mount, 'file'), 'r');
  closeSync(file);
  const result = await cluster.shell('cat file > /dev/null 2>&1 || echo EIO');
  t.is(result, 'EIO\n');
});
