// Locks as programs take them, on two mounts of one cluster: flock(1), and python3 for fcntl(2).
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { run } from './cluster.ts';
import type { DaemonCluster } from './daemon-cluster.ts';
import { LockProgram, whyNoPython } from './lock-program.ts';
import { sharedCluster } from './shared-cluster.ts';

const HERE = 0;
const THERE = 1;

const onCluster = sharedCluster({ chunkservers: 3, master: ['--session-timeout', '3s'] }, whyNoPython);

interface Place {
  readonly of: DaemonCluster;
  /** A file of this test, as a mount shows it. */
  file(mount: number, name?: string): string;
  /** A program that has it open as "f", for reading and writing, through a mount. */
  program(mount: number): Promise<LockProgram>;
}

function locks(title: string, body: (t: ExecutionContext, place: Place) => Promise<void>): void {
  onCluster(title, async (t, of) => {
    const directory = await mkdtemp(of.path('locks-'));
    const name = directory.slice(of.path('').length);
    const file = (mount: number, file = 'f') => of.path(join(name, file), mount);
    await writeFile(file(HERE), '.'.repeat(100));
    const programs: LockProgram[] = [];
    const program = async (mount: number) => {
      const started = new LockProgram();
      programs.push(started);
      t.is(await started.do(`open f ${file(mount)} w`), 'ok');
      return started;
    };
    try {
      await body(t, { of, file, program });
    } finally {
      for (const one of programs) await one.kill();
    }
  });
}

for (const how of ['posix', 'ofd', 'flock'])
  locks(`${how}: what one mount has locked the other waits for, and is woken`, async (t, { program }) => {
    const [a, b] = [await program(HERE), await program(THERE)];
    t.is(await a.do(`lock f ${how} write 0 0`), 'ok');
    t.is(await b.do(`lock f ${how} read 0 0`), 'EAGAIN');
    const waiting = await b.beginsToWait(`wait f ${how} read 0 0`);
    t.is(await a.do('write f 0 seen'), 'ok');
    t.is(await a.do(`lock f ${how} none 0 0`), 'ok');
    t.is(await waiting.answer, 'ok');
    t.is(await b.do('read f 0 4'), 'seen');
    t.is(await a.do(`lock f ${how} read 0 0`), 'ok', 'both read');
    t.is(await a.do(`lock f ${how} write 0 0`), 'EAGAIN');
    t.is(await b.do('close f'), 'ok');
    t.is(await a.do(`wait f ${how} write 0 0`), 'ok', 'closing unlocks');
  });

locks(
  'who gets a lock reads what was written under it, also when it has read there before',
  async (t, { program }) => {
    const both = [await program(HERE), await program(THERE)];
    for (let round = 0; round < 40; round += 1) {
      const [writer, reader] = [both[round % 2], both[(round + 1) % 2]];
      if (writer === undefined || reader === undefined) throw new Error('there are two');
      const text = `round${String(round).padStart(5, '0')}`;
      t.is(await writer.do('wait f posix write 0 10'), 'ok');
      t.is(await writer.do(`write f 0 ${text}`), 'ok');
      t.is(await writer.do('lock f posix none 0 10'), 'ok');
      t.is(await reader.do('wait f posix read 0 10'), 'ok');
      t.is(await reader.do('read f 0 10'), text, `round ${round}`);
      t.is(await reader.do('lock f posix none 0 10'), 'ok');
    }
  },
);

locks('ranges: who has which bytes, and F_GETLK says who is in the way', async (t, { program }) => {
  const [a, b, c] = [await program(HERE), await program(THERE), await program(HERE)];
  t.is(await a.do('lock f posix write 10 20'), 'ok');
  t.is(await a.do('lock f posix read 15 5'), 'ok', 'a part of it is shared now');
  t.is(await b.do('lock f posix read 15 5'), 'ok');
  t.is(await b.do('lock f posix read 14 1'), 'EAGAIN');
  t.is(await c.do('test f posix read 0 0'), `write 10 5 ${a.pid}`);
  t.is(await c.do('test f posix read 0 10'), 'free');
  t.is(await c.do('test f posix read 15 5'), 'free');
  t.is(
    await a.do('test f posix write 0 0'),
    `read 15 5 ${b.pid}`,
    'mounts of one machine know its processes',
  );
  t.is(await a.do('lock f posix none 0 0'), 'ok');
  t.is(await b.do('lock f posix none 0 0'), 'ok');
  t.is(await b.do('lock f ofd write 50 0'), 'ok');
  const [, , , pid] = (await a.do('test f posix write 0 0')).split(' ');
  t.is(pid, String(b.pid), 'the kernel does not tell us of which kind it is');
  t.is(await a.do('lock f posix write 0 50'), 'ok');
});

