// `gfs bench` as people call it: of a mount, of the cluster, and of a directory beside them.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FIGURES } from '../../src/cli/bench/figures.ts';
import { type Finished, GFS, gone, run } from './cluster.ts';
import type { DaemonCluster } from './daemon-cluster.ts';
import { sharedCluster } from './shared-cluster.ts';

const TINY = ['--size', '1MiB', '--files', '5', '--time', '50ms', '--rounds', '2', '--clients', '2'];
/** Long enough to be killed in the midst. */
const LONG = ['--size', '16MiB', '--files', '200', '--rounds', '3', '--clients', '2'];
const COLD = FIGURES.filter(({ cold }) => cold).map(({ name }) => name);

const withCluster = sharedCluster({ chunkservers: 3, mounts: 1, chunkSize: '1MiB' });

interface Figure {
  readonly name: string;
  readonly clients: number;
  readonly rate: number;
  readonly rounds: readonly number[];
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly networkLimit?: number;
  readonly shareOfNetwork?: number;
  readonly compare?: { readonly rate: number };
  readonly ratio?: number;
}

function argsOf(of: DaemonCluster, args: readonly string[]): string[] {
  return [GFS, 'bench', '--master', of.masterAddress, ...args];
}

function bench(of: DaemonCluster, ...args: string[]): Promise<Finished> {
  return run(process.execPath, argsOf(of, args));
}

/** A plain directory of the test's own, beside the cluster's. */
function plainDirectory(of: DaemonCluster, name: string): string {
  const path = join(of.directory, name);
  mkdirSync(path);
  return path;
}

/** Of what `bench` makes, what is there. */
function left(...directories: string[]): string[] {
  return directories.flatMap((path) => readdirSync(path)).filter((name) => name.startsWith('gfs-bench-'));
}

function tooWide(text: string): string[] {
  return text.split('\n').filter((line) => line.length > 80);
}

withCluster('a mount is measured beside a plain directory, for programs and as a picture', async (t, of) => {
  const plain = plainDirectory(of, 'beside');
  const svg = join(of.directory, 'chart.svg');
  const mount = of.path('');
  const { code, stdout, stderr } = await bench(
    of,
    ...[mount, '--compare', plain, '--json', '--svg', svg, ...TINY],
  );
  t.is(code, 0, stderr);
  t.deepEqual(
    stderr.trim().split('\n'),
    FIGURES.map(({ name }) => `gfs: measuring ${name}`),
  );
  const { machine, here, there, figures, notes, network } = JSON.parse(stdout);
  t.true(machine.cpuCount > 0 && machine.memoryBytes > 0 && machine.kernel.length > 0);
  t.like(here, { kind: 'directory', description: 'fuse.gfs' });
  t.is(there.path, plain);
  t.is(network, undefined);
  t.true(notes.some((note: string) => note.startsWith(`${COLD.join(', ')}: `)));
  t.deepEqual(
    figures.map(({ name, clients }: Figure) => [name, clients]),
    FIGURES.flatMap(({ name }) => [
      [name, 1],
      [name, 2],
    ]),
  );
  for (const { name, rate, rounds, latencyMs, compare, ratio } of figures as Figure[]) {
    t.true(rate > 0 && rounds.length === 2, name);
    t.true(latencyMs.p50 > 0 && latencyMs.p50 <= latencyMs.p99 && latencyMs.p99 <= latencyMs.max, name);
    t.is(ratio, rate / (compare?.rate ?? 0), name);
  }
  const picture = readFileSync(svg, 'utf8');
  t.regex(picture, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  for (const { name } of FIGURES) t.true(picture.includes(`>${name}, `), name);
  t.true(picture.includes(`${plain.slice(-20)} (`));
  t.deepEqual(left(mount, plain), []);
});

withCluster('the cluster is measured without a mount, as shares of the network', async (t, of) => {
  const shown = await bench(of, '--cluster', ...TINY);
  t.is(shown.code, 0, shown.stderr);
  t.regex(shown.stdout, /^the cluster, in \/ \(3 of 3 servers, 3 copies\)$/m);
  t.regex(shown.stdout, /^FIGURE +CLIENTS +RATE +OF NET +p50 ms +p99 ms$/m);
  for (const { name, direction } of FIGURES) {
    const amount = direction === undefined ? '-' : '[\\d.]+%';
    t.regex(shown.stdout, new RegExp(`^${name} +2 +[\\d.,]+ (MB)?/s +${amount} +[\\d.]+ +[\\d.]+$`, 'm'));
  }
  t.regex(shown.stdout, /^Network: loopback/m);
  t.deepEqual(tooWide(shown.stdout), []);

  mkdirSync(of.path('measured'));
  const json = await bench(
    of,
    '--cluster',
    '/measured',
    '--json',
    '--only',
    'write,read,stat',
    '-q',
    ...TINY,
  );
  t.is(json.stderr, '');
  const { network, figures } = JSON.parse(json.stdout) as {
    network: { path: object; writtenCrossings: number; limits: { bytesPerSecond: number }[] };
    figures: Figure[];
  };
  t.like(network, { path: { kind: 'loopback', host: '127.0.0.1' }, writtenCrossings: 3 });
  t.true(network.limits.every(({ bytesPerSecond }) => bytesPerSecond > 0));
  const limitOf = (wanted: string) => figures.find(({ name }) => name === wanted)?.networkLimit;
  const megabytes = (network.limits[0]?.bytesPerSecond ?? 0) / 1e6;
  t.is(Math.round(limitOf('read') ?? 0), Math.round(megabytes));
  t.is(Math.round(limitOf('write') ?? 0), Math.round(megabytes / 3));
  t.is(limitOf('stat'), undefined);
  t.deepEqual(left(of.path(''), of.path('measured')), []);
  rmSync(of.path('measured'), { recursive: true });
});

for (const what of ['a mount', 'the cluster']) {
  withCluster(
    `whatever ends a measurement of ${what}, nothing is left and nobody works on`,
    async (t, of) => {
      const plain = plainDirectory(of, `killed-${what.slice(-5)}`);
      const mount = of.path('');
      const where = [what === 'a mount' ? mount : '--cluster', '--compare', plain];
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
        for (const moment of ['write', 'remove']) {
          const child = spawn(process.execPath, argsOf(of, [...where, '--only', moment, ...LONG]));
          t.teardown(() => child.kill('SIGKILL'));
          await measuring(child, moment);
          t.true(left(plain).length === 1 && left(mount).length === 1, moment);
          const clients = childrenOf(child);
          t.is(clients.length, 2);
          const closed = once(child, 'close');
          child.kill(signal);
          // Its clients have its standard error: this is over when they are.
          t.deepEqual(await closed, [null, signal]);
          t.deepEqual(left(plain, mount), [], `${signal}, ${moment}`);
          for (const pid of clients) await gone(pid);
        }
      }
    },
  );
}

