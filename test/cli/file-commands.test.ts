// The file commands of `gfs` on a cluster of real processes, as people and scripts call them.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { KiB, MiB } from '../../src/base/units.ts';
import { GFS } from '../e2e/cluster.ts';
import { sharedCommands } from './file-commands.ts';

const withCommands = sharedCommands('1MiB');

withCommands('what is put is got, with its mode and time, and replaced as a whole', async (t, commands) => {
  const { directory } = commands;
  const bytes = randomBytes(5 * MiB + 123);
  const local = join(directory, 'file');
  writeFileSync(local, bytes);
  chmodSync(local, 0o751);
  utimesSync(local, 1_600_000_000, 1_600_000_000.25);
  await commands.gfs('mkdir', '-p', '/put/deep');
  await commands.gfs('put', 'file', '/put/deep');
  await commands.gfs('put', 'file', '/put/other');
  await commands.gfs('get', '/put/deep/file', '/put/other', '.');
  t.deepEqual(readFileSync(join(directory, 'other')), bytes);
  const { mode, mtimeMs } = statSync(join(directory, 'other'));
  t.is(mode & 0o7777, 0o751);
  t.is(mtimeMs, 1_600_000_000_250);
  t.true(
    (await commands.call(['cat', '/put/deep/file', '/put/other'])).out.equals(Buffer.concat([bytes, bytes])),
  );

  await commands.call(['put', '-', '/put/other'], { input: 'short' });
  t.is(await commands.gfs('cat', '/put/other'), 'short');
  await commands.gfs('get', '/put/other', 'other');
  t.is(readFileSync(join(directory, 'other'), 'utf8'), 'short');
  t.is(await commands.gfs('get', '/put/other', '-'), 'short');
  t.is(await commands.gfs('ls', '/put'), 'deep\nother\n');
  t.deepEqual(readdirSync(directory).sort(), ['file', 'other']);
});

withCommands(
  'put, cp and sync make as many copies as are wanted, and say so where servers lack',
  async (t, commands) => {
    const local = join(commands.directory, 'few');
    mkdirSync(local);
    writeFileSync(join(local, 'file'), randomBytes(2 * MiB));
    await commands.gfs('mkdir', '/copies');
    const copiesOf = async (path: string) => {
      const { goal, extents } = JSON.parse(await commands.gfs('stat', '--json', path));
      return [goal, ...extents.map(({ replicas }: { replicas: unknown[] }) => replicas.length)];
    };
    await commands.gfs('put', '--replication', '1', 'few/file', '/copies/one');
    t.deepEqual(await copiesOf('/copies/one'), [1, 1, 1]);
    t.regex(await commands.gfs('stat', '/copies/one'), /^copies +1$/m);
    await commands.call(['put', '--replication', '2', '-', '/copies/two'], { input: 'two' });
    t.deepEqual(await copiesOf('/copies/two'), [2, 2]);
    await commands.gfs('cp', '--replication', '2', '/copies/one', '/copies/copied');
    t.is((await copiesOf('/copies/copied'))[0], 2);
    await commands.gfs('sync', '-q', '--replication', '1', 'few', 'gfs:/copies/synced');
    t.deepEqual(await copiesOf('/copies/synced/file'), [1, 1, 1]);
    await commands.gfs('put', 'few/file', '/copies/one');
    t.deepEqual(await copiesOf('/copies/one'), [3, 3, 3]);

    const many = await commands.call(['put', '-r', '--replication', '5', 'few', '/copies/many']);
    t.deepEqual(
      [many.code, many.err],
      [
        0,
        'gfs: 5 copies are wanted, and 3 chunkservers are alive: the others are made when there are more\n',
      ],
    );
    t.deepEqual(await copiesOf('/copies/many/file'), [5, 3, 3]);
    for (const count of ['0', '10', 'two', '-1']) {
      const { code, err } = await commands.call(['put', '--replication', count, 'few/file', '/copies/none']);
      t.is(code, 2);
      t.regex(err, /is not a number from 1 to 9/);
    }
    const down = await commands.call(['sync', '--replication', '1', 'gfs:/copies', 'down']);
    t.deepEqual(
      [down.code, down.err],
      [2, 'gfs: --replication is for files that are written in the cluster\n'],
    );
  },
);

