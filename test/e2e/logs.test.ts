// What people find in the logs of a cluster, and how they have it say more.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { MiB } from '../../src/base/units.ts';
import { GFS, skips, TestCluster } from './cluster.ts';
import { Stranger } from './gateway-cluster.ts';

const DAEMONS = ['master', 'chunkserver-1', 'chunkserver-2', 'chunkserver-3', 'gateway', 'mount'] as const;
const CHUNK_DAEMONS = DAEMONS.slice(0, 4);
const REQUEST_ID = 'story-of-one-write';

type Line = Record<string, unknown>;

function linesOf(cluster: TestCluster, daemon: (typeof DAEMONS)[number]): Line[] {
  const text = readFileSync(join(cluster.data, 'log', `${daemon}.log`), 'utf8');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

/** Lines about an operation, and about several of which it is one. */
function about(lines: readonly Line[], requestId: string): Line[] {
  return lines.filter((line) => String(line.requestId).split(',').includes(requestId));
}

function methods(lines: readonly Line[]): Set<unknown> {
  return new Set(lines.filter(({ component }) => component === 'rpc').map(({ method }) => method));
}

test('one request id leads through the logs of all daemons that worked on a write', async (t) => {
  if (skips(t)) return;
  await using cluster = new TestCluster({ chunkSize: '1MiB' });
  const { mount, gateway } = await cluster.start();
  const data = randomBytes(3 * MiB);

  // Nothing is told of single calls before that is asked for.
  const quiet = new Stranger(gateway.address, { 'x-user': '0', 'x-groups': '0', 'x-request-id': 'quiet' });
  await quiet.write({ path: Buffer.from('/quiet'), length: data.length }, [data]);
  for (const daemon of DAEMONS) t.deepEqual(about(linesOf(cluster, daemon), 'quiet'), [], daemon);

  await cluster.gfs('log', 'debug', 'rpc', '--all');
  for (const { listen, address } of [
    { ...mount, address: '' },
    { ...gateway, listen: '' },
  ]) {
    await cluster.gfs('log', 'debug', '--server', listen || address);
  }

  const stranger = new Stranger(gateway.address, {
    ...{ 'x-user': '0', 'x-groups': '0', 'x-request-id': REQUEST_ID },
  });
  await stranger.write({ path: Buffer.from('/by-gateway'), length: data.length, sync: true }, [data]);
  stranger.client.close();
  quiet.client.close();
  t.deepEqual(methods(about(linesOf(cluster, 'gateway'), REQUEST_ID)), new Set(['gfs.v1.Files/Write']));
  t.true(methods(about(linesOf(cluster, 'master'), REQUEST_ID)).has('gfs.v1.Master/AddChunk'));
  for (const server of CHUNK_DAEMONS.slice(1)) {
    const seen = methods(about(linesOf(cluster, server), REQUEST_ID));
    for (const method of ['Push', 'Apply', 'Sync']) t.true(seen.has(`gfs.v1.Chunkserver/${method}`), server);
  }

  const file = await open(join(cluster.mount, 'by-mount'), 'wx');
  for (let at = 0; at < data.length; at += MiB) await file.write(data, at, MiB, at);
  await file.sync();
  await file.close();
  const written = linesOf(cluster, 'mount').filter(({ operation }) => operation === 'write');
  t.true(written.length >= 3);
  const stories = written.map(({ requestId }) =>
    CHUNK_DAEMONS.map((daemon) => methods(about(linesOf(cluster, daemon), String(requestId)))),
  );
  const whole = stories.filter((story) => story.every(({ size }) => size > 0));
  t.true(whole.length >= 2, 'a chunk was added for each but the first, and all three servers have it');
  t.true(whole.every(([master]) => master?.has('gfs.v1.Master/AddChunk')));
  const applied = whole.map((servers) => servers.filter((seen) => seen.has('gfs.v1.Chunkserver/Apply')));
  t.true(
    applied.every(({ length }) => length === 2),
    'the primary orders the other two',
  );

  for (const daemon of DAEMONS) {
    const lines = linesOf(cluster, daemon);
    t.true(
      lines.every(({ component, msg }) => typeof component === 'string' && msg !== ''),
      daemon,
    );
    // Of what was written there is nothing in any of them, in no encoding that is usual.
    const text = JSON.stringify(lines);
    for (const shown of ['hex', 'base64', 'latin1'] as const) {
      t.false(text.includes(data.subarray(0, 24).toString(shown)), `${daemon} ${shown}`);
    }
  }
});

test('events of master and chunkservers are shown in the order of their times, and as they come', async (t) => {
  if (skips(t)) return;
  await using cluster = new TestCluster();
  const { master, chunkservers } = await cluster.start();
  const { stdout: shown } = await cluster.gfs('events', '--json');
  const events = shown
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
  const times = events.map(({ time }) => String(time));
  t.deepEqual(times, [...times].sort());
  const daemons = new Set(events.map(({ daemon }) => String(daemon)));
  t.deepEqual([...daemons].sort(), ['master', ...chunkservers.map(({ id }) => `server ${id}`)].sort());
  t.true(events.filter(({ message }) => message === 'a chunkserver is here').length === 3);

  const follower = spawn(process.execPath, [GFS, 'events', '--follow', '--master', master.address]);
  let followed = '';
  follower.stdout.on('data', (text: Buffer) => {
    followed += text.toString();
  });
  const ended = once(follower, 'exit');
  const until = async (text: RegExp) => {
    while (!text.test(followed)) await sleep(20);
  };
  try {
    await until(/a chunkserver is here/);
    const { stdout } = await cluster.gfs('log', 'debug', 'storage', '--all');
    t.is(stdout.split('\n').length - 1, 3, 'the master has no such component');
    const set = / a level of the log was set .*of=storage to=debug$/gm;
    while ((followed.match(set) ?? []).length < 3) await sleep(20);
    t.is((followed.match(/a chunkserver is here/g) ?? []).length, 3, 'each is shown once');
  } finally {
    follower.kill('SIGINT');
  }
  t.deepEqual(await ended, [0, null]);

  const { stdout: levels } = await cluster.gfs('log', '--all');
  t.is((levels.match(/^storage +debug /gm) ?? []).length, 3);
  t.deepEqual(
    levels.split('\n').filter((line) => line.length > 80),
    [],
  );
  const failing = async (...args: string[]) => {
    const { code, stdout, stderr } = await cluster.gfs(...args);
    t.is(stdout, '');
    t.is(stderr.split('\n').length - 1, 1, stderr);
    return [code, stderr.slice(0, 60)];
  };
  t.deepEqual((await failing('log', 'loud'))[0], 2);
  t.deepEqual((await failing('log', 'info', 'nonsense'))[0], 2);
  t.deepEqual((await failing('log', '--all', '--server', master.address))[0], 2);
  t.deepEqual(await failing('log', 'info', 'mount'), [
    1,
    'gfs: gfs-master has no component "mount", but daemon, rpc, calls, metad'.slice(0, 60),
  ]);
  t.deepEqual(await failing('log', 'info', 'mount', '--all'), [
    1,
    'gfs: none of these daemons has a component "mount"\n',
  ]);
  const nobody = 'gfs: cannot reach 127.0.0.1:1: connection refused\n';
  t.deepEqual(await failing('log', '--server', '127.0.0.1:1'), [1, nobody]);
  t.deepEqual(await failing('events', '--server', '127.0.0.1:1'), [1, nobody]);
  t.deepEqual(await failing('events', '--follow', '--server', '127.0.0.1:1'), [1, nobody]);
});
