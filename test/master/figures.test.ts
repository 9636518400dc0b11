import test from 'ava';
import { MiB } from '../../src/base/units.ts';
import { Monitor } from '../../src/rpc/monitor.ts';
import { complaintsAbout, figureIn, scrape } from '../rpc/prometheus-text.ts';
import { env, eventually, Place } from './fixture.ts';

test("the master's figures tell of its tables, log, clients, servers and chunks", async (t) => {
  const place = new Place(t);
  const metrics = new Monitor({ env, version: '1' });
  await place.start({ metrics });
  const read = async (name: string, labels: Record<string, string> = {}) =>
    figureIn(await scrape(metrics), `gfs_master_${name}`, labels);

  t.is(await read('inodes'), 1);
  t.is(await read('chunkservers', { state: 'alive' }), 0);
  const [one] = await place.chunkservers(3);
  const client = await place.client().open();
  const logged = (await read('log_written_bytes_total')) ?? 0;
  const commands = (await read('log_commands_total')) ?? 0;
  await client.create('f');

  t.is(await read('inodes'), 2);
  t.is(await read('chunks'), 1);
  t.is(await read('sessions'), 1);
  t.is(await read('open_files'), 1);
  t.is(await read('leases'), 1);
  t.true(((await read('log_written_bytes_total')) ?? 0) > logged);
  t.true(((await read('log_commands_total')) ?? 0) > commands);
  t.true(((await read('store_size_bytes')) ?? 0) > 4096);
  t.is(await read('checkpoint_timestamp_seconds'), undefined, 'none was written yet');
  t.is(await read('chunkservers', { state: 'alive' }), 3);
  t.is(await read('space_free_bytes'), 3 * 1000 * MiB);

  await one?.close();
  await eventually(t, 'it is gone', async () => (await read('chunkservers', { state: 'gone' })) === 1);
  t.is(await read('chunkservers', { state: 'alive' }), 2);
  t.is(await read('space_free_bytes'), 2 * 1000 * MiB);
  t.deepEqual(complaintsAbout(await scrape(metrics)), []);
});

test('a raise of a version counts', async (t) => {
  const place = new Place(t);
  const metrics = new Monitor({ env, version: '1' });
  await place.start({ metrics });
  const servers = await place.chunkservers(3);
  const client = await place.client().open();
  const { inode, extents } = await client.create('f');
  const { chunk = 0, primary } = extents[0] ?? {};
  for (const server of servers) {
    server.holds(chunk, { length: 100 });
    await server.report(false, [...server.replicas.values()]);
  }
  const raises = async () => figureIn(await scrape(metrics), 'gfs_master_version_raises_total');
  t.is(await raises(), 0);
  await servers.find(({ server }) => server === primary)?.close();
  await client.find(inode, { forWrite: true, suspectVersion: 1 });
  t.is(await raises(), 1);
});
