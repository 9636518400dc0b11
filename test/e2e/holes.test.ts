// SEEK_DATA, SEEK_HOLE and st_blocks on real mounts, and the tools that live by them.
import { basename, join } from 'node:path';
import { withFileCalls } from './file-calls.ts';

const test = withFileCalls();

const PUNCH = 3;
const ZERO = 16;
const CHUNK = 256 * 1024;

test('lseek finds data and holes, ENXIO where there are none', async (t, { here, there, at }) => {
  const path = join(here, 'f');
  t.deepEqual(await at(path, 'rwc', 'data,0', 'hole,0', 'data,-1', 'hole,-1'), Array(4).fill('ENXIO'));
  const length = 5 * CHUNK;
  t.deepEqual(
    await at(
      ...([
        path,
        'rw',
        `truncate,${length}`,
        'data,0',
        'hole,0',
        `write,${3 * CHUNK + 9},100,a`,
        'data,0',
      ] as const),
      ...[
        `hole,${3 * CHUNK + 20}`,
        `data,${3 * CHUNK - 1}`,
        `data,${3 * CHUNK + 4096}`,
        `hole,${length - 1}`,
        `hole,${length}`,
        'hole,-1',
      ],
    ),
    [
      '0',
      'ENXIO',
      '0',
      '100',
      ...[3 * CHUNK, 3 * CHUNK + 4096, 3 * CHUNK].map(String),
      'ENXIO',
      String(length - 1),
      'ENXIO',
      'ENXIO',
    ],
  );
  const other = join(there, 'f');
  t.deepEqual(await at(other, 'rw', 'data,0', `write,${CHUNK},5,b`), [String(3 * CHUNK), '5']);
  t.deepEqual(await at(path, 'rw', 'data,0', `hole,${CHUNK}`), [String(CHUNK), String(CHUNK + 4096)]);
  t.deepEqual(await at(path, 'rw', `fallocate,${PUNCH},0,${2 * CHUNK}`, 'data,0'), ['0', String(3 * CHUNK)]);
  t.deepEqual(await at(other, 'r', 'data,0'), [String(3 * CHUNK)]);
});

test('what is in pages that a program has mapped and not synced is no hole', async (t, { here, at }) => {
  const path = join(here, 'f');
  const length = 4 * CHUNK;
  const calls = [`truncate,${length}`, `map,kept,${2 * CHUNK + 5},3,a`, 'data,0', `hole,${2 * CHUNK}`];
  const found = ['0', '0', String(2 * CHUNK), String(2 * CHUNK + 4096)];
  t.deepEqual(await at(path, 'rwc', ...calls, `peek,${2 * CHUNK + 4},5`), [...found, '1x. 3xa 1x.']);
});

test('blocks tell sparse files from others, and a file with data has some', async (t, {
  cluster,
  here,
  there,
  at,
}) => {
  const path = join(here, 'f');
  t.deepEqual(await at(path, 'rwc', 'truncate,10000000', 'blocks'), ['0', '0']);
  t.deepEqual(await at(path, 'rw', 'write,0,5000,a', 'blocks'), ['5000', '10']);
  t.deepEqual(await at(path, 'r', 'blocks'), ['10']);
  t.deepEqual(await at(join(there, 'f'), 'r', 'blocks'), ['10']);
  t.is(
    (await cluster.shell(`cd ${here} && head -c 3000000 /dev/urandom > g && du -k g`)).split('\t')[0],
    '2930',
  );
  const all = `write,0,${3 * CHUNK},a`;
  const punch = `fallocate,${PUNCH},${CHUNK},${CHUNK}`;
  const zero = `fallocate,${ZERO},${CHUNK - 1},${CHUNK + 2}`;
  const blocks = 3 * (CHUNK / 512);
  t.deepEqual(
    await at(
      join(here, 'i'),
      'rwc',
      `fallocate,0,0,${3 * CHUNK}`,
      'blocks',
      all,
      punch,
      'blocks',
      zero,
      'blocks',
    ),
    [0, blocks, 3 * CHUNK, 0, (2 * blocks) / 3, 0, blocks].map(String),
    'as on a disk: fallocate counts, a hole does not',
  );
  t.deepEqual(await at(join(there, 'i'), 'r', 'blocks'), [String(blocks)]);
  // While somebody else writes into a file without any data.
  t.deepEqual(await at(join(here, 'h'), 'rwc', 'truncate,50000'), ['0']);
  t.deepEqual(await at(join(here, 'h'), 'rw', 'write,40000,5,a', 'blocks'), ['5', '1']);
  t.is(await cluster.shell(`cd ${here} && exec 3<> ${there}/h && printf x >&3 && stat -c %b h`), '1\n');
});

