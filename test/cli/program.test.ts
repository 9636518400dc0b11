import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { NODE_FLAGS } from '../../src/base/node-flags.ts';
import { createLogger } from '../../src/cli/logger.ts';
import { createProgram } from '../../src/cli/program.ts';
import { NodeNetwork } from '../../src/rpc/node-network.ts';

const DAEMONS = ['src/cli/gfs-master.js', 'src/cli/gfs-chunkserver.js', 'mount/gfs-mount.js'];
const PROGRAM = new URL('./fixture-program.js', import.meta.url).pathname;

interface Given {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly file?: string;
}

/** What a program with the keys `--size`, `--count`, `--flag` and a required `--data` makes of a call. */
function check({ args = [], env = {}, file }: Given) {
  const directory = mkdtempSync(join(tmpdir(), 'gfs-program-'));
  try {
    const more = file === undefined ? [] : ['--config', join(directory, 'config.yaml')];
    if (file !== undefined) writeFileSync(join(directory, 'config.yaml'), file);
    const done = spawnSync(process.execPath, [PROGRAM, ...args, ...more], {
      env: { PATH: process.env.PATH, ...env },
      encoding: 'utf8',
    });
    return {
      status: done.status,
      out: done.stdout.trim(),
      err: done.stderr.replaceAll(directory, 'DIR').trim(),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('flags, environment, file and defaults weigh in this order', (t) => {
  const file = 'size: 3MiB\ncount: 3\nflag: true\ndata: /file\n';
  const env = { GFS_SIZE: '2MiB', GFS_COUNT: '2' };
  const { out } = check({ args: ['--size', '1MiB'], env, file });
  t.deepEqual(JSON.parse(out), { size: 1048576, count: 2, flag: true, data: '/file' });
  t.deepEqual(JSON.parse(check({ args: ['--data', 'x'] }).out), {
    size: 7,
    count: 1,
    flag: false,
    data: 'x',
  });
});

test('a wrong call is one line that names the key, and exit code 2', (t) => {
  const cases: [Given, RegExp][] = [
    [{ args: ['--data', 'x', '--bogus'] }, /^fixture: unknown option '--bogus'$/],
    [
      { args: ['--data', 'x', '--size', 'big'] },
      /^fixture: option '--size <size>' argument 'big' is invalid.*$/,
    ],
    [
      { args: ['--data', 'x'], env: { GFS_COUNT: '-1' } },
      /^fixture: option '--count <n>' value '-1' from env 'GFS_COUNT'.*$/,
    ],
    [{ args: ['--data', 'x'], file: 'colour: red' }, /^fixture: unknown key "colour" in DIR\/config.yaml$/],
    [
      { args: ['--data', 'x'], file: 'count: many' },
      /^fixture: key "count" in DIR\/config.yaml: .*"many" is not a number from 1 to 9$/,
    ],
    [{ args: ['--data', 'x'], file: '- a\n- b' }, /^fixture: config: DIR\/config.yaml is not a list of.*$/],
    [{ args: ['--data', 'x'], file: 'a: [' }, /^fixture: config: cannot read DIR\/config.yaml.*$/],
    [{ args: ['--data', 'x', 'surplus'] }, /^fixture: too many arguments.*$/],
    [{}, /^fixture: --data is missing$/],
  ];
  for (const [given, expected] of cases) {
    const { status, out, err } = check(given);
    t.regex(err, expected);
    t.is(status, 2, err);
    t.is(out, '');
  }
});

test('--check-config says that all keys can be used, and runs nothing', (t) => {
  const good = check({ args: ['--check-config'], file: 'data: /file' });
  t.deepEqual(good, { status: 0, out: 'fixture: the configuration is good', err: '' });
  const cases: [Given, RegExp][] = [
    [{ args: ['--check-config'] }, /^fixture: --data is missing$/],
    [{ args: ['--check-config'], file: 'data: x\ncolour: red' }, /^fixture: unknown key "colour" in/],
    [{ args: ['--check-config', '--count', '8'], file: 'data: x' }, /^fixture: --count is above --size$/],
    [{ args: ['--data', 'x'], file: 'check-config: true' }, /^fixture: unknown key "check-config" in/],
  ];
  for (const [given, expected] of cases) {
    const { status, out, err } = check(given);
    t.regex(err, expected);
    t.deepEqual([status, out], [2, '']);
  }
});

test('--help and --version end well', (t) => {
  const help = check({ args: ['--help'] });
  t.is(help.status, 0);
  t.regex(help.out, /--size <size>.*env: GFS_SIZE/);
  t.regex(check({ args: ['--version'] }).out, /^\d+\.\d+\.\d+$/);
});

test('a daemon that is started by its own name gets the same Node.js flags', (t) => {
  for (const daemon of DAEMONS) {
    const [firstLine] = readFileSync(new URL(`../../${daemon}`, import.meta.url), 'utf8').split('\n', 1);
    t.is(firstLine, `#!/usr/bin/env -S node ${NODE_FLAGS.join(' ')}`, daemon);
  }
});

test('a program starts without gRPC, YAML and colours, which few need and all would wait for', async (t) => {
  createProgram('fixture', 'does nothing');
  createLogger({ name: 'fixture', level: 'error', pretty: false });
  const network = new NodeNetwork({ env: new NodeEnv(silentLogger) });
  await network.connect('127.0.0.1:1').close();
  await (await network.listen('127.0.0.1:0', [])).close();
  const loaded = Object.keys(createRequire(import.meta.url).cache);
  t.true(loaded.some((path) => path.includes('/node_modules/commander/')));
  t.deepEqual(
    loaded.filter((path) => /\/node_modules\/(@grpc|yaml|pino-pretty)\//.test(path)),
    [],
  );
});
