// What src/deploy has to copy is accepted by the programs, and what it says of them is so.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';

const ROOT = join(import.meta.dirname, '../../..');
const DEPLOY = join(ROOT, 'src/deploy');
const UNITS = join(DEPLOY, 'systemd');
const MACHINES = join(DEPLOY, 'three-machines');
const PROGRAMS: Readonly<Record<string, string>> = {
  gfs: 'dist/src/cli/gfs.js',
  'gfs-master': 'dist/src/cli/gfs-master.js',
  'gfs-chunkserver': 'dist/src/cli/gfs-chunkserver.js',
  'gfs-mount': 'dist/mount/gfs-mount.js',
};

/** What a program says of a command line, which it does not carry out. */
function check([program = '', ...args]: readonly string[]): string {
  const script = PROGRAMS[program];
  if (script === undefined) return `there is no ${program}`;
  const done = spawnSync(process.execPath, [join(ROOT, script), ...args, '--check-config'], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  return done.stdout + done.stderr;
}

/** The commands of a unit, as its instance `disk1`, which is a mount at /mnt/gfs, would run them. */
function commandsOf(unit: string): string[][] {
  const text = readFileSync(join(UNITS, unit), 'utf8').replaceAll('%i', 'disk1').replaceAll('%f', '/mnt/gfs');
  return [...text.matchAll(/^ExecStart=(.*)$/gm)].map(([, command = '']) => command.split(' '));
}

const GOOD = /^gfs[a-z -]*: the configuration is good\n$/;
const machines = readdirSync(MACHINES);
const units = readdirSync(UNITS).filter((name) => name.endsWith('.service'));

test('each unit starts its program with the file that the first machine has for it', (t) => {
  for (const unit of units) {
    const commands = commandsOf(unit);
    t.is(commands.length, 1, unit);
    for (const command of commands) {
      const here = command.map((word) => word.replace('/etc/gfs', join(MACHINES, '10.0.0.1')));
      t.true(here.includes('--config'), unit);
      t.regex(check(here), GOOD, unit);
    }
  }
});

test('each file of each machine is accepted by the program that it is for', (t) => {
  const programs = units.flatMap((unit) => commandsOf(unit));
  let count = 0;
  for (const machine of machines) {
    for (const file of readdirSync(join(MACHINES, machine))) {
      const command = programs.find((words) => words.some((word) => basename(word) === file));
      t.truthy(command, `no unit reads ${file}`);
      const path = join(MACHINES, machine, file);
      t.regex(check((command ?? []).map((word) => (basename(word) === file ? path : word))), GOOD, path);
      count += 1;
    }
  }
  t.is(count, 8);
});

test('each container runs a program that takes its arguments, and finds the others by name', (t) => {
  const compose = parse(readFileSync(join(DEPLOY, 'compose.yaml'), 'utf8'), { merge: true }) as {
    services: Record<string, { image: string; command: string[]; volumes?: unknown[] }>;
    volumes: Record<string, null>;
  };
  const services = Object.entries(compose.services);
  t.deepEqual(
    services.map(([name]) => name),
    ['master', 'chunkserver1', 'chunkserver2', 'chunkserver3', 'gateway', 'mount'],
  );
  for (const [name, { image, command, volumes = [] }] of services) {
    t.is(image, 'gfs');
    t.regex(check(command), GOOD, name);
    const advertised = command[command.indexOf('--advertise') + 1];
    if (command.includes('--advertise')) t.is(advertised, `${name}:7500`);
    if (command.includes('--data')) {
      t.deepEqual(volumes, [`${name}:/data`]);
      t.true(name in compose.volumes);
    }
    if (name !== 'master') t.is(command[command.indexOf('--master') + 1], 'master:7400');
  }
});

test('systemd takes the units', (t) => {
  if (spawnSync('systemd-analyze', ['--version']).error !== undefined) {
    t.log('skipped: there is no systemd-analyze');
    t.pass();
    return;
  }
  const directory = mkdtempSync(join(tmpdir(), 'gfs-units-'));
  try {
    cpSync(UNITS, directory, { recursive: true });
    // It looks whether programs are there, and ours need not be installed.
    for (const unit of units) {
      const text = readFileSync(join(UNITS, unit), 'utf8');
      writeFileSync(join(directory, unit), text.replaceAll('ExecStart=gfs', 'ExecStart=env gfs'));
    }
    const instances = units.map((unit) => join(directory, unit.replace('@', '@mnt-gfs')));
    const verified = spawnSync('systemd-analyze', ['verify', '--man=no', ...instances], { encoding: 'utf8' });
    const ours = verified.stderr.split('\n').filter((line) => line.includes('gfs'));
    t.deepEqual(ours, []);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('the table of keys says what the programs say', (t) => {
  const tool = join(ROOT, 'src/tools/configuration.mjs');
  const done = spawnSync(process.execPath, [tool, '--check'], { encoding: 'utf8' });
  t.is(done.stderr, '');
  t.is(done.status, 0);
});
