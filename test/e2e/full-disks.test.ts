// Chunkservers on file systems of their own, a few megabytes each, that others fill up.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { messageOf } from '../../src/base/errors.ts';
import { skips, TestCluster } from './cluster.ts';

const SERVERS = 4;
const NUMBERS = Array.from({ length: SERVERS }, (_, index) => index + 1);

/** The file systems of a cluster that is not started yet. */
class SmallDisks implements Disposable {
  readonly #paths: string[];
  readonly #mounted: string[] = [];

  constructor(cluster: TestCluster) {
    this.#paths = NUMBERS.map((number) => join(cluster.data, `chunkserver-${number}`));
  }

  /** Whether this machine lets us; then the test passes, and its log says why it proves nothing. */
  skips(t: ExecutionContext): boolean {
    try {
      for (const path of this.#paths) {
        mkdirSync(path, { recursive: true });
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', path], { stdio: 'pipe' });
        this.#mounted.push(path);
      }
      return false;
    } catch (error) {
      t.log(`skipped: no tmpfs can be mounted here: ${messageOf(error)}`);
      t.pass();
      return true;
    }
  }

  /** To the last byte, by somebody else. */
  fill(number: number): void {
    const file = openSync(this.#ballast(number), 'a');
    try {
      for (const size of [65_536, 4096]) {
        const bytes = Buffer.alloc(size);
        for (let written = size; written === size; ) written = writeSync(file, bytes);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  empty(number: number): void {
    rmSync(this.#ballast(number));
  }

  [Symbol.dispose](): void {
    for (const path of this.#mounted) execFileSync('umount', ['-l', path]);
  }

  #ballast(number: number): string {
    return join(this.#paths[number - 1] ?? '', 'ballast');
  }
}

/** A test on a cluster with small disks and two files, `old` (with the same bytes as `../old`) and a `log` of one line. */
function onSmallDisks(
  run: (t: ExecutionContext, cluster: TestCluster, disks: SmallDisks) => Promise<void>,
): (t: ExecutionContext) => Promise<void> {
  return async (t) => {
    if (skips(t)) return;
    t.timeout(180_000);
    await using cluster = new TestCluster({ chunkSize: '1MiB', reserve: '1MiB', chunkservers: SERVERS });
    using disks = new SmallDisks(cluster);
    if (disks.skips(t)) return;
    await cluster.start();
    await cluster.shell(`
      head -c 2500000 /dev/urandom > ../old && cp ../old old && sync old
      echo first > log && sync log`);
    await run(t, cluster, disks);
  };
}

test.serial(
  'one of four chunkservers is full: writes and appends go on, and it starts again',
  onSmallDisks(async (t, cluster, disks) => {
    const number = await primaryOf(cluster, '/old');
    disks.fill(number);
    await cluster.shell(`
    head -c 1700000 /dev/urandom > ../new && cp ../new new && sync new && cmp ../new new
    head -c 900000 /dev/urandom > ../part
    for file in ../old old; do dd if=../part of=$file bs=100000 seek=5 conv=notrunc,fsync status=none; done
    cmp ../old old
    for i in $(seq 50); do echo $i >> log; done
    test $(wc -l < log) = 51`);
    // It has not a byte to start with.
    t.is(await cluster.stop(), 0, cluster.stderr);
    await cluster.start();
    await cluster.shell('cmp ../old old && cmp ../new new && test $(wc -l < log) = 51 && echo more >> log');
    disks.empty(number);
    await cluster.shell('cp ../new newer && sync newer && cmp ../new newer && echo more >> log');
    t.is(await cluster.stop(), 0, cluster.stderr);
  }),
);

/** The number of the server that orders the mutations of a file's first chunk. */
async function primaryOf(cluster: TestCluster, path: string): Promise<number> {
  const { stdout } = await cluster.gfs('stat', path, '--json');
  const { extents } = JSON.parse(stdout) as { extents: { primary: number }[] };
  const index = cluster.file.chunkservers.findIndex(({ id }) => id === extents[0]?.primary);
  return index + 1;
}

test.serial(
  'all are full: a program learns it, and there is room again when there is',
  onSmallDisks(async (t, cluster, disks) => {
    for (const number of NUMBERS) disks.fill(number);
    const told = await cluster.shell(`
    dd if=/dev/zero of=new bs=1M count=3 conv=fsync 2>&1 || echo new failed
    dd if=/dev/zero of=old bs=100000 count=3 conv=notrunc,fsync 2>&1 || echo old failed`);
    t.regex(told, /No space left on device[\s\S]*new failed[\s\S]*No space left on device[\s\S]*old failed/);
    // What the new file had of room was given back with it. A short line may fit where a page of a replica's log ends.
    for (const number of NUMBERS) disks.fill(number);
    t.regex(await cluster.shell('(printf %20000d 0 >> log) 2>&1 || echo log failed'), /log failed/);
    for (const number of NUMBERS) disks.empty(number);
    await cluster.shell(`
    for i in $(seq 100); do echo second 2>/dev/null >> log && break; sleep 0.1; done
    test "$(cat log)" = $'first\\nsecond'
    head -c 900000 /dev/urandom > ../part
    for file in ../old old; do dd if=../part of=$file bs=100000 seek=5 conv=notrunc,fsync status=none; done
    for i in $(seq 100); do cp ../old new 2>/dev/null && sync new && break; sleep 0.1; done
    cmp ../old new`);
    t.is(await cluster.stop(), 0, cluster.stderr);
    await cluster.start();
    await cluster.shell('cmp ../old new');
    // What could not be overwritten, is as it was.
    await cluster.shell('cmp ../old old');
    t.is(await cluster.stop(), 0, cluster.stderr);
  }),
);
