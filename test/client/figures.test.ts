import test from 'ava';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { KiB, MINUTE_MS } from '../../src/base/units.ts';
import { Monitor } from '../../src/rpc/monitor.ts';
import { complaintsAbout, figureIn, scrape } from '../rpc/prometheus-text.ts';
import { inRealCluster } from './real-cluster.ts';
import { ME, pattern, WRITING } from './world.ts';

test("a client's figures tell of its cache, write-behind and session", (t) =>
  inRealCluster(1, async ({ connect, network, sleep }) => {
    const metrics = new Monitor({ env: new NodeEnv(silentLogger), version: '1' });
    const client = await connect({ metrics });
    const read = async (name: string) => figureIn(await scrape(metrics), `gfs_client_${name}`);
    t.is(await read('session_ready'), 1);
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    t.is(await read('open_files'), 1);
    await file.write(0, [pattern(300 * KiB)]);
    t.true(((await read('write_behind_bytes')) ?? 0) > 0);
    await file.flush();
    t.is(await read('write_behind_bytes'), 0);

    t.is(await read('cache_misses_total'), 0);
    await file.read(128 * KiB, 128 * KiB);
    t.is(await read('cache_misses_total'), 1);
    const hits = (await read('cache_hits_total')) ?? 0;
    await file.read(128 * KiB, 128 * KiB);
    t.is(await read('cache_misses_total'), 1);
    t.is(await read('cache_hits_total'), hits + 1);
    t.true(((await read('cache_bytes')) ?? 0) > 0);

    network.partition('m', 'c2');
    await sleep(MINUTE_MS);
    t.is(await read('session_ready'), 0);
    t.is(client.missing, 'the master has not answered for 60 s');
    network.heal('m', 'c2');
    await sleep(MINUTE_MS);
    t.is(client.missing, undefined);
    await file.close();
    t.is(await read('open_files'), 0);
    t.deepEqual(complaintsAbout(await scrape(metrics)), []);
    await client.close();
    t.is(client.missing, 'the session is closed');
  }));
