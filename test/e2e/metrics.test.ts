// What each daemon tells those who watch it, by the numbers before and after a file is written and read.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import test from 'ava';
import { NODE_FLAGS } from '../../src/base/node-flags.ts';
import { MiB } from '../../src/base/units.ts';
import { skipsLibfuse } from '../mount/fuse-native/libfuse.ts';
import { complaintsAbout, type Family, figureIn, parsePrometheus } from '../rpc/prometheus-text.ts';
import { ROOT, skips, TestCluster } from './cluster.ts';
import { Daemon } from './daemon.ts';
import { freePort } from './daemon-cluster.ts';

const FILE_BYTES = 3 * MiB;

interface Scraped {
  readonly master: Map<string, Family>;
  readonly servers: readonly Map<string, Family>[];
  readonly mount: Map<string, Family>;
}

async function get(address: string, path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://${address}${path}`);
  return { status: response.status, body: await response.text() };
}

async function scrape(address: string): Promise<Map<string, Family>> {
  return parsePrometheus((await get(address, '/metrics')).body);
}

async function scrapeAll({ file }: TestCluster): Promise<Scraped> {
  return {
    master: await scrape(file.master.address),
    servers: await Promise.all(file.chunkservers.map(({ address }) => scrape(address))),
    mount: await scrape(file.mount.listen),
  };
}

test('the figures of master, chunkservers and mount move as a file is written and read', async (t) => {
  if (skips(t)) return;
  await using cluster = new TestCluster({ chunkSize: '1MiB' });
  const file = await cluster.start();
  const addresses = [file.master, ...file.chunkservers].map(({ address }) => address);
  for (const address of [...addresses, file.mount.listen]) {
    t.deepEqual(await get(address, '/readyz'), { status: 200, body: 'ok\n' }, address);
    t.deepEqual(await get(address, '/healthz'), { status: 200, body: 'ok\n' }, address);
  }

  const before = await scrapeAll(cluster);
  const path = join(cluster.mount, 'written');
  const written = await open(path, 'wx');
  await written.writeFile(randomBytes(FILE_BYTES));
  await written.sync();
  await written.close();
  await promisify(execFile)('dd', [`if=${path}`, 'of=/dev/null', 'bs=1M', 'iflag=direct']);
  await t.throwsAsync(open(join(cluster.mount, 'missing')), { code: 'ENOENT' });
  const after = await scrapeAll(cluster);

  const moved = (
    pick: (all: Scraped) => Map<string, Family>,
    name: string,
    labels?: Record<string, string>,
  ) => (figureIn(pick(after), name, labels) ?? 0) - (figureIn(pick(before), name, labels) ?? 0);
  const atMaster = (name: string, labels?: Record<string, string>) =>
    moved(({ master }) => master, name, labels);
  const atMount = (name: string, labels?: Record<string, string>) =>
    moved(({ mount }) => mount, name, labels);
  const atServers = (name: string, labels?: Record<string, string>) =>
    after.servers.reduce(
      (sum, _, index) => sum + moved(({ servers }) => servers[index] ?? new Map(), name, labels),
      0,
    );

  t.is(atMaster('gfs_master_inodes'), 1);
  t.is(atMaster('gfs_master_chunks'), 3);
  t.true(atMaster('gfs_master_log_written_bytes_total') > 0);
  t.true(atMaster('gfs_disk_sync_duration_seconds_count') > 0);
  t.is(atMaster('gfs_rpc_server_calls_total', { method: 'gfs.v1.Master/CreateFile', code: 'OK' }), 1);
  t.is(figureIn(after.master, 'gfs_master_sessions'), 2, 'of the mount and the gateway');
  t.is(figureIn(after.master, 'gfs_master_chunkservers', { state: 'alive' }), 3);
  t.is(figureIn(after.master, 'gfs_master_chunks_lost'), 0);

  // They tell the master in heartbeats.
  let told = after.master;
  const ofServers = (name: string, labels?: Record<string, string>) =>
    figureIn(told, `gfs_master_chunkserver_${name}`, labels) ?? 0;
  const isTold = () =>
    ofServers('read_bytes_total') >= FILE_BYTES && ofServers('written_bytes_total') >= 3 * FILE_BYTES;
  while (!isTold()) {
    await sleep(50);
    told = await scrape(file.master.address);
  }
  t.true(ofServers('operation_duration_seconds_count', { operation: 'Read' }) > 0);
  t.true(ofServers('operation_duration_seconds_sum', { operation: 'Read' }) > 0);
  t.deepEqual(complaintsAbout(told), []);

  t.is(atServers('gfs_chunkserver_chunks'), 3 * 3);
  t.is(atServers('gfs_chunkserver_written_bytes_total'), 3 * FILE_BYTES, 'each of three copies');
  t.true(atServers('gfs_chunkserver_read_bytes_total') >= FILE_BYTES);
  t.true(atServers('gfs_disk_sync_duration_seconds_count') >= 3 * 3);
  t.true(
    atServers('gfs_rpc_server_received_bytes_total', { method: 'gfs.v1.Chunkserver/Push' }) >= 3 * FILE_BYTES,
  );

  t.is(atMount('gfs_fuse_written_bytes_total'), FILE_BYTES);
  t.is(atMount('gfs_fuse_read_bytes_total'), FILE_BYTES);
  t.true(atMount('gfs_fuse_requests_total', { operation: 'create' }) >= 1);
  t.true(atMount('gfs_fuse_operation_duration_seconds_count', { operation: 'write' }) >= 3);
  t.true(atMount('gfs_fuse_operation_duration_seconds_sum', { operation: 'sync' }) > 0);
  t.true(atMount('gfs_fuse_errors_total', { operation: 'lookup', errno: 'ENOENT' }) >= 1);
  t.true(atMount('gfs_rpc_client_sent_bytes_total') >= FILE_BYTES);
  t.is(figureIn(after.mount, 'gfs_client_write_behind_bytes'), 0);
  t.is(figureIn(after.mount, 'gfs_client_session_ready'), 1);
  const all = [after.master, ...after.servers, after.mount];
  for (const families of all) t.deepEqual(complaintsAbout(families), []);

  const named =
    readFileSync(join(ROOT, 'README.md'), 'utf8').match(/\b(gfs|nodejs|process)_[a-z0-9_]*[a-z0-9]\b/g) ?? [];
  t.true(named.length > 30);
  const unknown = named.filter((name) => !all.some((families) => families.has(name.replace(/_bucket$/, ''))));
  t.deepEqual(unknown, [], 'figures that only the README knows');
});