locks(
  "a process's locks go with any of its descriptors, an open file's with the last of its own",
  async (t, { program, file }) => {
    const [a, b] = [await program(HERE), await program(THERE)];
    t.is(await a.do('lock f posix write 0 10'), 'ok');
    t.is(await a.do('lock f ofd write 20 10'), 'ok');
    t.is(await a.do('lock f flock write 0 0'), 'ok');
    t.is(await a.do(`open g ${file(HERE)} r`), 'ok');
    t.is(await b.do('lock f posix write 0 10'), 'EAGAIN');
    t.is(await a.do('close g'), 'ok');
    t.is(await b.do('lock f posix write 0 10'), 'ok');
    t.is(await b.do('lock f posix write 20 10'), 'EAGAIN');
    t.is(await b.do('lock f flock read 0 0'), 'EAGAIN');
    t.is(await a.do('close f'), 'ok');
    // close(2) does not wait for the end of the open file.
    t.is(await b.do('wait f posix write 20 10'), 'ok');
    t.is(await b.do('wait f flock write 0 0'), 'ok');
  },
);

locks('a signal ends a wait, and the next in line is not kept by it', async (t, { program }) => {
  const [a, b, c] = [await program(HERE), await program(THERE), await program(HERE)];
  for (const how of ['posix', 'flock']) {
    t.is(await a.do(`lock f ${how} write 0 0`), 'ok');
    const waiting = await b.beginsToWait(`wait f ${how} write 0 0`);
    const behind = await c.beginsToWait(`wait f ${how} read 0 0`);
    b.signal('SIGUSR1');
    t.is(await waiting.answer, 'EINTR', how);
    t.is(await a.do(`lock f ${how} none 0 0`), 'ok');
    t.is(await behind.answer, 'ok');
    t.is(await c.do(`lock f ${how} none 0 0`), 'ok');
    t.is(await b.do(`lock f ${how} write 0 0`), 'ok', 'nothing is left of the wait');
    t.is(await b.do(`lock f ${how} none 0 0`), 'ok');
  }
});

locks('processes that wait for one another are told so; open files are not', async (t, { program }) => {
  const [a, b] = [await program(HERE), await program(THERE)];
  t.is(await a.do('lock f posix write 0 1'), 'ok');
  t.is(await b.do('lock f posix write 1 1'), 'ok');
  const waits = [a.do('wait f posix write 1 1'), b.do('wait f posix write 0 1')] as const;
  // Whose call comes last to the master closes the circle.
  const refused = await Promise.race(waits.map((answer, index) => answer.then(() => index)));
  t.is(await waits[refused], 'EDEADLK');
  t.is(await (refused === 0 ? a : b).do('lock f posix none 0 0'), 'ok');
  t.is(await waits[1 - refused], 'ok');
  t.is(await (refused === 0 ? b : a).do('lock f posix none 0 0'), 'ok');
  t.is(await a.do('lock f ofd write 0 1'), 'ok');
  t.is(await b.do('lock f ofd write 1 1'), 'ok');
  const one = await a.beginsToWait('wait f ofd write 1 1');
  const other = await b.beginsToWait('wait f ofd write 0 1');
  // Each waits for the other, as it would on a local disk, until somebody ends that.
  b.signal('SIGUSR1');
  t.is(await other.answer, 'EINTR');
  t.is(await b.do('close f'), 'ok');
  t.is(await one.answer, 'ok');
});

locks('a process that is killed unlocks at once, also one that waits', async (t, { program }) => {
  const [a, b, c] = [await program(HERE), await program(HERE), await program(THERE)];
  for (const how of ['posix', 'ofd', 'flock'])
    t.is(await a.do(`lock f ${how} write 0 0`), how === 'ofd' ? 'EAGAIN' : 'ok');
  await b.beginsToWait('wait f posix write 0 0');
  await b.kill();
  const waiting = await c.beginsToWait('wait f posix write 0 0');
  await a.kill();
  t.is(await waiting.answer, 'ok');
  t.is(await c.do('lock f flock write 0 0'), 'ok');
});

