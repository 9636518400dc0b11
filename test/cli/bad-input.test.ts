// Every file command of `gfs` against everything that can be wrong: one clear line, the right end, and nothing half done.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { GFS, run } from '../e2e/cluster.ts';
import { type Called, type FileCommands, sharedCommands } from './file-commands.ts';

const withCommands = sharedCommands('1MiB');

/** Processes at a time. */
const TOGETHER = 6;
const LONG = 'n'.repeat(256);
const DEEP = 'd/'.repeat(2100);
const NOBODY = 65_534;
const NOT_THERE = 'no such file or directory';
const NO_FILE_IS_READ = 'it reads no bytes of files';
const LISTS_DIRECTORIES = 'a directory is what it is for, as much as a file';
const MAKES_DIRECTORIES = 'there is nothing but directories in it';

/** What is called, and the line that it says, without "gfs: " and the end of the line. */
type Cell = readonly (readonly [call: string, says: string])[] | string;

interface Row {
  /** A call that would do something, if there were a master that answers. */
  readonly works: string;
  readonly permission: Cell;
  readonly missing: Cell;
  /** A directory where a file is wanted, and the other way round. */
  readonly directory: Cell;
  readonly long: Cell;
  /** An offset past the end of the file. */
  readonly past: Cell;
}

/**
 * /t has the file `f` of 3 bytes, `dir`, and `private`, which has `secret` and is closed to all but root; here are `file` and
 * `dir`. A text instead of calls says why the cell cannot be. What is left out of all rows: a message over the limit, as commands
 * cut what they send to what fits, but for a path (`long`) and a record (`gfs append --whole`, in file-commands.test.ts); and a
 * deadline of a command's own, as none has one: they give up a master that does not answer, after ten seconds.
 */
