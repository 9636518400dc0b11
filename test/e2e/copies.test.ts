// copy_file_range(2) by real programs on real mounts.
import { stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { withFileCalls } from './file-calls.ts';

const test = withFileCalls();

const PUNCH = 3;
const CHUNK = 256 * 1024;

test('ranges are copied by the servers, seen by two mounts', async (t, calls) => {
  const { here, there, at } = calls;
  const [source, target] = [join(here, 's'), join(here, 't')];
  const long = 3 * CHUNK;
  t.deepEqual(await at(source, 'rwc', `write,0,${long},a`, 'write,100,10,b'), [String(long), '10']);
  t.deepEqual(await at(target, 'rwc', `copy,${source},0,0,${long}`, 'size', `read,0,${long}`), [
    ...[String(long), String(long), `100xa 10xb ${long - 110}xa`],
  ]);
  t.deepEqual(await at(join(there, 't'), 'r', 'size', `read,0,${long}`), [
    ...[String(long), `100xa 10xb ${long - 110}xa`],
  ]);
  // Into the middle, over pages that both kernels have, from an odd place, and past the source's end.
  t.deepEqual(await at(join(there, 't'), 'rw', `write,0,${long},c`, `read,0,${long}`), [
    ...[String(long), `${long}xc`],
  ]);
  t.deepEqual(
    await at(target, 'rw', `read,0,${long}`, `copy,${source},95,${CHUNK - 3},20`, `read,${CHUNK - 5},30`),
    [`${long}xc`, '20', '2xc 5xa 10xb 5xa 8xc'],
  );
  t.deepEqual(await at(join(there, 't'), 'r', `read,${CHUNK - 5},30`), ['2xc 5xa 10xb 5xa 8xc']);
  t.deepEqual(
    await at(
      target,
      'rw',
      `copy,${source},${long - 5},${long - 2},100`,
      'size',
      `copy,${source},${long},0,100`,
    ),
    ['5', String(long + 3), '0'],
  );
  // Within one file, and from what another mount has just written.
  t.deepEqual(await at(target, 'rw', 'write,0,10,d', 'copy,-,0,1000,500', 'read,995,20'), [
    ...['10', '500', '5xc 10xd 5xc'],
  ]);
  t.deepEqual(await at(join(there, 's'), 'rw', 'write,0,7,e'), ['7']);
  t.deepEqual(await at(target, 'rw', `copy,${source},0,0,9`, 'read,0,12'), ['9', '7xe 2xa 1xd 2xc']);
});

test('who copies from a file has read it: its time of access moves, unless there was nothing to copy', async (t, {
  here,
  there,
  at,
}) => {
  const source = join(here, 's');
  const longAgo = new Date(1_000_000_000_000);
  await at(source, 'rwc', 'write,0,100,a');
  await utimes(source, longAgo, longAgo);
  const copyFrom = (offset: number) => at(join(here, 't'), 'rwc', `copy,${source},${offset},0,10`);
  t.deepEqual(await copyFrom(100), ['0']);
  t.is((await stat(source)).atimeMs, longAgo.getTime());
  const before = Date.now();
  t.deepEqual(await copyFrom(0), ['10']);
  for (const mount of [here, there]) {
    while ((await stat(join(mount, 's'))).atimeMs < before) await setTimeout(20);
  }
  const { mtimeMs } = await stat(source);
  t.is(mtimeMs, longAgo.getTime());
});

test('holes are copied as holes, at the end too', async (t, { here, there, at }) => {
  const [source, target] = [join(here, 's'), join(here, 't')];
  const long = 4 * CHUNK;
  await at(
    source,
    'rwc',
    `write,${CHUNK},${CHUNK},a`,
    `fallocate,${PUNCH},${CHUNK + 8192},8192`,
    `truncate,${long}`,
  );
  await at(target, 'rwc', `write,0,${CHUNK + 150},b`);
  const [count, size, ...data] = await at(
    ...([target, 'rw', `copy,${source},0,0,${long}`, 'size', 'data,0', `hole,${CHUNK}`] as const),
    `data,${2 * CHUNK}`,
  );
  t.deepEqual([count, size], [String(long), String(long)]);
  t.deepEqual(data, [String(CHUNK), String(CHUNK + 8192), 'ENXIO']);
  const content = `${CHUNK}x. 8192xa 8192x. ${CHUNK - 16384}xa ${2 * CHUNK}x.`;
  t.deepEqual(await at(target, 'r', `read,0,${long}`), [content]);
  t.deepEqual(await at(join(there, 't'), 'r', 'size', `read,0,${long}`), [String(long), content]);
});

test('what Linux refuses is refused', async (t, { cluster, here, at }) => {
  const [source, target] = [join(here, 's'), join(here, 't')];
  await at(source, 'rwc', 'write,0,5000,a');
  const check = async (flags: string, call: string, expected: string) =>
    t.deepEqual(await at(target, flags, call), [expected], `${flags} ${call}`);
  await check('rwc', 'write,0,5000,b', '5000');
  await check('r', `copy,${source},0,0,5`, 'EBADF');
  await check('rwa', `copy,${source},0,0,5`, 'EBADF');
  await check('w', 'copy,-,0,1000,5', 'EBADF');
  await check('rw', 'copy,-,0,4,5', 'EINVAL');
  await check('rw', `copy,${source},0,-1,5`, 'EOVERFLOW');
  await check('rw', `copy,${source},0,${2n ** 63n - 2n},5`, 'EFBIG');
  await check('rw', `copy,${here},0,0,5`, 'EISDIR');
  await check('rw', `copy,${cluster.directory}/calls-source,0,0,5`, 'ENOENT');
  t.deepEqual(await at(target, 'r', 'size', 'read,0,9999'), ['5000', '5000xb']);
});

test('a copy changes the times and takes set-id bits away, as a write does', async (t, calls) => {
  const { cluster, here, program } = calls;
  const lines = await cluster.shell(`cd ${here} && head -c 300000 /dev/zero > s && cp s t && chown 65534 t
    chmod 644 s && chmod 6777 t && touch -d '2001-02-03 04:05:06' t
    setpriv --reuid 65534 --clear-groups ${program} t rw times copy,s,0,10,20
    stat -c %a t && stat -c %Y:%Z t`);
  const [before, done, bits, after] = lines.trim().split('\n');
  t.regex(before ?? '', /^98/);
  t.deepEqual([done, bits], ['20', '777']);
  t.regex(after ?? '', /^1[0-9]{9}:1[0-9]{9}$/);
});

test('cp copies by it, whole files and sparse ones', async (t, calls) => {
  const { cluster, here, there } = calls;
  await cluster.shell(`cd ${here}
    head -c 3000001 /dev/urandom > full && truncate -s 5M empty && : > nothing
    truncate -s 20M sparse && printf data | dd of=sparse bs=1 seek=9000000 conv=notrunc status=none
    head -c 100000 /dev/urandom >> log && head -c 100000 /dev/urandom >> ${there}/log
    mkdir plain auto && cp full empty nothing sparse log plain
    cp --reflink=auto --preserve=all full empty nothing sparse log auto
    for f in full empty nothing sparse log; do cmp $f plain/$f; cmp $f ${there}/auto/$f; done
    test $(du -k plain/sparse | cut -f1) -lt 300
    printf more > full && cp full plain && cmp full ${there}/plain/full`);
  t.pass();
});