test('a mount by libfuse has the same figures', async (t) => {
  if (skips(t) || skipsLibfuse(t)) return;
  await using cluster = new TestCluster({ chunkservers: 1, replication: 1 });
  const { master } = await cluster.start();
  const mountPoint = join(cluster.directory, 'by-libfuse');
  mkdirSync(mountPoint);
  const listen = `127.0.0.1:${await freePort()}`;
  const argv = [join(ROOT, 'dist/mount/gfs-mount.js'), '-f', '--master', master.address, '--listen', listen];
  const mount = new Daemon(
    'mount',
    [process.execPath, ...NODE_FLAGS, ...argv, '--driver', 'fuse-native', mountPoint],
    cluster.directory,
  );
  mount.start();
  try {
    await mount.ready();
    const dd = promisify(execFile);
    await dd('dd', ['if=/dev/urandom', `of=${mountPoint}/f`, 'bs=1M', 'count=1', 'conv=fsync']);
    await t.throwsAsync(open(join(mountPoint, 'missing')), { code: 'ENOENT' });
    const families = await scrape(listen);
    t.is(figureIn(families, 'gfs_fuse_written_bytes_total'), MiB);
    t.is(figureIn(families, 'gfs_fuse_requests_total', { operation: 'sync' }), 1);
    t.true((figureIn(families, 'gfs_fuse_operation_duration_seconds_sum', { operation: 'write' }) ?? 0) > 0);
    t.true((figureIn(families, 'gfs_fuse_errors_total', { errno: 'ENOENT' }) ?? 0) >= 1);
    t.deepEqual(complaintsAbout(families), []);
  } finally {
    await mount.stop();
  }
});

test('a daemon is ready when it can do its work, and says what it lacks before and after', async (t) => {
  if (skips(t)) return;
  const directory = mkdtempSync(join(tmpdir(), 'gfs-ready-'));
  const [master, server, mount] = await Promise.all([freePort(), freePort(), freePort()]);
  const at = (port: number) => `127.0.0.1:${port}`;
  const mountPoint = join(directory, 'mnt');
  mkdirSync(mountPoint);
  const daemon = (name: string, script: string, ...args: string[]) =>
    new Daemon(name, [process.execPath, ...NODE_FLAGS, join(ROOT, 'dist', script), ...args], directory);
  const daemons = {
    master: daemon('master', 'src/cli/gfs-master.js', '--data', `${directory}/m`, '--listen', at(master)),
    server: daemon(
      'server',
      'src/cli/gfs-chunkserver.js',
      ...['--data', `${directory}/s`, '--master', at(master), '--listen', at(server)],
    ),
    mount: daemon(
      'mount',
      'mount/gfs-mount.js',
      ...['-f', '--master', at(master), '--listen', at(mount), mountPoint],
    ),
  };
  /** A process that has just begun does not listen yet. */
  const readiness = async (port: number) => {
    for (;;) {
      try {
        return await get(at(port), '/readyz');
      } catch {
        await sleep(20);
      }
    }
  };
  try {
    daemons.server.start();
    while ((await readiness(server)).body === 'starting\n') await sleep(20);
    t.deepEqual(await readiness(server), { status: 503, body: 'no master has registered this server\n' });
    // It waits ten seconds for a master.
    daemons.mount.start();
    t.deepEqual(await readiness(mount), { status: 503, body: 'starting\n' });
    daemons.master.start();
    for (const one of Object.values(daemons)) await one.ready();
    for (const port of [master, server, mount]) {
      t.deepEqual(await readiness(port), { status: 200, body: 'ok\n' }, String(port));
    }
    await daemons.master.kill();
    while ((await readiness(server)).status === 200) await sleep(20);
    t.is((await get(at(server), '/healthz')).status, 200, 'it lives');
  } finally {
    daemons.master.start();
    await daemons.mount.stop();
    await daemons.server.stop();
    await daemons.master.stop();
    rmSync(directory, { recursive: true, force: true });
  }
});

test('a mount that cannot listen where it is told to mounts nothing', async (t) => {
  if (skips(t)) return;
  const gfsMount = join(ROOT, 'dist/mount/gfs-mount.js');
  const directory = mkdtempSync(join(tmpdir(), 'gfs-listen-'));
  const failure = async (listen: string) => {
    const argv = [gfsMount, '--listen', listen, '--master', '127.0.0.1:1', directory];
    const error = await t.throwsAsync(promisify(execFile)(process.execPath, argv));
    const { code, stderr } = error as unknown as { code: number; stderr: string };
    return `${code} ${stderr}`;
  };
  t.regex(await failure('192.0.2.1:80'), /^1 gfs-mount: cannot listen on 192\.0\.2\.1:80: .+\n$/);
  t.regex(await failure('nowhere'), /^2 gfs-mount: .*"nowhere" is not HOST:PORT\n$/);
  rmSync(directory, { recursive: true });
});
