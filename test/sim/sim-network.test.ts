// What the simulated network does that a real one cannot be asked to do. (That it carries calls as `NodeNetwork` does is
// the business of the suite in test/rpc.)
import test from 'ava';
import { joined, lengthOf } from '../../src/base/bytes.ts';
import { GfsError } from '../../src/base/errors.ts';
import { KiB } from '../../src/base/units.ts';
import { ChunkserverDefinition, MasterDefinition } from '../../src/rpc/messages.ts';
import type { Connection, Listener, Method } from '../../src/rpc/network.ts';
import { CASES, TestServices } from '../rpc/harness.ts';
import { codeFrom } from '../storage/disk-compliance.ts';
import { SimEnv } from './sim-env.ts';
import { SimNetwork } from './sim-network.ts';
import { Simulation } from './simulation.ts';

const { status, heartbeat } = MasterDefinition.methods;
const { mutate, push } = ChunkserverDefinition.methods;
const STATUS = 'gfs.v1.Master/Status';
const MUTATE = 'gfs.v1.Chunkserver/Mutate';
const PUSH = 'gfs.v1.Chunkserver/Push';

interface World {
  readonly simulation: Simulation;
  readonly network: SimNetwork;
  readonly services: TestServices;
  readonly server: SimEnv;
  readonly client: SimEnv;
  readonly listener: Listener;
  readonly connection: Connection;
  askStatus(): Promise<string>;
}

async function inWorld(body: (world: World) => Promise<void>): Promise<void> {
  const simulation = new Simulation(1);
  const network = new SimNetwork(simulation);
  const services = new TestServices();
  const [server, client] = [new SimEnv(simulation, 'server'), new SimEnv(simulation, 'client')];
  await simulation.run(async () => {
    const listener = await network.processView(server, 'there').listen('there:0', services.bindings());
    const connection = network.processView(client, 'here').connect(listener.address);
    const askStatus = () => codeFrom(connection.call(status, status.requestType.create()));
    await body({ simulation, network, services, server, client, listener, connection, askStatus });
  });
}

test('every method carries every field both ways', (t) =>
  inWorld(async ({ connection, services }) => {
    for (const { fullName, method, request, response } of CASES) {
      const typed = method as unknown as Method<unknown, unknown>;
      services.received.length = 0;
      if (typed.requestStream) {
        const stream = connection.stream(typed);
        for (let sent = 0; sent < 2; sent += 1) await stream.send(request);
        stream.end();
        for await (const { message } of stream.answers) t.deepEqual(message, response, fullName);
      } else {
        t.deepEqual((await connection.call(typed, request)).message, response, fullName);
      }
      t.true(services.received.length > 0);
      for (const one of services.received) t.deepEqual([one.method, one.request], [fullName, request]);
    }
  }));

test('nothing is shared between processes: payload is copied, beside an empty field', (t) =>
  inWorld(async ({ connection, services }) => {
    const buffers = [Buffer.from('ab'), Buffer.from('cd')];
    services.onUnary(MUTATE, async ({ message, payload }) => {
      t.is((message as { payload: Buffer }).payload.length, 0);
      t.is(Buffer.from(joined(payload)).toString(), 'abcd');
      for (const buffer of payload) buffer.fill(0);
      return { message: mutate.responseType.create(), payload: [] };
    });
    await connection.call(mutate, mutate.requestType.create(), { payload: buffers });
    t.is(Buffer.concat(buffers).toString(), 'abcd');
  }));

test('frames of a connection arrive in order, however long each takes', (t) =>
  inWorld(async ({ connection, network, services }) => {
    network.spikeChance = 0.3;
    network.spikeMsMax = 50;
    const arrived: number[] = [];
    services.onRequestStream(PUSH, async (requests) => {
      for await (const { payload } of requests) arrived.push(lengthOf(payload));
      return { message: push.responseType.create() };
    });
    const stream = connection.stream(push);
    for (let size = 0; size < 50; size += 1)
      await stream.send(push.requestType.create(), [Buffer.alloc(size)]);
    stream.end();
    await stream.finished();
    t.deepEqual(
      arrived,
      Array.from({ length: 50 }, (_, size) => size),
    );
  }));

test('a slow consumer holds its sender up', (t) =>
  inWorld(async ({ connection, services, simulation }) => {
    services.onRequestStream(PUSH, async (requests) => {
      await simulation.sleep(1000);
      for await (const _ of requests);
      return { message: push.responseType.create() };
    });
    const stream = connection.stream(push);
    let sent = 0;
    const pushing = (async () => {
      for (; sent < 20; sent += 1) await stream.send(push.requestType.create(), [Buffer.alloc(256 * KiB)]);
      stream.end();
      await stream.finished();
    })();
    await simulation.sleep(500);
    t.true(sent >= 4 && sent < 8, `${sent} of 256 KiB are under way`);
    await pushing;
    t.is(sent, 20);
  }));