withCluster('a client that dies ends all, in one line, and nothing is left', async (t, of) => {
  const plain = plainDirectory(of, 'client-dies');
  const child = spawn(process.execPath, argsOf(of, ['--cluster', '--compare', plain, ...LONG]));
  t.teardown(() => child.kill('SIGKILL'));
  const said = await measuring(child, 'write');
  const closed = once(child, 'close');
  process.kill(childrenOf(child)[1] ?? 0, 'SIGKILL');
  t.deepEqual(await closed, [1, null]);
  t.deepEqual(said().split('\n').slice(-2), ["gfs: a client's process ended: SIGKILL", '']);
  t.deepEqual(left(plain, of.path('')), []);
});

withCluster('a call that cannot be is told in one line, before anything is made', async (t, of) => {
  const plain = plainDirectory(of, 'bad');
  const file = join(plain, 'file');
  writeFileSync(file, '');
  const refused = async (code: number, why: RegExp, ...args: string[]) => {
    const { code: actual, stdout, stderr } = await bench(of, ...args);
    t.is(actual, code, `${args.join(' ')}: ${stderr}`);
    t.regex(stderr, why);
    t.regex(stderr, /^gfs: [^\n]+\n$/);
    t.is(stdout, '');
  };
  await refused(2, /name a directory to measure, or --cluster/);
  await refused(2, /Expected 1 argument/, plain, plain);
  await refused(2, /--clients.*"0" is not a number from 1 to 64/, plain, '--clients', '0');
  await refused(2, /--clients.*"1000" is not a number from 1 to 64/, plain, '--clients', '1000');
  await refused(2, /--only.*no figure "wrote", but write, read, /, plain, '--only', 'read,wrote');
  await refused(2, /--size.*"4KiB" is less than 1MiB/, plain, '--size', '4KiB');
  await refused(2, /--time.*"0" is less than 10ms/, plain, '--time', '0');
  await refused(2, /"here" is no path in the cluster/, '--cluster', 'here');
  await refused(1, /nowhere: no such file or directory/, join(plain, 'nowhere'));
  await refused(1, /file: not a directory/, file);
  await refused(1, /file: not a directory/, plain, '--compare', file);
  await refused(1, /\/nowhere: no such file or directory/, '--cluster', '/nowhere');
  await refused(1, /1\.5 PiB are needed, and .* free/, plain, '--size', '512TiB', '--clients', '1');
  await refused(1, /\d iB are needed|\d PiB are needed/, '--cluster', '--size', '512TiB', '--clients', '1');
  await refused(1, /chart: no such file or directory/, plain, '--svg', join(plain, 'no/chart'));
  await refused(1, /bad: is a directory/, plain, '--svg', plain);
  await refused(1, /127\.0\.0\.1:1/, '--cluster', '--master', '127.0.0.1:1');
  t.deepEqual(readdirSync(plain), ['file']);
  t.deepEqual(left(of.path('')), []);
});

withCluster('the figures there are can be listed', async (t, of) => {
  const { code, stdout } = await bench(of, '--list');
  t.is(code, 0);
  for (const { name, unit } of FIGURES) t.regex(stdout, new RegExp(`^${name} +${unit} +\\w`, 'm'));
  t.deepEqual(tooWide(stdout), []);
  t.is(JSON.parse((await bench(of, '--list', '--json')).stdout).length, FIGURES.length);
});

/** Resolves, to what it has said by then, once it measures this figure and all clients are at it. */
async function measuring(child: ChildProcess, name: string): Promise<() => string> {
  let said = '';
  child.stderr?.on('data', (text: Buffer) => {
    said += text.toString();
  });
  while (!said.includes(`measuring ${name}`)) {
    if (child.exitCode !== null) throw new Error(said);
    await sleep(5);
  }
  return () => said;
}

function childrenOf({ pid = 0 }: ChildProcess): number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return list === '' ? [] : list.split(' ').map(Number);
}