locks('flock(1) of both mounts: one at a time', async (t, { file }) => {
  await writeFile(file(HERE, 'count'), '0\n');
  const counts = [HERE, THERE].map((mount) => {
    const [lock, count] = [file(mount, 'lock'), file(mount, 'count')];
    const script = `for i in $(seq 25); do flock ${lock} sh -c 'n=$(cat ${count}); echo $((n + 1)) > ${count}'; done`;
    return run('bash', ['-euc', script]);
  });
  for (const { code, stderr } of await Promise.all(counts)) t.is(code, 0, stderr);
  t.is((await run('cat', [file(THERE, 'count')])).stdout, '50\n');
});

locks(
  'a lock outlives kill -9 of the master, and nobody else gets it; who waits waits on',
  async (t, { of, program }) => {
    const [a, b, c] = [await program(HERE), await program(THERE), await program(THERE)];
    t.is(await a.do('lock f posix write 0 10'), 'ok');
    t.is(await a.do('lock f flock read 0 0'), 'ok');
    const waiting = await b.beginsToWait('wait f posix write 0 10');
    await of.master.kill();
    const asking = c.do('lock f posix write 5 1');
    of.master.start();
    await of.master.ready();
    t.is(await asking, 'EAGAIN', 'asked while nobody knew');
    t.is(await c.do('lock f flock write 0 0'), 'EAGAIN');
    t.is(await c.do('test f posix read 0 0'), `write 0 10 ${a.pid}`);
    t.is(await a.do('write f 0 mine'), 'ok');
    t.is(await a.do('lock f posix none 0 10'), 'ok');
    t.is(await waiting.answer, 'ok');
    t.is(await b.do('read f 0 4'), 'mine');
  },
);

locks('kill -9 of a mount: its locks are free after the session time-out', async (t, { of, program }) => {
  const third = await of.mountAgain();
  const mount = of.mounts.indexOf(third);
  const [a, b] = [await program(mount), await program(HERE)];
  t.is(await a.do('lock f posix write 0 10'), 'ok');
  t.is(await a.do('write f 0 dead'), 'ok');
  t.is(await a.do('sync f'), 'ok');
  await third.daemon.kill();
  t.is(await b.do('lock f posix write 0 10'), 'EAGAIN', 'the master has not given it up');
  t.is(await b.do('wait f posix write 0 10'), 'ok');
  t.is(await b.do('read f 0 4'), 'dead');
});

const SQLITE = ['.timeout 60000', 'BEGIN IMMEDIATE;', "INSERT INTO t VALUES('$who', $n);", 'COMMIT;'];

locks('two sqlite3 on two mounts insert at the same time: all rows are there', async (t, { file }) => {
  if (spawnSync('sqlite3', ['--version']).status !== 0) {
    t.log('skipped: there is no sqlite3');
    t.pass();
    return;
  }
  const rows = 40;
  const made = await run('sqlite3', [file(HERE, 'db'), 'CREATE TABLE t(who TEXT, n INTEGER);']);
  t.is(made.code, 0, made.stderr);
  const inserted = [HERE, THERE].map(async (mount) => {
    const sqlite = spawn('sqlite3', ['-bail', file(mount, 'db')], { stdio: ['pipe', 'ignore', 'pipe'] });
    let errors = '';
    sqlite.stderr.on('data', (text) => {
      errors += String(text);
    });
    const ended = once(sqlite, 'close');
    for (let n = 0; n < rows; n += 1) {
      sqlite.stdin.write(`${SQLITE.join('\n').replace('$who', String(mount)).replace('$n', String(n))}\n`);
    }
    sqlite.stdin.end();
    const [code] = await ended;
    t.is(code, 0, errors);
  });
  await Promise.all(inserted);
  for (const mount of [HERE, THERE]) {
    const asked = 'PRAGMA integrity_check; SELECT who, count(*), sum(n) FROM t GROUP BY who ORDER BY who;';
    const { stdout } = await run('sqlite3', [file(mount, 'db'), asked]);
    const sum = (rows * (rows - 1)) / 2;
    t.is(stdout, `ok\n${HERE}|${rows}|${sum}\n${THERE}|${rows}|${sum}\n`);
  }
});