test('a process that dies is noticed at once, and its successor is reached', (t) =>
  inWorld(async ({ askStatus, connection, network, listener, server, services, simulation }) => {
    const lost: string[] = [];
    connection.onLost((error) => lost.push(error.message));
    let begun = 0;
    services.onUnary(STATUS, async () => {
      begun += 1;
      if (begun === 1) await new Promise(() => undefined);
      return { message: status.responseType.create() };
    });
    const call = askStatus();
    await simulation.sleep(5);
    const diedMs = simulation.nowMs;
    server.kill();
    network.processDied(server);
    t.is(await call, 'UNAVAILABLE');
    t.true(simulation.nowMs - diedMs < 1);
    t.is(lost.length, 1);
    t.is(await askStatus(), 'UNAVAILABLE');
    t.is(lost.length, 1);
    const next = new SimEnv(simulation, 'server again');
    await network.processView(next, 'there').listen(listener.address, services.bindings());
    t.is(await askStatus(), 'no error');
  }));

test('a client that dies is noticed by its server', (t) =>
  inWorld(async ({ client, connection, network, services, simulation }) => {
    let aborted = false;
    services.onUnary(STATUS, async (_, { signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      aborted = true;
      throw new GfsError('CANCELLED', 'the caller is gone');
    });
    void codeFrom(connection.call(status, status.requestType.create()));
    await simulation.sleep(5);
    client.kill();
    network.processDied(client);
    await simulation.sleep(5);
    t.true(aborted);
  }));

test('a machine without power says nothing: its peers find out late', (t) =>
  inWorld(async ({ askStatus, connection, network, server, simulation }) => {
    t.is(await askStatus(), 'no error');
    server.kill();
    network.powerOff('there');
    const offMs = simulation.nowMs;
    const deadlineMs = new SimEnv(simulation, 'client').monotonicMs() + 100;
    t.is(
      await codeFrom(connection.call(status, status.requestType.create(), { deadlineMs })),
      'DEADLINE_EXCEEDED',
    );
    t.is(await askStatus(), 'UNAVAILABLE');
    t.true(simulation.nowMs - offMs > 10_000 && simulation.nowMs - offMs < 16_000);
    t.is(await askStatus(), 'UNAVAILABLE');
    network.powerOn('there');
    const onMs = simulation.nowMs;
    t.is(await askStatus(), 'UNAVAILABLE');
    t.true(simulation.nowMs - onMs < 10);
  }));

test('a partition holds frames up, and they arrive when it heals', (t) =>
  inWorld(async ({ askStatus, network, services, simulation }) => {
    t.is(await askStatus(), 'no error');
    network.partition('here', 'there');
    const call = askStatus();
    await simulation.sleep(5000);
    t.is(services.received.length, 1);
    network.healAll();
    t.is(await call, 'no error');
    t.is(services.received.length, 2);
  }));

test('a partition that lasts breaks the connection', (t) =>
  inWorld(async ({ askStatus, network, simulation }) => {
    t.is(await askStatus(), 'no error');
    network.partition('there', 'here');
    const startMs = simulation.nowMs;
    t.is(await askStatus(), 'UNAVAILABLE');
    t.true(simulation.nowMs - startMs < 16_000);
    t.is(await askStatus(), 'UNAVAILABLE');
    network.healAll();
    t.is(await askStatus(), 'no error');
  }));

test('a bidirectional stream ends with its server', (t) =>
  inWorld(async ({ connection, listener }) => {
    const stream = connection.stream(heartbeat);
    const answers = stream.answers[Symbol.asyncIterator]();
    await stream.send(heartbeat.requestType.create({ sequence: 1 }));
    t.is((await answers.next()).done, false);
    await listener.close();
    t.is(await codeFrom(answers.next()), 'UNAVAILABLE');
    t.is(await codeFrom(connection.call(status, status.requestType.create())), 'UNAVAILABLE');
  }));

test('the same seed gives the same trace', async (t) => {
  const traceHash = async () => {
    let hash = '';
    await inWorld(async ({ askStatus, network, simulation }) => {
      network.spikeChance = 0.5;
      network.spikeMsMax = 10;
      await Promise.all(Array.from({ length: 100 }, askStatus));
      hash = simulation.traceHash;
    });
    return hash;
  };
  t.is(await traceHash(), await traceHash());
});
