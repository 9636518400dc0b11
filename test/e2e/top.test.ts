// What people see of the traffic of a cluster that is being written to and read.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import test from 'ava';
import { MiB } from '../../src/base/units.ts';
import { GFS, run, skips, TestCluster } from './cluster.ts';

interface Look {
  readonly status: { readonly traffic: Traffic; readonly serverCountAlive: number };
  readonly servers: readonly { readonly server: number; readonly traffic?: Traffic }[];
}
interface Traffic {
  readonly readBytesPerSecond: number;
  readonly writtenBytesPerSecond: number;
  readonly mutationsPerSecond: number;
  readonly mutateMs: number;
  readonly mutateP50Ms: number;
  readonly mutateP99Ms: number;
}

function tooWide(text: string): string[] {
  return text.split('\n').filter((line) => line.length > 80);
}

test('the traffic of each server shows in top, servers and status while a file is written and read', async (t) => {
  if (skips(t)) return;
  await using cluster = new TestCluster({ chunkSize: '1MiB' });
  const { master } = await cluster.start();
  let working = true;
  const work = (async () => {
    const dd = promisify(execFile);
    while (working) {
      await dd('dd', ['if=/dev/zero', `of=${cluster.mount}/f`, 'bs=1M', 'count=8', 'conv=fsync']);
      await dd('dd', [`if=${cluster.mount}/f`, 'of=/dev/null', 'bs=1M', 'iflag=direct']);
    }
  })();
  try {
    const top = spawn(process.execPath, [
      GFS,
      'top',
      '--json',
      '--interval',
      '100ms',
      '--master',
      master.address,
    ]);
    let shown = '';
    top.stdout.on('data', (text: Buffer) => {
      shown += text.toString();
    });
    const looks = () =>
      shown
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Look);
    const isSeen = ({ servers }: Look) =>
      servers.length === 3 && servers.every(({ traffic }) => (traffic?.writtenBytesPerSecond ?? 0) > MiB);
    while (!looks().some((look) => isSeen(look) && look.status.traffic.readBytesPerSecond > MiB))
      await sleep(50);
    const seen = looks().find(isSeen);
    t.is(seen?.status.serverCountAlive, 3);
    t.true((seen?.status.traffic.mutationsPerSecond ?? 0) > 0);
    t.true((seen?.status.traffic.mutateMs ?? 0) > 0);
    for (const { traffic } of [...(seen?.servers ?? []), ...(seen ? [seen.status] : [])]) {
      if (traffic === undefined || traffic.mutationsPerSecond === 0) continue;
      t.true(traffic.mutateP50Ms > 0);
      t.true(traffic.mutateP99Ms >= traffic.mutateP50Ms);
    }
    const sum =
      seen?.servers.reduce((all, { traffic }) => all + (traffic?.writtenBytesPerSecond ?? 0), 0) ?? 0;
    t.true(Math.abs(sum - (seen?.status.traffic.writtenBytesPerSecond ?? 0)) < sum / 2);
    const ended = once(top, 'exit');
    top.kill('SIGINT');
    t.deepEqual(await ended, [0, null], 'Ctrl-C ends it quietly');

    const { stdout: status } = await cluster.gfs('status');
    t.regex(status, /^traffic +\d.*iB\/s read, \d.*iB\/s written$/m);
    const times = /\d+\.\d\/s: [\d.]+ ms on average, p50 [\d.]+ ms, p99 [\d.]+ ms$/.source;
    t.regex(status, new RegExp(`^reads +${times}`, 'm'));
    t.regex(status, new RegExp(`^mutations +${times}`, 'm'));
    t.regex(status, /^operations +\d+\.\d\/s, \d+\.\d\/s of them failed$/m);
    t.deepEqual(tooWide(status), []);
    const { stdout: servers } = await cluster.gfs('servers');
    t.regex(
      servers,
      /^SERVER +STATE +READ\/s +WRITTEN\/s +OPS\/s +FAILED\/s +READ ms +MUTATE ms\n +p50\/p99 +p50\/p99$/m,
    );
    t.regex(servers, /^all +\d.*iB +\d.*iB +[\d.]+ +[\d.]+ +[\d.]+\/[\d.]+ +[\d.]+\/[\d.]+$/m);
    t.deepEqual(tooWide(servers.split('\n\n').slice(0, 2).join('\n')), []);

    // A reader that goes away ends it, too.
    const { code, stdout, stderr } = await run('bash', [
      ...['-c', 'set -o pipefail; "$0" "$@" | head -n 27', process.execPath],
      ...[GFS, 'top', '--interval', '100ms', '--master', master.address],
    ]);
    t.is(stderr, '');
    t.is(code, 0);
    t.is(stdout.match(/^gfs top {2}\d\d:\d\d:\d\d {2}3 of 3 servers alive, clients: 2$/gm)?.length, 3);
    t.deepEqual(tooWide(stdout), []);
  } finally {
    working = false;
    await work;
  }
});

test('top on a terminal is drawn over what it showed before', async (t) => {
  if (skips(t)) return;
  await using cluster = new TestCluster({ chunkservers: 1, replication: 1 });
  const { master } = await cluster.start();
  // script(1) gives it a terminal of its own; Ctrl-C would end a shell that stayed in front of it.
  const command = `exec '${process.execPath}' '${GFS}' top --interval 100ms --master ${master.address}`;
  const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let shown = '';
  terminal.stdout.on('data', (text: Buffer) => {
    shown += text.toString();
  });
  while (shown.split('\x1b[H').length < 4) await sleep(50);
  const ended = once(terminal, 'exit');
  terminal.stdin.write('\x03');
  t.deepEqual(await ended, [0, null]);
  const [, one = ''] = shown.split('\x1b[H');
  const [heading = ''] = one.split('\r\n', 1);
  t.regex(
    heading.replace('\x1b[K', ' erased'),
    /^gfs top {2}\d\d:\d\d:\d\d {2}1 of 1 servers alive, clients: 2 erased$/,
  );
  t.true(one.endsWith('\x1b[J'));
});

test('top without a master, and with an interval that is none', async (t) => {
  const top = (...args: string[]) => run(process.execPath, [GFS, 'top', '--master', '127.0.0.1:1', ...args]);
  const absent = await top();
  t.is(absent.code, 1);
  t.regex(absent.stderr, /^gfs: .*127\.0\.0\.1:1.*\n$/);
  t.is(absent.stdout, '');
  for (const interval of ['1ms', 'often']) {
    const wrong = await top('--interval', interval);
    t.is(wrong.code, 2);
    t.regex(wrong.stderr, new RegExp(`^gfs: .*--interval.*"${interval}".*\\n$`));
  }
});