const ROWS: Readonly<Record<string, Row>> = {
  ls: {
    works: 'ls /t',
    permission: [['ls /t/private', '/t/private: permission denied']],
    missing: [['ls /t/none', `/t/none: ${NOT_THERE}`]],
    directory: [['ls /t/f/x', '/t/f/x: not a directory']],
    long: [
      [`ls /t/${LONG}`, `/t/${LONG}: the name is too long`],
      [`ls /${DEEP}`, `/${DEEP}: the name is too long`],
    ],
    past: NO_FILE_IS_READ,
  },
  tree: {
    works: 'tree /t',
    permission: [['tree /t/private', '/t/private: permission denied']],
    missing: [['tree /t/none', `/t/none: ${NOT_THERE}`]],
    directory: [['tree /t/f', '/t/f: not a directory']],
    long: [[`tree /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: NO_FILE_IS_READ,
  },
  du: {
    works: 'du /t',
    permission: [['du /t/private', '/t/private: permission denied']],
    missing: [['du /t/none', `/t/none: ${NOT_THERE}`]],
    directory: LISTS_DIRECTORIES,
    long: [[`du /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: NO_FILE_IS_READ,
  },
  stat: {
    works: 'stat /t',
    permission: [['stat /t/private/secret', '/t/private/secret: permission denied']],
    missing: [['stat /t/none', `/t/none: ${NOT_THERE}`]],
    directory: LISTS_DIRECTORIES,
    long: [[`stat /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: NO_FILE_IS_READ,
  },
  cat: {
    works: 'cat /t/f',
    permission: [['cat /t/private/secret', '/t/private/secret: permission denied']],
    missing: [['cat /t/none', `/t/none: ${NOT_THERE}`]],
    directory: [['cat /t', '/t: is a directory']],
    long: [[`cat /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: 'it begins at the beginning',
  },
  getrange: {
    works: 'getrange /t/f 0 1',
    permission: [['getrange /t/private/secret 0 1', '/t/private/secret: permission denied']],
    missing: [['getrange /t/none 0 1', `/t/none: ${NOT_THERE}`]],
    directory: [['getrange /t 0 1', '/t: is a directory']],
    long: [[`getrange /t/${LONG} 0 1`, `/t/${LONG}: the name is too long`]],
    past: [['getrange /t/f 4 1', '/t/f: offset 4 is past the end, at 3']],
  },
  put: {
    works: 'put file /t/new',
    permission: [
      ['put file /t/new', '/t/new: permission denied'],
      ['put file /t/f', '/t/f: permission denied'],
      ['put -r dir /t/new', '/t/new: permission denied'],
    ],
    missing: [
      ['put none /t', `none: ${NOT_THERE}`],
      ['put file /t/none/new', `/t/none: ${NOT_THERE}`],
    ],
    directory: [
      ['put dir /t', 'dir: is a directory; -r copies it with all that is below'],
      ['put - /t', '/t: is a directory'],
      ['put file /t/f/new', '/t/f/new: not a directory'],
    ],
    long: [[`put file /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: 'it makes files anew',
  },
  get: {
    works: 'get /t/f got',
    permission: [
      ['get /t/private/secret got', '/t/private/secret: permission denied'],
      ['get /t/f /root/got', '/root/got: permission denied'],
    ],
    missing: [
      ['get /t/none got', `/t/none: ${NOT_THERE}`],
      ['get /t/f none/got', `none: ${NOT_THERE}`],
    ],
    directory: [
      ['get /t got', '/t: is a directory; -r copies it with all that is below'],
      ['get /t/f file/got', 'file/got: not a directory'],
    ],
    long: [
      [`get /t/${LONG} got`, `/t/${LONG}: the name is too long`],
      [`get /t/f ${LONG}`, `${LONG}: the name is too long`],
    ],
    past: 'it makes files anew',
  },
  append: {
    works: 'append /t/f file',
    permission: [['append /t/f file', '/t/f: permission denied']],
    missing: [
      ['append /t/none/new file', `/t/none: ${NOT_THERE}`],
      ['append /t/f none', `none: ${NOT_THERE}`],
    ],
    directory: [
      ['append /t file', '/t: is a directory'],
      ['append /t/f dir', 'dir: is a directory'],
    ],
    long: [[`append /t/${LONG} file`, `/t/${LONG}: the name is too long`]],
    past: 'records go to the end, wherever that is',
  },
  mkdir: {
    works: 'mkdir /t/new',
    permission: [['mkdir /t/new', '/t/new: permission denied']],
    missing: [['mkdir /t/none/new', `/t/none: ${NOT_THERE}`]],
    directory: [
      ['mkdir /t/f', '/t/f: it exists already'],
      ['mkdir -p /t/f', '/t/f: exists, and is not a directory'],
    ],
    long: [
      [`mkdir /t/${LONG}`, `/t/${LONG}: the name is too long`],
      [`mkdir -p /t/new/${LONG}`, `/t/new/${LONG}: the name is too long`],
      [`mkdir -p /t/${LONG}/new`, `/t/${LONG}/new: the name is too long`],
      [`mkdir -p /t/${DEEP}`, `/t/${DEEP}: the name is too long`],
    ],
    past: MAKES_DIRECTORIES,
  },
  mv: {
    works: 'mv /t/f /t/new',
    permission: [['mv /t/f /t/new', '/t/f: cannot become /t/new: permission denied']],
    missing: [
      ['mv /t/none /t/new', `/t/none: ${NOT_THERE}`],
      ['mv /t/f /t/none/new', `/t/none: ${NOT_THERE}`],
    ],
    directory: [['mv /t/dir /t/f/new', '/t/f/new: not a directory']],
    long: [[`mv /t/f /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: NO_FILE_IS_READ,
  },
  cp: {
    works: 'cp /t/f /t/new',
    permission: [
      ['cp /t/f /t/new', '/t/new: permission denied'],
      ['cp /t/private/secret /t/new', '/t/private/secret: permission denied'],
      ['cp -r /t/dir /t/new', '/t/new: permission denied'],
    ],
    missing: [
      ['cp /t/none /t/new', `/t/none: ${NOT_THERE}`],
      ['cp /t/f /t/none/new', `/t/none: ${NOT_THERE}`],
    ],
    directory: [['cp /t/dir /t/new', '/t/dir: is a directory; -r copies it with all that is below']],
    long: [[`cp /t/f /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: 'it makes files anew',
  },
  rm: {
    works: 'rm /t/f',
    permission: [
      ['rm /t/f', '/t/f: permission denied'],
      ['rm -r /t/private', '/t/private: permission denied'],
    ],
    missing: [['rm /t/none', `/t/none: ${NOT_THERE}`]],
    directory: [['rm /t/dir', '/t/dir: is a directory; -r removes it with all that is below']],
    long: [[`rm /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: NO_FILE_IS_READ,
  },
  touch: {
    works: 'touch /t/f',
    permission: [
      ['touch /t/f', '/t/f: permission denied'],
      ['touch /t/new', '/t/new: permission denied'],
    ],
    missing: [['touch /t/none/new', `/t/none: ${NOT_THERE}`]],
    directory: [['touch /t/f/new', '/t/f/new: not a directory']],
    long: [[`touch /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: NO_FILE_IS_READ,
  },
  chmod: {
    works: 'chmod 0600 /t/f',
    permission: [['chmod 0777 /t/f', '/t/f: operation not permitted']],
    missing: [['chmod 0600 /t/none', `/t/none: ${NOT_THERE}`]],
    directory: LISTS_DIRECTORIES,
    long: [[`chmod 0600 /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: NO_FILE_IS_READ,
  },
  chown: {
    works: 'chown 1:1 /t/f',
    permission: [[`chown ${NOBODY} /t/f`, '/t/f: operation not permitted']],
    missing: [['chown 1:1 /t/none', `/t/none: ${NOT_THERE}`]],
    directory: LISTS_DIRECTORIES,
    long: [[`chown 1:1 /t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: NO_FILE_IS_READ,
  },
  ln: {
    works: 'ln /t/f /t/new',
    permission: [
      ['ln /t/f /t/new', '/t/new: permission denied'],
      ['ln -s f /t/new', '/t/new: permission denied'],
    ],
    missing: [
      ['ln /t/none /t/new', `/t/none: ${NOT_THERE}`],
      ['ln -s f /t/none/new', `/t/none: ${NOT_THERE}`],
    ],
    directory: [['ln /t/dir /t/new', '/t/dir: is a directory, and has one name; -s makes a symbolic link']],
    long: [
      [`ln /t/f /t/${LONG}`, `/t/${LONG}: the name is too long`],
      [`ln -s ${DEEP} /t/new`, '/t/new: a symbolic link has 4095 bytes at most'],
    ],
    past: NO_FILE_IS_READ,
  },
  sync: {
    works: 'sync dir gfs:/t/new',
    permission: [
      ['sync -q dir gfs:/t/new', '/t/new: permission denied'],
      ['sync -q gfs:/t/private dir', '/t/private: permission denied'],
    ],
    missing: [
      ['sync none gfs:/t/dir', `none: ${NOT_THERE}`],
      ['sync gfs:/t/none got', `/t/none: ${NOT_THERE}`],
      ['sync dir gfs:/t/none/new', `/t/none: ${NOT_THERE}`],
    ],
    directory: [
      ['sync file gfs:/t/dir', 'file: not a directory'],
      ['sync gfs:/t/f got', '/t/f: not a directory'],
      ['sync dir gfs:/t/f', '/t/f: not a directory'],
    ],
    long: [[`sync dir gfs:/t/${LONG}`, `/t/${LONG}: the name is too long`]],
    past: 'it makes files anew',
  },
};

/** Not about files, and ask the master as well. */
const OTHER_CALLS = ['status', 'servers', 'top', 'events', 'log'];
/** A daemon: it waits a minute for its master. */
const GATEWAY = 'gateway --listen 127.0.0.1:0';

async function prepare(commands: FileCommands): Promise<void> {
  const local = (name: string) => join(commands.directory, name);
  writeFileSync(local('file'), 'abc');
  mkdirSync(local('dir'));
  writeFileSync(local('dir/child'), 'x');
  await commands.shell(`chmod 0777 . && gfs mkdir /t /t/dir && gfs put file /t/f && gfs chmod 0644 /t/f &&
    gfs mkdir -m 0700 /t/private && gfs put file /t/private/secret && gfs put file /t/dir`);
}

/** All there is, here and in the cluster, with all that a half done command could have changed. */
async function everything(commands: FileCommands): Promise<readonly unknown[]> {
  const names = readdirSync(commands.directory, { recursive: true }).sort();
  const files = JSON.parse(await commands.gfs('ls', '-R', '--json', '/')) as Record<string, unknown>[];
  return [names, files.map(({ atime: _, ...others }) => others)];
}

/** Some at a time. */
async function eachOf<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
  together = TOGETHER,
): Promise<void> {
  const left = [...items];
  const one = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: together }, one));
}

async function checkColumn(
  t: ExecutionContext,
  commands: FileCommands,
  column: Exclude<keyof Row, 'works'>,
  call: (args: string[]) => Promise<Called>,
): Promise<void> {
  const cells = Object.values(ROWS).flatMap((row) => (typeof row[column] === 'string' ? [] : row[column]));
  const before = await everything(commands);
  await eachOf(cells, async ([args, says]) => {
    const { code, err } = await call(args.split(' '));
    t.is(err, `gfs: ${says}\n`, args);
    t.is(code, 1, args);
  });
  t.deepEqual(await everything(commands), before, 'nothing is half done');
}

withCommands('a missing path, a wrong kind, a long name and an offset past the end', async (t, commands) => {
  t.timeout(300_000);
  await prepare(commands);
  for (const column of ['missing', 'directory', 'long', 'past'] as const)
    await checkColumn(t, commands, column, (args) => commands.call(args));
  const none = await commands.call(['getrange', '/t/f', '0', '9999999999999999999']);
  t.deepEqual([none.code, none.err], [2, 'gfs: length: "9999999999999999999" is too large\n']);
});

withCommands('no permission', async (t, commands) => {
  t.timeout(300_000);
  await checkColumn(t, commands, 'permission', async (args) => {
    const id = ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups'].join(' ');
    return await commands.shell(`setpriv ${id} "${process.execPath}" "${GFS}" ${args.join(' ')}`);
  });
});

withCommands('every command is in the table, and every help has an example and the exit codes', async (t) => {
  const gfs = async (...args: string[]) => (await run(process.execPath, [GFS, ...args])).stdout;
  const others = ['up', 'bench', 'completion', 'gateway', ...OTHER_CALLS];
  const help = await gfs('--help');
  const commands = [...help.matchAll(/^ {2}([a-z]+) {2,}/gm)].map(([, name = '']) => name);
  const known = [...Object.keys(ROWS), ...others, 'help'];
  t.deepEqual(
    commands.filter((name) => !known.includes(name)),
    [],
  );
  await eachOf([...Object.keys(ROWS), ...others], async (name) => {
    const text = await gfs(name, '--help');
    t.regex(text, new RegExp(`^Examples?:(?:.|\\n)*\\bgfs ${name}\\b`, 'm'), name);
    t.regex(text, /^Exit codes: 0, .*; 1, .*; 2, /m, name);
    t.deepEqual(
      text.split('\n').filter((line) => line.length > 80),
      [],
      name,
    );
  });
});

withCommands('no master, and what is none', async (t, commands) => {
  t.timeout(300_000);
  const { address: server } = (await commands.cluster.servers[0]?.ready()) ?? {};
  const [nobody, somebody] = ['127.0.0.1:1', String(server)];
  const calls = [...Object.values(ROWS).map(({ works }) => works), ...OTHER_CALLS];
  const before = await everything(commands);
  const check = async (call: string, master: string, says: string) => {
    const { code, out, err } = await commands.call([...call.split(' '), '--master', master]);
    const name = call === GATEWAY ? 'gfs gateway' : 'gfs';
    t.regex(err, new RegExp(`^${name}: (?:not done in time: )?${says}\n$`), call);
    t.deepEqual([code, out.toString()], [1, ''], call);
  };
  const refused = `cannot reach ${nobody}: connection refused`;
  // They wait.
  await eachOf(calls, (call) => check(call, nobody, refused), calls.length);
  await eachOf([...calls, GATEWAY], (call) =>
    check(call, somebody, `what answers at ${somebody} is not a gfs master`),
  );
  t.deepEqual(await everything(commands), before);
  const { code, err } = await commands.call(['ls', '/', '--master', 'nowhere']);
  t.is(code, 2);
  t.regex(err, /^gfs: .*"nowhere" is not HOST:PORT\n$/);
});

/** Takes connections, and says nothing. */
async function silent(onConnection: (socket: Socket) => void): Promise<{ server: Server; address: string }> {
  const server = createServer(onConnection);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { server, address: `127.0.0.1:${port}` };
}

withCommands('a command that is cancelled while nobody answers ends by the signal', async (t, commands) => {
  t.timeout(300_000);
  await eachOf(Object.values(ROWS), async ({ works }) => {
    let cancel: () => void = () => undefined;
    const { server, address } = await silent(() => cancel());
    const running = commands.start([...works.split(' '), '--master', address]);
    cancel = () => running.kill('SIGINT');
    let said = '';
    for (const stream of [running.stdout, running.stderr]) stream.on('data', (text) => (said += text));
    const end = await new Promise((resolve) => running.once('close', (...how) => resolve(how)));
    t.deepEqual(end, [null, 'SIGINT'], works);
    t.is(said, '', works);
    server.close();
  });
});

withCommands('a master that says nothing is given up', async (t, commands) => {
  const sockets: Socket[] = [];
  const { server, address } = await silent((socket) => sockets.push(socket));
  const { code, out, err } = await commands.call(['ls', '/', '--master', address]);
  t.deepEqual([code, out.toString()], [1, '']);
  t.regex(err, new RegExp(`^gfs: .*${address}.*\n$`));
  t.log(err);
  for (const socket of sockets) socket.destroy();
  server.close();
});
