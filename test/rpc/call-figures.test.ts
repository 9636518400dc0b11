// Calls are counted once, in the same way on both sides and over both transports.
import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';
import { KiB } from '../../src/base/units.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import { Monitor } from '../../src/rpc/monitor.ts';
import { NodeNetwork, TRANSPORTS } from '../../src/rpc/node-network.ts';
import { TestServices } from './harness.ts';
import { complaintsAbout, figureIn, scrape } from './prometheus-text.ts';

const { status, heartbeat, lookup } = MasterDefinition.methods;
const { read, push } = ChunkserverDefinition.methods;
const STATUS = { method: 'gfs.v1.Master/Status' };
const LOOKUP = { method: 'gfs.v1.Master/Lookup' };
const READ = { method: 'gfs.v1.Chunkserver/Read' };
const PUSH = { method: 'gfs.v1.Chunkserver/Push' };
const HEARTBEAT = { method: 'gfs.v1.Master/Heartbeat' };

for (const transport of TRANSPORTS) {
  test(`${transport}: both sides count calls, what came of them, their bytes and their time`, async (t) => {
    const env = new NodeEnv(silentLogger);
    const monitors = {
      server: new Monitor({ env, version: '1' }),
      client: new Monitor({ env, version: '1' }),
    };
    const services = new TestServices();
    services.onUnary('gfs.v1.Master/Lookup', () =>
      Promise.reject(new GfsError('NOT_FOUND', 'nothing there')),
    );
    services.onUnary('gfs.v1.Chunkserver/Read', async () => ({
      message: read.responseType.create(),
      payload: [Buffer.alloc(100 * KiB)],
    }));
    const listener = await new NodeNetwork({ env, metrics: monitors.server }).listen(
      '127.0.0.1:0',
      services.bindings(),
    );
    const connection = new NodeNetwork({ env, transport, metrics: monitors.client }).connect(
      listener.address,
    );
    try {
      for (let count = 0; count < 3; count += 1) await connection.call(status, status.requestType.create());
      await t.throwsAsync(connection.call(lookup, lookup.requestType.create()), { code: 'NOT_FOUND' });
      await connection.call(read, read.requestType.create());
      const upload = connection.stream(push);
      for (let count = 0; count < 4; count += 1)
        await upload.send(push.requestType.create(), [Buffer.alloc(50 * KiB)]);
      upload.end();
      await upload.finished();
      const beats = connection.stream(heartbeat);
      await beats.send(heartbeat.requestType.create());
      await beats.answers[Symbol.asyncIterator]().next();

      for (const side of ['server', 'client'] as const) {
        const families = await scrape(monitors[side]);
        t.deepEqual(complaintsAbout(families), [], side);
        const value = (name: string, labels: Record<string, string>) =>
          figureIn(families, `gfs_rpc_${side}_${name}`, labels);
        t.is(value('calls_total', { ...STATUS, code: 'OK' }), 3, side);
        t.is(value('duration_seconds_count', STATUS), 3, side);
        t.true((value('duration_seconds_sum', STATUS) ?? 0) > 0, side);
        t.is(value('calls_total', { ...LOOKUP, code: 'NOT_FOUND' }), 1, side);
        t.is(value('calls_total', { ...LOOKUP, code: 'OK' }), 0, side);
        t.is(value('calls_in_flight', LOOKUP), 0, side);
        t.is(value('calls_in_flight', HEARTBEAT), 1, side);
        t.is(value('calls_total', { ...HEARTBEAT, code: 'OK' }), 0, side);
        const [up, down] = side === 'server' ? ['received', 'sent'] : ['sent', 'received'];
        between(value(`${down}_bytes_total`, READ), 100 * KiB);
        between(value(`${up}_bytes_total`, PUSH), 200 * KiB);
        t.true((value(`${up}_bytes_total`, HEARTBEAT) ?? -1) >= 0, side);
      }
      beats.cancel();
    } finally {
      await connection.close();
      await listener.close();
    }

    /** The data, and the little that messages have beside it. */
    function between(value: number | undefined, dataBytes: number): void {
      t.true(value !== undefined && value >= dataBytes && value < dataBytes + KiB, String(value));
    }
  });
}

test('a call that finds nobody counts at the caller, as a failure', async (t) => {
  const env = new NodeEnv(silentLogger);
  const monitor = new Monitor({ env, version: '1' });
  const connection = new NodeNetwork({ env, metrics: monitor }).connect('127.0.0.1:1');
  await t.throwsAsync(connection.call(status, status.requestType.create()), { code: 'UNAVAILABLE' });
  await connection.close();
  const families = await scrape(monitor);
  t.is(figureIn(families, 'gfs_rpc_client_calls_total', { ...STATUS, code: 'UNAVAILABLE' }), 1);
  t.is(figureIn(families, 'gfs_rpc_client_calls_in_flight', STATUS), 0);
});
