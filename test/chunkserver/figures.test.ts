import test from 'ava';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { KiB } from '../../src/base/units.ts';
import { ChunkserverDefinition } from '../../src/rpc/messages.ts';
import { Monitor } from '../../src/rpc/monitor.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { complaintsAbout, figureIn, scrape } from '../rpc/prometheus-text.ts';
import { Cluster, sample } from './harness.ts';

const CHUNK = 7;
const env = new NodeEnv(silentLogger);

test("a chunkserver's figures tell of its data, disk and push buffer", async (t) => {
  await using cluster = await Cluster.start(1);
  const metrics = new Monitor({ env, version: '1' });
  const disk = new NodeDisk({ env, metrics });
  await cluster.add({ metrics, disk, pushBufferBytes: 1024 * KiB });
  const read = async (name: string) => figureIn(await scrape(metrics), name);

  t.is(await read('gfs_chunkserver_registered'), 1);
  t.is(await read('gfs_chunkserver_chunks'), 0);
  t.is(await read('gfs_chunkserver_push_buffer_limit_bytes'), 1024 * KiB);

  const pushId = await cluster.push(CHUNK, 0, sample(300 * KiB));
  t.is(await read('gfs_chunkserver_push_buffer_bytes'), 300 * KiB);
  await cluster.write(CHUNK, 0, sample(300 * KiB), { pushId });
  t.is(await read('gfs_chunkserver_push_buffer_bytes'), 0);
  await cluster.write(CHUNK, 0, sample(10 * KiB));
  await cluster.read(1, CHUNK, 0, 200 * KiB);

  t.is(await read('gfs_chunkserver_chunks'), 1);
  t.is(await read('gfs_chunkserver_written_bytes_total'), 310 * KiB, 'pushed, and with an order');
  t.is(await read('gfs_chunkserver_read_bytes_total'), 200 * KiB);
  t.true(((await read('gfs_chunkserver_stored_bytes')) ?? 0) >= 300 * KiB);
  t.true(
    ((await read('gfs_chunkserver_disk_total_bytes')) ?? 0) >
      ((await read('gfs_chunkserver_disk_free_bytes')) ?? 0),
  );
  t.is(await read('gfs_chunkserver_corrupt_blocks_total'), 0);

  const synced = (await read('gfs_disk_sync_duration_seconds_count')) ?? 0;
  const { sync } = ChunkserverDefinition.methods;
  await cluster.at(0).connection.call(sync, {
    ...{ chunk: CHUNK, version: 1 },
    ...{ replicaOnly: false, acknowledgedVersion: 0 },
  });
  t.true(((await read('gfs_disk_sync_duration_seconds_count')) ?? 0) > synced);
  t.true(((await read('gfs_disk_written_bytes_total')) ?? 0) >= 310 * KiB);
  t.true(((await read('gfs_disk_read_bytes_total')) ?? 0) >= 200 * KiB);
  t.deepEqual(complaintsAbout(await scrape(metrics)), []);
});
