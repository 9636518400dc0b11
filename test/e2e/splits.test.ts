// When the network splits (design, section 10): each daemon in a network namespace of its own, cables pulled and single
// directions cut.
import { cpSync, rmSync } from 'node:fs';
import { open, readFile, stat, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { must } from '../../src/base/assert.ts';
import { lineOf } from '../chaos/lines.ts';
import type { DaemonCluster, Extent } from './daemon-cluster.ts';
import { LineAppender } from './line-appender.ts';
import { type Namespaces, whyNoNamespaces } from './namespaces.ts';
import { sharedCluster } from './shared-cluster.ts';

const onCluster = sharedCluster({ chunkservers: 3, namespaces: true }, whyNoNamespaces);

interface Split {
  readonly of: DaemonCluster;
  readonly network: Namespaces;
}

function when(title: string, body: (t: ExecutionContext, split: Split) => Promise<void>): void {
  onCluster(title, async (t, of) => {
    await body(t, { of, network: must(of.network, 'each daemon has one') });
  });
}

const lines = (name: string, count: number) =>
  Array.from({ length: count }, (_, index) => lineOf(name, index + 1)).join('');

/** The node of the primary of a file's only chunk, and one of a secondary. */
async function membersOf(of: DaemonCluster, path: string): Promise<{ primary: string; secondary: string }> {
  const { primary, replicas } = (await of.extents(path))[0] as Extent;
  const secondary = replicas.find(({ server }) => server !== primary)?.server ?? 0;
  const [first, second] = [await of.serverOf(primary), await of.serverOf(secondary)];
  return { primary: first.name, secondary: second.name };
}

async function identical(of: DaemonCluster, ...paths: string[]): Promise<void> {
  while ((await of.checkMembers(paths)).length > 0) await sleep(200);
}

/** Appends go on through a cut, and afterwards all is there, and equal everywhere. */
async function appendsGoOn(
  t: ExecutionContext,
  of: DaemonCluster,
  name: string,
  cut: (members: { primary: string; secondary: string }) => () => void,
): Promise<void> {
  const log = new LineAppender(of.path(name));
  t.true(await log.append(lineOf(name, 1)));
  const before = (await of.extents(name))[0]?.version ?? 0;
  const mend = cut(await membersOf(of, name));
  try {
    for (let number = 2; number <= 20; number += 1) t.true(await log.append(lineOf(name, number)));
    t.true(((await of.extents(name))[0]?.version ?? 0) > before, 'somebody was fenced off');
  } finally {
    mend();
  }
  t.true(await log.append(lineOf(name, 21)));
  await log.close();
  for (const mount of of.mounts.keys()) t.is(await readFile(of.path(name, mount), 'latin1'), lines(name, 21));
  await identical(of, name);
}

when(
  'a primary that is cut off from everybody is replaced, and takes part again later',
  (t, { of, network }) => appendsGoOn(t, of, 'isolated', ({ primary }) => network.isolate(primary)),
);

when('a primary that hears everybody and reaches nobody is replaced', (t, { of, network }) =>
  appendsGoOn(t, of, 'muted', ({ primary }) => network.mute(primary)),
);

when('a secondary that its primary does not reach does not hold appends up', (t, { of, network }) =>
  appendsGoOn(t, of, 'unreached', ({ primary, secondary }) => network.drop({ from: primary, to: secondary })),
);

when('a primary that one client does not reach, but the master does, is replaced', (t, { of, network }) =>
  appendsGoOn(t, of, 'avoided', ({ primary }) => network.part('mount0', primary)),
);

when('the side without the master reads on, and appends where all members are on it', async (t, split) => {
  const { of, network } = split;
  const log = new LineAppender(of.path('headless'));
  t.true(await log.append(lineOf('a', 1)));
  const reader = await open(of.path('headless'), 'r');
  const mend = network.isolate('master');
  try {
    t.true(await log.append(lineOf('a', 2)));
    const seen = Buffer.alloc(lines('a', 2).length);
    await reader.read(seen, 0, seen.length, 0);
    t.is(seen.toString(), lines('a', 2));
  } finally {
    mend();
  }
  t.true(await log.append(lineOf('a', 3)));
  await Promise.all([log.close(), reader.close()]);
  t.is(await readFile(of.path('headless', 1), 'latin1'), lines('a', 3));
});

when(
  'a record whose answer was lost has its first place, when all members and the master died and one is a clone now',
  async (t, { of, network }) => {
    const log = new LineAppender(of.path('once'));
    t.true(await log.append('first\n'));
    const mend = network.deafen('mount0');
    const written = log.append('second\n');
    // All members have it, and the writer is not told.
    while ((await stat(of.path('once', 1))).size < 'first\nsecond\n'.length) await sleep(20);
    await writeFile(of.path('once', 1), 'third\n', { flag: 'a' });
    await Promise.all([of.master, ...of.servers].map((daemon) => daemon.kill()));
    cpSync(of.dataOf('server1'), of.dataOf('clone'), { recursive: true });
    rmSync(of.dataOf('server1'), { recursive: true });
    of.replaceServer(1, of.dataOf('clone'));
    mend();
    const isTold = await Promise.race([written.then(() => true), sleep(1000, false)]);
    t.false(isTold, 'there is nobody who could have told');
    await of.start();

    t.true(await written);
    t.true(await log.append('fourth\n'));
    await log.close();
    const expected = 'first\nsecond\nthird\nfourth\n';
    for (const mount of of.mounts.keys()) t.is(await readFile(of.path('once', mount), 'latin1'), expected);
    await identical(of, 'once');
  },
);