withCommands('trees go there and back, links and modes included', async (t, commands) => {
  const tree = join(commands.directory, 'tree');
  mkdirSync(join(tree, 'a/b'), { recursive: true });
  mkdirSync(join(tree, 'empty'));
  for (let number = 0; number < 60; number += 1) writeFileSync(join(tree, `a/${number}`), `${number}`);
  writeFileSync(join(tree, 'a/b/large'), randomBytes(3 * MiB));
  symlinkSync('../a/1', join(tree, 'a/link'));
  chmodSync(join(tree, 'empty'), 0o555);
  utimesSync(join(tree, 'a'), 1_500_000_000, 1_500_000_000);
  const isSame = (copy: string) =>
    execFileSync('diff', ['-r', '--no-dereference', tree, join(commands.directory, copy)]).length === 0;

  await commands.gfs('put', '-r', 'tree', '/tree');
  await commands.gfs('get', '-r', '/tree', 'back');
  t.true(isSame('back'));
  t.is(statSync(join(commands.directory, 'back/empty')).mode & 0o777, 0o555);
  t.is(statSync(join(commands.directory, 'back/a')).mtimeMs, 1_500_000_000_000);
  t.is(await commands.gfs('cat', '/tree/a/link'), '1');

  await commands.gfs('cp', '-r', '/tree', '/copy');
  await commands.gfs('put', '-r', 'tree/.', '/copy');
  await commands.gfs('get', '-r', '/copy', 'back2');
  t.true(isSame('back2'));
  const intoItself = await commands.call(['cp', '-r', '/tree', '/tree/a/b']);
  t.is(intoItself.code, 1);
  t.is(intoItself.err, 'gfs: /tree: cannot be copied into itself\n');

  await commands.gfs('mv', '/copy', '/tree/a');
  await commands.gfs('rm', '-r', '/tree');
  t.is((await commands.call(['ls', '/tree'])).code, 1);
});

withCommands('holes stay holes on the way there and back', async (t, commands) => {
  const local = join(commands.directory, 'sparse');
  writeFileSync(local, 'start');
  truncateSync(local, 200 * MiB);
  await commands.gfs('put', 'sparse', '/sparse');
  const [{ bytes, length }] = JSON.parse(await commands.gfs('du', '--json', '/sparse'));
  t.is(length, 200 * MiB);
  t.true(bytes <= 1 * MiB);
  await commands.gfs('get', '/sparse', 'sparse2');
  const { size, blocks } = statSync(join(commands.directory, 'sparse2'));
  t.is(size, 200 * MiB);
  t.true(blocks * 512 <= 2 * MiB);
});

withCommands('a part of a file, and not what is past its end', async (t, commands) => {
  const bytes = randomBytes(3 * MiB);
  await commands.call(['put', '-', '/range'], { input: bytes });
  const part = await commands.call(['getrange', '/range', '1000KiB', '1MiB']);
  t.true(part.out.equals(bytes.subarray(1000 * KiB, 1000 * KiB + MiB)));
  t.is((await commands.call(['getrange', '/range', String(3 * MiB - 5), '10'])).out.length, 5);
  t.is((await commands.call(['getrange', '/range', '3MiB', '10'])).out.length, 0);
  const past = await commands.call(['getrange', '/range', '4MiB', '1']);
  t.is(past.code, 1);
  t.is(past.err, `gfs: /range: offset ${4 * MiB} is past the end, at ${3 * MiB}\n`);
  t.is((await commands.call(['getrange', '/range', '-1', '1'])).code, 2);
});

withCommands('lines that many append at once are each there, whole and in order', async (t, commands) => {
  const lines = (writer: number) => Array.from({ length: 3000 }, (_, line) => `${writer} ${line}\n`);
  const writers = [1, 2, 3];
  const codes = await Promise.all(
    writers.map((writer) => commands.call(['append', '/log'], { input: lines(writer).join('') })),
  );
  t.deepEqual(
    codes.map(({ code, err }) => ({ code, err })),
    Array(3).fill({ code: 0, err: '' }),
  );
  const log = (await commands.gfs('cat', '/log')).split(/(?<=\n)/);
  for (const writer of writers) {
    t.deepEqual(
      log.filter((line) => line.startsWith(`${writer} `)),
      lines(writer),
    );
  }
  t.is(log.length, 9000);
  const whole = await commands.call(['append', '--whole', '/log'], { input: randomBytes(300 * KiB) });
  t.is(whole.code, 1);
  t.is(whole.err, 'gfs: /log: a record has up to 256.0 KiB here\n');
});