test('a hole that is punched gives room on the servers back', async (t, { cluster, here, at }) => {
  const path = join(here, 'f');
  const usedKiB = async () => Number((await cluster.shell(`du -sk ${cluster.data} | cut -f1`)).trim());
  await cluster.shell(`head -c 24000000 /dev/urandom > ${path} && sync ${path}`);
  const before = await usedKiB();
  t.deepEqual(await at(path, 'rw', `fallocate,${PUNCH},1000,20000000`, 'blocks', 'sync'), ['0', '7813', '0']);
  // All chunks have three copies. A server does it when it has answered.
  const wanted = before - (3 * 19_000_000) / 1024;
  for (const endMs = Date.now() + 30_000; (await usedKiB()) > wanted && Date.now() < endMs; );
  const after = await usedKiB();
  t.true(after <= wanted, `${before} KiB before, ${after} KiB after`);
  t.deepEqual(await at(path, 'r', 'data,4096', 'read,2000,100'), ['20000768', '100x.']);
});

test('whole chunks that are punched out of a file go, also where they are shared; others see zeros at once', async (t, {
  cluster,
  here,
  there,
  at,
}) => {
  const startsOf = async (name: string) => {
    const { stdout } = await cluster.gfs('stat', `/${basename(here)}/${name}`, '--json');
    return (JSON.parse(stdout) as { extents: { start: number }[] }).extents.map(({ start }) => start / CHUNK);
  };
  const length = 4 * CHUNK;
  await at(join(here, 's'), 'rwc', `write,0,${length},a`, 'sync');
  await at(join(here, 't'), 'rwc', `copy,${here}/s,0,0,${length}`);
  for (const name of ['s', 't']) {
    const other = join(there, name);
    t.deepEqual(await at(other, 'r', `read,0,${length}`), [`${length}xa`]);
    const calls = [`peek,${CHUNK},1`, `peek,${3 * CHUNK - 1},2`];
    t.deepEqual(await at(other, 'r', ...calls), ['1xa', '2xa']);
    await at(join(here, name), 'rw', `fallocate,${PUNCH},${CHUNK},${2 * CHUNK}`);
    t.deepEqual(await at(other, 'r', ...calls), ['1x.', '1x. 1xa']);
    t.deepEqual(await at(other, 'r', `read,0,${length}`), [`${CHUNK}xa ${2 * CHUNK}x. ${CHUNK}xa`]);
    t.deepEqual(await startsOf(name), [0, 3]);
    t.deepEqual(await at(other, 'r', 'blocks', 'hole,0'), [length / 1024, CHUNK].map(String));
    t.deepEqual(await at(other, 'rw', `write,${2 * CHUNK - 3},6,b`, 'sync', 'blocks'), [
      ...['6', '0', String(length / 1024 + 1)],
    ]);
    t.deepEqual(await at(join(here, name), 'r', `read,${2 * CHUNK - 5},10`), ['2x. 6xb 2x.']);
    t.deepEqual(await startsOf(name), [0, 1, 2, 3]);
  }
});

test('cp and tar keep files sparse, and whole', async (t, { cluster, here, there }) => {
  await cluster.shell(`cd ${here}
    truncate -s 20M sparse && printf data | dd of=sparse bs=1 seek=9000000 conv=notrunc status=none
    head -c 70000 /dev/urandom | dd of=sparse bs=1M seek=15 conv=notrunc status=none
    head -c 3000000 /dev/urandom > full && truncate -s 5M empty && : > nothing
    echo appended >> log && echo more >> ${there}/log
    for mode in auto always never; do
      mkdir $mode && cp --sparse=$mode sparse full empty nothing log $mode
      for f in sparse full empty nothing log; do cmp $f $mode/$f; done
    done
    test $(du -k auto/sparse | cut -f1) -lt 300 && test $(du -k auto/empty | cut -f1) -lt 10
    test $(du -k never/sparse | cut -f1) -gt 20000
    tar -cSf ${cluster.directory}/t.tar sparse full empty nothing log
    test $(stat -c %s ${cluster.directory}/t.tar) -lt 4000000
    mkdir untarred && tar -C untarred -xSf ${cluster.directory}/t.tar
    for f in sparse full empty nothing log; do cmp $f untarred/$f && cmp ${there}/$f untarred/$f; done
    test $(du -k untarred/sparse | cut -f1) -lt 300`);
  t.pass();
});
