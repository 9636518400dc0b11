// The tie to the master: registration, identity, refusals, reconnecting, reports.
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { KiB } from '../../src/base/units.ts';
import { ChunkServer } from '../../src/chunkserver/chunk-server.ts';
import { NodeNetwork } from '../../src/rpc/node-network.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { Cluster, env, FakeMaster, sameBytes, sample, until } from './harness.ts';

test.serial('a server keeps its id in its directory, and introduces itself anew at each start', async (t) => {
  await using cluster = await Cluster.start(2);
  const { serverId, address } = cluster.at(1).server;
  await cluster.restart(1);
  t.is(cluster.at(1).server.serverId, serverId);
  t.not(cluster.at(1).server.address, address);
  const [first, second] = cluster.master.registrations.filter((one) =>
    one.dataDirectory.endsWith('server-1'),
  );
  t.like(first, { server: 0, filesystemId: '', address });
  t.like(second, { server: serverId, filesystemId: 'fs', bootId: first?.bootId });
  t.not(second?.incarnation, first?.incarnation);
});

test.serial('a master that comes late, goes, and comes back is found again', async (t) => {
  const network = new NodeNetwork({ env });
  const first = await FakeMaster.start(network);
  const { address } = first;
  await first.close();
  await using cluster = await Cluster.start(0);
  const fatal: unknown[] = [];
  const server = await ChunkServer.start({
    env,
    disk: new NodeDisk(),
    network: new NodeNetwork({ env }),
    dataDirectory: join(cluster.root, 'late'),
    masters: ['127.0.0.1:1', address],
    listen: '127.0.0.1:0',
    advertise: 'localhost:0',
    onFatal: (error) => fatal.push(error),
  });
  t.is(server.serverId, undefined);
  t.is(server.address, `localhost:${server.address.split(':')[1]}`);
  const master = await FakeMaster.start(network, address);
  t.is(await server.registered(), 1);
  await until('heartbeats come', () => master.heartbeats.length > 2);
  await until('a full report came', () => master.reports.some(({ full, last }) => full && last));
  await master.close();
  const again = await FakeMaster.start(network, address);
  await until('it registers again', () => again.registrations.length === 1);
  t.is(again.registrations[0]?.server, 1);
  await until('and reports again', () => again.reports.some(({ full, last }) => full && last));
  t.deepEqual(fatal, []);
  await server.close();
  await again.close();
});

for (const code of ['WRONG_FILESYSTEM', 'WRONG_SERVICE'] as const) {
  test.serial(`a master that refuses with ${code} ends the server, with its words`, async (t) => {
    await using cluster = await Cluster.start(1);
    cluster.master.refusal = new GfsError(code, 'this is not yours');
    const fatal: unknown[] = [];
    const server = await ChunkServer.start({
      env,
      disk: new NodeDisk(),
      network: new NodeNetwork({ env }),
      dataDirectory: join(cluster.root, 'refused'),
      masters: [cluster.master.address],
      listen: '127.0.0.1:0',
      onFatal: (error) => fatal.push(error),
    });
    await t.throwsAsync(server.registered(), {
      code,
      message: code === 'WRONG_FILESYSTEM' ? /this is not yours/ : /not a gfs master/,
    });
    t.is(fatal.length, 1);
    await server.close();
    await server.close();
  });
}

test.serial('what answers at the master address but is no master ends the server', async (t) => {
  await using cluster = await Cluster.start(1);
  const fatal: unknown[] = [];
  const server = await ChunkServer.start({
    env,
    disk: new NodeDisk(),
    network: new NodeNetwork({ env }),
    dataDirectory: join(cluster.root, 'wrong'),
    masters: [cluster.at(0).server.address],
    listen: '127.0.0.1:0',
    onFatal: (error) => fatal.push(error),
  });
  await t.throwsAsync(server.registered(), { code: 'WRONG_SERVICE' });
  await server.close();
});

test.serial('a data directory that is in use is refused', async (t) => {
  await using cluster = await Cluster.start(1);
  const again = ChunkServer.start({
    env,
    disk: new NodeDisk(),
    network: new NodeNetwork({ env }),
    dataDirectory: cluster.at(0).directory,
    masters: [cluster.master.address],
    listen: '127.0.0.1:0',
    onFatal: () => undefined,
  });
  await t.throwsAsync(again, { code: 'ALREADY_RUNNING' });
});

test.serial('a flipped bit is an error to its reader, is counted, and the master is told', async (t) => {
  await using cluster = await Cluster.start(2);
  const data = sample(200 * KiB);
  const pushId = await cluster.push(3, 0, data);
  await cluster.write(3, 0, data, { pushId });
  await cluster.at(1).server.close();
  let flipped = false;
  for (const name of await readdir(cluster.at(1).directory, { recursive: true })) {
    const path = join(cluster.at(1).directory, name);
    if (!/0000000000000003/.test(name)) continue;
    const bytes = await readFile(path);
    const found = bytes.indexOf(data.subarray(70_000, 70_100));
    if (found < 0) continue;
    bytes[found] = (bytes[found] ?? 0) ^ 4;
    await writeFile(path, bytes);
    flipped = true;
  }
  t.true(flipped);
  await cluster.restart(1);
  sameBytes(t, await cluster.read(1, 3, 65_536, 10_000), data.subarray(65_536, 75_536));
  sameBytes(t, await cluster.read(0, 3, 0, 1_000_000), data);
  await until('the master is told', () => cluster.master.badReplicas.length > 0);
  t.like(cluster.master.badReplicas[0], { chunk: 3, version: 1, server: cluster.replica(1).server });
  await until('it is counted', () =>
    cluster.master.heartbeats.some(({ corruptBlockCount }) => corruptBlockCount > 0),
  );
});

test.serial('a copied directory has its identity, and the master decides', async (t) => {
  await using cluster = await Cluster.start(1);
  const copy = join(cluster.root, 'copy');
  await cp(cluster.at(0).directory, copy, { recursive: true });
  cluster.master.refusal = new GfsError('ALREADY_RUNNING', 'server 1 is alive elsewhere');
  const before = cluster.master.registrations.length;
  const server = await ChunkServer.start({
    env,
    disk: new NodeDisk(),
    network: new NodeNetwork({ env }),
    dataDirectory: copy,
    masters: [cluster.master.address],
    listen: '127.0.0.1:0',
    onFatal: () => undefined,
  });
  // It might be ourselves before a kill: so it is tried again for as long as the master takes to notice that.
  await t.throwsAsync(server.registered(), { code: 'ALREADY_RUNNING' });
  t.true(cluster.master.registrations.length - before > 2);
  t.is(cluster.master.registrations.at(-1)?.server, 1);
  await server.close();
});