withCommands('names that are not text are taken and shown exactly', async (t, commands) => {
  const made = await commands.shell(`
    gfs mkdir $'/names' && echo one > $'local\\xff' &&
    gfs put $'local\\xff' $'/names/new\\nline' && gfs mv $'/names/new\\nline' $'/names/b\\xff\\x01' &&
    gfs put -r $'local\\xff' /names && gfs cat $'/names/b\\xff\\x01' && gfs ls /names && rm $'local\\xff' &&
    gfs get $'/names/local\\xff' . && cat $'local\\xff'; gfs cat $'/names/\\xfe'`);
  t.is(made.out.toString(), "one\n$'b\\xff\\x01'\n$'local\\xff'\none\n");
  t.is(made.err, "gfs: $'/names/\\xfe': no such file or directory\n");
  const listed = JSON.parse(await commands.gfs('ls', '--json', '/names')) as { nameBase64: string }[];
  const names = listed.map(({ nameBase64 }) => Buffer.from(nameBase64, 'base64').toString('latin1'));
  t.deepEqual(names, ['b\xff\x01', 'local\xff']);
});

withCommands('modes, owners, links and times', async (t, commands) => {
  await commands.gfs('mkdir', '-m', '0750', '/attributes');
  await commands.gfs('touch', '-d', '2020-01-02T03:04:05Z', '/attributes/file');
  await commands.gfs('chmod', 'u=rwx,go=', '/attributes/file');
  await commands.gfs('chown', '12345:23456', '/attributes/file');
  await commands.gfs('ln', '/attributes/file', '/attributes/hard');
  await commands.gfs('ln', '-s', 'file', '/attributes/soft');
  await commands.gfs('ln', '-sf', 'hard', '/attributes/soft');
  const list = JSON.parse(await commands.gfs('ls', '--json', '/attributes')) as Record<string, unknown>[];
  const file = {
    type: 'file',
    mode: '0700',
    uid: 12345,
    gid: 23456,
    links: 2,
    mtime: '2020-01-02T03:04:05.000Z',
  };
  t.like(list[0], { name: 'file', ...file });
  t.like(list[1], { name: 'hard', ...file, inode: list[0]?.inode });
  t.like(list[2], { name: 'soft', type: 'symbolic link', target: 'hard' });
  await commands.gfs('cp', '-p', '/attributes/file', '/attributes/kept');
  await commands.gfs('cp', '/attributes/file', '/attributes/fresh');
  const copies = JSON.parse(await commands.gfs('ls', '--json', '/attributes')) as Record<string, unknown>[];
  t.like(
    copies.find(({ name }) => name === 'kept'),
    { ...file, links: 1 },
  );
  t.like(
    copies.find(({ name }) => name === 'fresh'),
    { mode: '0700', uid: process.getuid?.() },
  );
  await commands.gfs('chmod', '-R', 'a+rX', '/attributes');
  const lines = (await commands.gfs('ls', '-ld', '/attributes', '/attributes/kept')).split('\n');
  t.regex(lines[0] ?? '', /^drwxr-xr-x +2 /);
  t.regex(lines[1] ?? '', /^-rwxr-xr-x +1 12345 +23456 +0 2020-01-0\d \d\d:\d\d \/attributes\/kept$/);
});

withCommands('trees are listed, drawn and counted', async (t, commands) => {
  await commands.gfs('mkdir', '-p', '/listed/a/b', '/listed/c');
  await commands.call(['put', '-', '/listed/a/file'], { input: 'x'.repeat(1500) });
  t.is(await commands.gfs('ls', '-R', '/listed'), '/listed/a\n/listed/a/b\n/listed/a/file\n/listed/c\n');
  t.is(
    await commands.gfs('tree', '/listed'),
    '/listed\n├── a\n│   ├── b\n│   └── file\n└── c\n\n3 directories, 1 files\n',
  );
  t.is(await commands.gfs('du', '-s', '/listed'), '   1.5 KiB  /listed\n');
  t.deepEqual(JSON.parse(await commands.gfs('du', '--json', '/listed')).at(-1), {
    ...{ path: '/listed', bytes: 1500, length: 1500, files: 1, directories: 4 },
  });
  const drawn = JSON.parse(await commands.gfs('tree', '--json', '/listed'));
  t.deepEqual(
    drawn.entries.map((entry: { name: string }) => entry.name),
    ['a', 'c'],
  );
});

