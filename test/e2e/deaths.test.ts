// What clients see when something dies (design, section 10), one line of the table after the other, on one real cluster. Each
// test leaves all daemons running. Full disks and damaged ones are in faults.test.ts, networks in splits.test.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { replicaPaths } from '../../src/storage/replica-files.ts';
import { lineOf } from '../chaos/lines.ts';
import { judgeLog } from '../chaos/verdict.ts';
import type { Daemon } from './daemon.ts';
import type { DaemonCluster } from './daemon-cluster.ts';
import { LineAppender } from './line-appender.ts';
import { sharedCluster } from './shared-cluster.ts';

const PIECE_BYTES = 128 * 1024;
const PIECES = 60;

const when = sharedCluster({ chunkSize: '1MiB', master: ['--session-timeout', '10s'] });

/** The server that orders mutations of a file's last chunk, or one that does not. */
async function memberOf(of: DaemonCluster, path: string, which: 'primary' | 'secondary'): Promise<Daemon> {
  for (;;) {
    const last = (await of.extents(path)).at(-1);
    const found = last?.replicas.find(({ server }) => (server === last.primary) === (which === 'primary'));
    if (last !== undefined && last.primary !== 0 && found !== undefined)
      return await of.serverOf(found.server);
    await sleep(20);
  }
}

/** Members become identical when it is quiet. */
async function identical(of: DaemonCluster, ...paths: string[]): Promise<void> {
  while ((await of.checkMembers(paths)).length > 0) await sleep(200);
}

