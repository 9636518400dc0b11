// fallocate(2) by real programs on real mounts.
import { join } from 'node:path';
import { withFileCalls } from './file-calls.ts';

const test = withFileCalls();

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const COLLAPSE_RANGE = 8;
const ZERO_RANGE = 16;
const INSERT_RANGE = 32;
const CHUNK = 256 * 1024;

test('fallocate makes files longer, punches holes and writes zeros, seen by two mounts', async (t, calls) => {
  const here = join(calls.here, 'f');
  const there = join(calls.there, 'f');
  const fallocate = (mode: number, offset: number, length: number) => `fallocate,${mode},${offset},${length}`;
  t.deepEqual(
    await calls.at(
      ...([here, 'rwc', 'write,0,10,a', fallocate(0, 5, 100), 'size', 'read,0,200'] as const),
      ...[fallocate(KEEP_SIZE, 0, 5000), fallocate(PUNCH_HOLE | KEEP_SIZE, 2, 3), 'size', 'read,0,200'],
      ...[fallocate(ZERO_RANGE, 8, 1000), 'size', fallocate(ZERO_RANGE | KEEP_SIZE, 1, 2000), 'read,0,2000'],
    ),
    ['10', '0', '105', '10xa 95x.', '0', '0', '105', '2xa 3x. 5xa 95x.', '0', '1008', '0', '1xa 1007x.'],
  );
  t.deepEqual(await calls.at(there, 'r', 'size', 'read,0,2000'), ['1008', '1xa 1007x.']);
  // Over the borders of chunks, over pages that both kernels have, and with a write of the other one on its way.
  const long = 3 * CHUNK;
  t.deepEqual(await calls.at(here, 'rw', `write,0,${long},b`), [String(long)]);
  t.deepEqual(await calls.at(there, 'rw', `read,0,${long}`, `write,${long - 1},1,c`), [`${long}xb`, '1']);
  t.deepEqual(
    await calls.at(
      here,
      'rw',
      `read,0,${long}`,
      fallocate(PUNCH_HOLE | KEEP_SIZE, 100, long),
      `read,0,${long}`,
    ),
    [`${long - 1}xb 1xc`, '0', `100xb ${long - 100}x.`],
  );
  t.deepEqual(await calls.at(there, 'r', `read,0,${long}`), [`100xb ${long - 100}x.`]);
  // Both have it open.
  t.deepEqual(await calls.at(there, 'rw', fallocate(0, 2 ** 40, 5), 'size'), ['0', String(2 ** 40 + 5)]);
  t.deepEqual(await calls.at(here, 'r', 'size', `read,${2 ** 40},10`), [String(2 ** 40 + 5), '5x.']);
});

test('fallocate refuses what Linux refuses', async (t, calls) => {
  const path = join(calls.here, 'f');
  const check = async (flags: string, call: string, expected: string) =>
    t.deepEqual(await calls.at(path, flags, call), [expected], `${flags} ${call}`);
  await check('rwc', 'write,0,5000,a', '5000');
  for (const mode of [
    COLLAPSE_RANGE,
    INSERT_RANGE,
    PUNCH_HOLE,
    PUNCH_HOLE | ZERO_RANGE | KEEP_SIZE,
    4,
    128,
  ]) {
    await check('rw', `fallocate,${mode},0,4096`, 'EOPNOTSUPP');
  }
  await check('rw', 'fallocate,0,0,0', 'EINVAL');
  await check('rw', 'fallocate,0,-1,5', 'EINVAL');
  await check('rw', 'fallocate,0,5,-1', 'EINVAL');
  await check('rw', `fallocate,0,${2n ** 63n - 1n},5`, 'EFBIG');
  await check('rw', `fallocate,0,${2n ** 62n},5`, 'EFBIG');
  await check('rw', `fallocate,3,${2n ** 62n},5`, 'EFBIG');
  await check('r', 'fallocate,0,0,5', 'EBADF');
  await calls.cluster.shell(`cd ${calls.here} && mkfifo fifo && mkdir directory`);
  t.deepEqual(await calls.at(join(calls.here, 'fifo'), 'rw', 'fallocate,0,0,5'), ['ESPIPE']);
  t.deepEqual(await calls.at(join(calls.here, 'directory'), 'r', 'fallocate,0,0,5'), ['EBADF']);
  t.deepEqual(await calls.at(path, 'r', 'size', 'read,0,9999'), ['5000', '5000xa']);
});

test('fallocate changes the times and takes set-id bits away, as a write does', async (t, calls) => {
  const { cluster, here, program } = calls;
  await cluster.shell(`cd ${here} && head -c 300000 /dev/zero > f && chown 65534 f`);
  const kinds = [0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE];
  for (const [mode, uid] of kinds.flatMap((kind) => [65534, 65533].map((who) => [kind, who] as const))) {
    await cluster.shell(`cd ${here} && chmod 6777 f && touch -d '2001-02-03 04:05:06' f`);
    const times =
      await cluster.shell(`cd ${here} && setpriv --reuid ${uid} --clear-groups ${program} f rw times \\
      fallocate,${mode},10,20 && stat -c %a f && test "$(stat -c %Y f)" -gt 1000000000 && stat -c %Y:%Z f`);
    const [before, done, bits, after] = times.trim().split('\n');
    t.regex(before ?? '', /^98/);
    t.deepEqual([done, bits], ['0', '777'], `mode ${mode} by ${uid}`);
    t.regex(after ?? '', /^1[0-9]{9}:1[0-9]{9}$/);
  }
});

test('the tool fallocate(1), and a record behind what it allocated', async (t, calls) => {
  const { cluster, here, there } = calls;
  await cluster.shell(`cd ${here}
    fallocate -l 1000 f && test $(stat -c %s f) = 1000
    echo here >> f && echo there >> ${there}/f && fallocate -o 900 -l 600 f
    echo behind >> ${there}/f && fallocate -l 2000 ${there}/f && echo again >> f && echo and >> ${there}/f
    test "$(tr -d '\\0' < f | tr '\\n' ' ')" = "here there behind again and "
    test $(stat -c %s f) = 2010 && cmp f ${there}/f
    head -c 600000 /dev/urandom > g && cp g ${cluster.directory}/g
    for file in g ${cluster.directory}/g; do fallocate -p -o 100000 -l 300001 $file; fallocate -z -o 500000 -l 200000 $file; done
    cmp g ${cluster.directory}/g && cmp ${there}/g g
    fallocate -d g && cmp g ${cluster.directory}/g`);
  t.pass();
});
