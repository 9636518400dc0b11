// Copies that share chunks until one of the files is written to (copy on write), by real programs on real mounts.
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import test from 'ava';
import { run, skips, type TestCluster } from './cluster.ts';
import { DaemonCluster } from './daemon-cluster.ts';
import { withFileCalls } from './file-calls.ts';

const withCalls = withFileCalls();

const PUNCH = 3;
const CHUNK = 256 * 1024;
/** Two chunks and a part of a third that is worth it. */
const LONG = 3 * CHUNK;

withCalls(
  'a copy has the chunks of its source, and each is cloned when it is written to',
  async (t, calls) => {
    const { cluster, here, there, at } = calls;
    await at(join(here, 's'), 'rwc', `write,0,${LONG},a`);
    t.deepEqual(await at(join(here, 't'), 'rwc', `copy,${here}/s,0,0,${LONG}`, 'size', `read,0,${LONG}`), [
      ...[String(LONG), String(LONG), `${LONG}xa`],
    ]);
    const handles = await handlesOf(cluster, here, 's');
    t.is(handles.length, 3);
    t.deepEqual(await handlesOf(cluster, here, 't'), handles);

    // To the copy, on the other mount: the source's reader has all places in its cache.
    t.deepEqual(await at(join(here, 's'), 'r', `read,0,${LONG}`), [`${LONG}xa`]);
    await at(join(there, 't'), 'rw', `write,${CHUNK + 5},10,b`);
    t.deepEqual(await at(join(here, 't'), 'r', `read,${CHUNK},20`), ['5xa 10xb 5xa']);
    t.deepEqual(await at(join(there, 's'), 'r', `read,0,${LONG}`), [`${LONG}xa`]);
    const after = await handlesOf(cluster, here, 't');
    t.deepEqual([after[0], after[2]], [handles[0], handles[2]]);
    t.not(after[1], handles[1]);

    // To the source, while the copy is open elsewhere and was read there.
    t.deepEqual(await at(join(there, 't'), 'r', `read,0,10`), ['10xa']);
    await at(join(here, 's'), 'rw', 'write,0,3,c', 'sync');
    t.deepEqual(await at(join(there, 's'), 'r', 'read,0,5'), ['3xc 2xa']);
    t.deepEqual(await at(join(there, 't'), 'r', 'read,0,5'), ['5xa']);
    // What only one file has left is written to as it is.
    const [last] = (await handlesOf(cluster, here, 's')).slice(-1);
    await at(join(here, 't'), 'rw', 'truncate,0');
    await at(join(here, 's'), 'rw', `write,${LONG - 2},2,d`);
    t.deepEqual((await handlesOf(cluster, here, 's')).slice(-1), [last]);
    t.deepEqual(await at(join(there, 's'), 'r', `read,${LONG - 4},9`), ['2xa 2xd']);
  },
);

withCalls(
  'cut, lengthened, punched and appended to, each file is its own',
  async (t, { cluster, here, there, at }) => {
    const content = `${LONG}xa`;
    const copies = ['cut', 'longer', 'punched', 'appended', 'kept'];
    await at(join(here, 's'), 'rwc', `write,0,${LONG},a`);
    for (const name of copies) await at(join(here, name), 'wc', `copy,${here}/s,0,0,${LONG}`);
    const handles = await handlesOf(cluster, here, 's');
    for (const name of copies) t.deepEqual(await handlesOf(cluster, here, name), handles, name);
    await at(join(there, 'cut'), 'rw', `truncate,${2 * CHUNK - 7}`, `truncate,${2 * CHUNK + 1}`);
    await at(join(there, 'longer'), 'rw', `truncate,${LONG + 9}`, `write,${LONG + 5},1,l`);
    await at(join(there, 'punched'), 'rw', `fallocate,${PUNCH},4096,8192`);
    await at(join(there, 'appended'), 'wa', 'append,4,p', 'append,2,q');
    await cluster.shell(`rm ${here}/s`);
    const check = async (name: string, length: number, expected: string) =>
      t.deepEqual(
        await at(join(here, name), 'r', `read,0,${LONG + 99}`, 'size'),
        [expected, String(length)],
        name,
      );
    await check('cut', 2 * CHUNK + 1, `${2 * CHUNK - 7}xa 8x.`);
    await check('longer', LONG + 9, `${LONG}xa 5x. 1xl 3x.`);
    await check('punched', LONG, `4096xa 8192x. ${LONG - 12288}xa`);
    await check('appended', LONG + 6, `${LONG}xa 4xp 2xq`);
    await check('kept', LONG, content);
  },
);

withCalls('files that were appended to, and last chunks that are not full, are shared', async (t, calls) => {
  const { cluster, here, there, at } = calls;
  const records = Array.from({ length: 6 }, (_, index) => `append,50001,${'abcdef'[index]}`);
  const appended = 6 * 50_001;
  const content = [...'abcdef'].map((letter) => `50001x${letter}`).join(' ');
  await at(join(here, 'log'), 'wac', ...records);
  await cluster.shell(`cd ${here} && cp log copy`);
  t.deepEqual(await at(join(there, 'copy'), 'r', 'size', `read,0,${LONG}`), [String(appended), content]);
  const [logs, copies] = [await handlesOf(cluster, here, 'log'), await handlesOf(cluster, here, 'copy')];
  t.is(logs[0], copies[0], 'sealed at less than the size of a chunk');
  await Promise.all([at(join(here, 'log'), 'wa', 'append,3,x'), at(join(there, 'copy'), 'wa', 'append,2,y')]);
  t.deepEqual(await at(join(there, 'log'), 'r', `read,0,${LONG}`), [`${content} 3xx`]);
  t.deepEqual(await at(join(here, 'copy'), 'r', `read,0,${LONG}`), [`${content} 2xy`]);
});