when('a primary, then a secondary dies: a large file that is being written is whole', async (t, of) => {
  const content = Buffer.concat(
    Array.from({ length: PIECES }, (_, index) => Buffer.alloc(PIECE_BYTES, `piece ${index};`)),
  );
  const argv = [`of=${of.path('large')}`, `bs=${PIECE_BYTES}`, 'iflag=fullblock', 'oflag=dsync'];
  const dd = spawn('dd', argv, { stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = once(dd, 'exit');
  let given = 0;
  for (const which of ['primary', 'secondary'] as const) {
    const next = given + content.length / 3;
    dd.stdin.write(content.subarray(given, next));
    given = next;
    while (((await sizeOf(of.path('large', 1))) ?? 0) < given - PIECE_BYTES) await sleep(10);
    const victim = await memberOf(of, 'large', which);
    await victim.kill();
    t.is(dd.exitCode, null);
    dd.stdin.write(content.subarray(given, given + PIECE_BYTES));
    given += PIECE_BYTES;
    while (((await sizeOf(of.path('large', 1))) ?? 0) < given) await sleep(10);
    victim.start();
    await victim.ready();
  }
  dd.stdin.end(content.subarray(given));
  t.deepEqual(await ended, [0, null]);
  for (const mount of of.mounts.keys()) t.true(content.equals(await readFile(of.path('large', mount))));
  await identical(of, 'large');
});

when('a primary, then a secondary falls silent: appends go on, and both take part again', async (t, of) => {
  const log = new LineAppender(of.path('silence'));
  let count = 1;
  t.true(await log.append(lineOf('a', count)));
  for (const which of ['primary', 'secondary'] as const) {
    const victim = await memberOf(of, 'silence', which);
    victim.signal('SIGSTOP');
    try {
      for (let more = 0; more < 5; more += 1) {
        count += 1;
        t.true(await log.append(lineOf('a', count)));
      }
      t.is(await readFile(of.path('silence', 1), 'latin1'), lines('a', count));
    } finally {
      victim.signal('SIGCONT');
    }
  }
  await log.close();
  for (const mount of of.mounts.keys())
    t.is(await readFile(of.path('silence', mount), 'latin1'), lines('a', count));
  await identical(of, 'silence');
});

when('chunkservers restart one after the other: readers and writers see nothing of it', async (t, of) => {
  const log = new LineAppender(of.path('restarts'));
  let count = 0;
  const append = async () => {
    count += 1;
    t.true(await log.append(lineOf('a', count)));
  };
  await append();
  for (const server of of.servers) {
    await server.kill();
    // When too few are left it waits for this one.
    const meanwhile = append();
    server.start();
    await meanwhile;
    await append();
    t.is(await readFile(of.path('restarts', 1), 'latin1'), lines('a', count));
    await server.ready();
    await identical(of, 'restarts');
  }
  await log.close();
});

when('the master dies: what has its places goes on without it, the rest when it is back', async (t, of) => {
  const log = new LineAppender(of.path('headless'));
  t.true(await log.append(lineOf('a', 1)));
  const reader = await open(of.path('headless'), 'r');
  await of.master.kill();
  t.true(await log.append(lineOf('a', 2)));
  const seen = Buffer.alloc(lines('a', 2).length);
  await reader.read(seen, 0, seen.length, 0);
  t.is(seen.toString(), lines('a', 2));
  t.false(of.master.running);

  const waiting = writeFile(of.path('made-meanwhile', 1), 'by a patient program');
  of.master.start();
  await waiting;
  t.is(await readFile(of.path('made-meanwhile'), 'latin1'), 'by a patient program');
  t.true(await log.append(lineOf('a', 3)));
  t.is(await sizeOf(of.path('headless', 1)), lines('a', 3).length);
  await Promise.all([log.close(), reader.close()]);
  t.is(await readFile(of.path('headless', 1), 'latin1'), lines('a', 3));
});

when('a member dies while there is no master: reads go on, an append waits for the master', async (t, of) => {
  const log = new LineAppender(of.path('both'));
  t.true(await log.append(lineOf('a', 1)));
  const reader = await open(of.path('both'), 'r');
  const victim = await memberOf(of, 'both', 'secondary');
  await of.master.kill();
  await victim.kill();
  const waiting = log.append(lineOf('a', 2));
  const seen = Buffer.alloc(lines('a', 1).length);
  await reader.read(seen, 0, seen.length, 0);
  t.is(seen.toString(), lines('a', 1));
  const isTold = await Promise.race([waiting.then(() => true), sleep(1000, false)]);
  t.false(isTold, 'nobody could have evicted the dead member');

  of.master.start();
  t.true(await waiting);
  t.true(await log.append(lineOf('a', 3)));
  await Promise.all([log.close(), reader.close()]);
  t.false(victim.running);
  for (const mount of of.mounts.keys()) t.is(await readFile(of.path('both', mount), 'latin1'), lines('a', 3));
  victim.start();
  await victim.ready();
  await identical(of, 'both');
});

when('a client dies while it appends: each record is whole or absent, and its turn ends', async (t, of) => {
  const [other, dying] = of.mounts;
  if (other === undefined || dying === undefined) throw new Error('there are two mounts');
  const told = new Set<number>();
  const log = new LineAppender(of.path('orphan', 1));
  const appending = (async () => {
    while (await log.append(lineOf('dying', told.size + 1))) told.add(told.size + 1);
  })();
  while (told.size < 50) await sleep(5);
  await dying.daemon.kill();
  await appending;
  await log.close();

  await writeFile(of.path('orphan'), lineOf('other', 1), { flag: 'a' });
  const text = await readFile(of.path('orphan'), 'latin1');
  t.deepEqual(
    judgeLog(
      text,
      new Map([
        ['dying', told],
        ['other', new Set([1])],
      ]),
    ),
    [],
  );
  t.is((await stat(of.path('orphan'))).size, text.length);
  const mounts = async () => {
    const { stdout } = await of.gfs('status', '--json');
    const { sessions } = JSON.parse(stdout) as { sessions: { program: string }[] };
    return sessions.filter(({ program }) => program.startsWith('mount ')).length;
  };
  while ((await mounts()) > 1) await sleep(200);
  t.is(await readFile(of.path('orphan'), 'latin1'), text);
  dying.daemon.start();
  await dying.daemon.ready();
  t.is(await readFile(of.path('orphan', 1), 'latin1'), text);
});

when(
  'a client dies with a file open that has no name: what that held goes with its session',
  async (t, of) => {
    const dying = of.mounts[1]?.daemon;
    // It says that it holds the file, and when it may let it go.
    const script =
      'exec 3> "$0"; head -c 300000 /dev/zero >&3; sync "$0"; echo; read -r _; rm "$0"; echo; read -r _';
    const program = spawn('sh', ['-c', script, of.path('nameless', 1)], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const ended = once(program, 'exit');
    await once(program.stdout, 'data');
    const handles = (await of.extents('nameless')).map(({ handle }) => handle);
    program.stdin.write('\n');
    await once(program.stdout, 'data');
    const copies = () => handles.flatMap((handle) => copiesOf(of, handle)).length;
    t.is(copies(), 3);

    await dying?.kill();
    program.kill('SIGKILL');
    await ended;
    while (copies() > 0) await sleep(200);
    dying?.start();
    await dying?.ready();
  },
);

/** The files of a chunk's replicas, one of each. */
function copiesOf(of: DaemonCluster, handle: number): string[] {
  const paths = of.servers.map(({ name }) => replicaPaths(join(of.dataOf(name), 'chunks'), handle).log);
  return paths.filter((path) => existsSync(path));
}

function lines(name: string, count: number): string {
  return Array.from({ length: count }, (_, index) => lineOf(name, index + 1)).join('');
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}