withCommands('who reads the list of a large directory may stop', async (t, commands) => {
  const many = join(commands.directory, 'many');
  mkdirSync(many);
  for (let number = 0; number < 2500; number += 1) writeFileSync(join(many, `${10_000 + number}`), '');
  await commands.gfs('put', '-r', 'many', '/many');
  t.is((await commands.gfs('ls', '/many')).split('\n').length, 2501);
  const headed = await commands.shell(
    'set -o pipefail; gfs ls -R / | head -n 1; gfs --help | true; gfs cat /many/10000',
  );
  t.is(headed.err, '');
  t.is(headed.code, 0);
  await commands.gfs('rm', '-r', '/many');
});

withCommands('what fails is one line with its path, the rest goes on', async (t, commands) => {
  writeFileSync(join(commands.directory, 'ok'), 'ok');
  await commands.gfs('mkdir', '-p', '/bad/directory');
  const check = async (args: string[], code: number, err: string | RegExp) => {
    const called = await commands.call(args);
    t.is(called.code, code, args.join(' '));
    if (typeof err === 'string') t.is(called.err, `gfs: ${err}\n`, args.join(' '));
    else t.regex(called.err, err);
  };
  await check(['ls', 'bad'], 2, '"bad" is no path in the cluster: those begin with /');
  await check(['put', 'none', 'ok', '/bad'], 1, 'none: no such file or directory');
  t.is(await commands.gfs('cat', '/bad/ok'), 'ok');
  await check(['put', 'ok'], 2, 'where it should go is missing');
  await check(['put', 'ok', '/bad/new/'], 1, '/bad/new: no such directory');
  await check(['rm', '-r', '/'], 1, '/: the root, "." and ".." are not removed');
  t.is(await commands.gfs('rm', '-f', '/bad/none'), '');
  await check(['mv', '-n', '/bad/ok', '/bad/ok2'], 0, /^$/);
  await check(['cp', '/bad/ok2', '/bad/ok3'], 0, /^$/);
  await check(['mv', '-n', '/bad/ok2', '/bad/ok3'], 1, '/bad/ok2: cannot become /bad/ok3: it exists already');
  await check(['mv', '/bad', '/bad/directory'], 1, /^gfs: \/bad: cannot become \/bad\/directory\/bad: /);
  await check(['chmod', 'zzz', '/bad'], 2, 'mode: "zzz" is neither octal, as 0755, nor as u+x,go-w');
  await check(['chown', 'no-such-user', '/bad'], 2, /no user "no-such-user"/);
});

withCommands('a tree goes as a whole, or says by its path what keeps it', async (t, commands) => {
  await commands.gfs('mkdir', '-m', '0777', '/shared');
  await commands.gfs('mkdir', '-p', "/shared/tree/root's/file");
  await commands.gfs('chown', '65534', '/shared/tree');
  for (const flags of ['-r', '-rf']) {
    const { code, err } = await commands.shell(
      `setpriv --reuid 65534 --regid 65534 --clear-groups "${process.execPath}" "${GFS}" rm ${flags} /shared/tree`,
    );
    t.is(code, 1);
    t.is(err, "gfs: /shared/tree/root's: permission denied\n");
  }
  t.is(await commands.gfs('ls', '/shared/tree'), "root's\n");
  await commands.gfs('rm', '-r', "/shared/tree/root's/file");
  t.is(await commands.gfs('rm', '-r', '/none', '/shared/tree', '-f'), '');
  t.is(await commands.gfs('ls', '/shared'), '');
});

withCommands('a person sees a bar, others see nothing', async (t, commands) => {
  const onTerminal = (command: string) =>
    commands.shell(
      `command -v script > /dev/null || exit 99; export -f gfs; SHELL=$BASH script -qec '${command}' /dev/null`,
    );
  await commands.shell('mkdir bar; head -c 5000000 /dev/zero > bar/file');
  const seen = await onTerminal('gfs put -r bar /bar');
  if (seen.code === 99) {
    t.log('skipped: there is no program "script"');
    t.pass();
    return;
  }
  t.is(seen.code, 0);
  t.regex(seen.out.toString(), /100% {2}4\.8 MiB of 4\.8 MiB {2}[\d.]+ [MK]iB\/s {2}0:00 left/);
  t.regex((await onTerminal('gfs rm -r /bar')).out.toString(), /100% {2}2 of 2 /);
  t.is((await onTerminal('gfs put --quiet -r bar /bar')).out.toString(), '');
  t.deepEqual(await commands.call(['put', '-r', 'bar', '/']), {
    ...{ code: 0, signal: null, out: Buffer.alloc(0), err: '' },
  });
});