withCalls('extents that lie elsewhere, or in part, are copied', async (t, { cluster, here, there, at }) => {
  await at(join(here, 's'), 'rwc', `write,0,${LONG},a`);
  const [, second, third] = await handlesOf(cluster, here, 's');
  // From an odd place: the second and third chunk lie in it whole.
  await at(join(here, 'same'), 'rwc', `write,0,${LONG + 9},b`, `copy,${here}/s,100,100,${LONG - 100}`);
  t.deepEqual(await at(join(there, 'same'), 'r', `read,0,${LONG + 99}`), [`100xb ${LONG - 100}xa 9xb`]);
  t.deepEqual((await handlesOf(cluster, here, 'same')).slice(1, 3), [second, third]);
  // To another place of the grid, between what is there.
  await at(join(here, 'up'), 'rwc', `write,0,${LONG},b`, `copy,${here}/s,${CHUNK},0,${CHUNK}`);
  t.deepEqual(await at(join(there, 'up'), 'r', `read,0,${LONG}`), [`${CHUNK}xa ${2 * CHUNK}xb`]);
  t.is((await handlesOf(cluster, here, 'up'))[0], second);
  // Off the grid.
  await at(join(here, 'off'), 'rwc', `copy,${here}/s,0,1,${LONG}`);
  t.deepEqual(await at(join(there, 'off'), 'r', `read,0,${LONG + 9}`), [`1x. ${LONG}xa`]);
  // Within one file, and then over it again.
  await at(join(here, 's'), 'rw', `write,0,${CHUNK},c`, `copy,-,0,${LONG},${CHUNK}`, `write,${LONG},1,d`);
  t.deepEqual(await at(join(there, 's'), 'r', `read,0,${2 * LONG}`), [
    `${CHUNK}xc ${2 * CHUNK}xa 1xd ${CHUNK - 1}xc`,
  ]);
  await at(join(here, 'up'), 'rw', `copy,${here}/s,0,0,${LONG}`, `copy,${here}/s,0,0,${LONG}`);
  t.deepEqual(await at(join(there, 'up'), 'r', `read,0,${LONG}`), [`${CHUNK}xc ${2 * CHUNK}xa`]);
});

withCalls(
  'who writes to the target meanwhile writes to what became of it',
  async (t, { here, there, at }) => {
    await at(join(here, 's'), 'rwc', `write,0,${LONG},a`);
    await at(join(here, 't'), 'rwc', `write,0,${LONG},b`);
    // The other mount's writer knows the chunks that go.
    const held = at(join(there, 't'), 'rw', 'write,7,1,x', 'sync', 'write,9,1,y', 'sync', `read,0,${LONG}`);
    await at(join(here, 't'), 'rw', `copy,${here}/s,0,0,${LONG}`, 'sync');
    await held;
    await at(join(there, 't'), 'rw', 'write,11,1,z');
    const [start] = await at(join(here, 't'), 'r', 'read,0,20');
    t.regex(start ?? '', /1xz 8xa$/);
    t.deepEqual(await at(join(here, 's'), 'r', `read,0,${LONG}`), [`${LONG}xa`]);
  },
);

test('chunks are shared and cloned on through deaths of the master and of servers', async (t) => {
  t.timeout(180_000);
  if (skips(t)) return;
  await using of = await DaemonCluster.create({ chunkservers: 3 });
  await of.start();
  const bytes = Buffer.alloc(LONG, 'a');
  await writeFile(of.path('s'), bytes);
  const shell = async (script: string) => {
    const { code, stderr } = await run('bash', ['-euo', 'pipefail', '-c', script]);
    t.is(code, 0, stderr);
  };
  await shell(`cp ${of.path('s')} ${of.path('t')}`);
  const handles = (await of.extents('s')).map(({ handle }) => handle);
  t.deepEqual(
    (await of.extents('t')).map(({ handle }) => handle),
    handles,
  );
  await of.master.kill();
  of.master.start();
  await of.master.ready();
  const changed = Buffer.from(bytes);
  changed.fill('b', 100, 200);
  await shell(`printf '%100s' | tr ' ' b | dd of=${of.path('t', 1)} bs=1 seek=100 conv=notrunc status=none`);
  t.deepEqual(await readFile(of.path('t')), changed);
  t.deepEqual(await readFile(of.path('s', 1)), bytes);
  await of.master.kill();
  const victim = of.servers[0];
  await victim?.kill();
  of.master.start();
  await of.master.ready();
  // With a member less, of what both have still.
  changed.fill('c', CHUNK, CHUNK + 5);
  await shell(`printf ccccc | dd of=${of.path('t')} bs=1 seek=${CHUNK} conv=notrunc status=none`);
  victim?.start();
  await victim?.ready();
  t.deepEqual(await readFile(of.path('t', 1)), changed);
  t.deepEqual(await readFile(of.path('s', 1)), bytes);
  await shell(`rm ${of.path('s')}`);
  t.deepEqual(await readFile(of.path('t')), changed);
});

/** Of the chunks of a file, in its order. */
async function handlesOf(cluster: TestCluster, directory: string, name: string): Promise<number[]> {
  const { stdout, stderr } = await cluster.gfs('stat', `/${basename(directory)}/${name}`, '--json');
  if (stdout === '') throw new Error(stderr);
  return (JSON.parse(stdout) as { extents: { handle: number }[] }).extents.map(({ handle }) => handle);
}
