import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { MiB } from '../../src/base/units.ts';
import { MasterDefinition, type RegisterRequest, type ServerStatus } from '../../src/rpc/messages.ts';
import type { Client } from './fixture.ts';
import { codeFrom, eventually, Place } from './fixture.ts';

const { methods } = MasterDefinition;

async function statusOf(client: Client, server: number): Promise<ServerStatus | undefined> {
  const { servers } = await client.call(methods.listServers, {});
  return servers.find((one) => one.server === server);
}

async function isAlive(client: Client, server: number): Promise<boolean> {
  return (await statusOf(client, server))?.alive ?? false;
}

function registration(change: Partial<RegisterRequest>): Partial<RegisterRequest> {
  return { address: '127.0.0.1:9', incarnation: 'another', bootId: 'b', dataDirectory: '/copy', ...change };
}

test('a server that restarts, at another port and after a restart of the master, is the same server', async (t) => {
  const place = new Place(t);
  const master = await place.start();
  const client = place.client();
  const server = await place.chunkserver();
  const { server: id, filesystemId } = server;
  await server.kill();
  await master.close();
  await place.start();
  const { server: again } = await client.call(methods.register, registration({ server: id, filesystemId }));
  t.is(again, id);
  t.is((await statusOf(client, id))?.address, '127.0.0.1:9');
  const { server: other } = await client.call(methods.register, registration({ incarnation: 'new' }));
  t.not(other, id, 'ids are not reused');
});

test('a copied data directory is refused while the original lives', async (t) => {
  const place = new Place(t);
  await place.start();
  const client = place.client();
  const server = await place.chunkserver();
  const copy = registration({ server: server.server, filesystemId: server.filesystemId });
  const refusal = await t.throwsAsync(client.call(methods.register, copy), { instanceOf: GfsError });
  t.is(refusal?.code, 'ALREADY_RUNNING');
  t.is(refusal?.fields.incarnation, server.incarnation, 'who is in its place');
  await server.kill();
  await eventually(t, 'the end is noticed', async () => !(await isAlive(client, server.server)));
  t.is(await codeFrom(client.call(methods.register, copy)), 'OK');
});

test('a server of another file system is refused', async (t) => {
  const place = new Place(t);
  await place.start();
  const client = place.client();
  const other = registration({ server: 1, filesystemId: '0'.repeat(32) });
  t.is(await codeFrom(client.call(methods.register, other)), 'WRONG_FILESYSTEM');
  t.is(await codeFrom(client.call(methods.register, registration({ server: 1 }))), 'INVALID_ARGUMENT');
});

test('an answer to a registration that was lost does not cost another id', async (t) => {
  const place = new Place(t);
  await place.start();
  const client = place.client();
  const first = await client.call(methods.register, registration({}));
  t.is((await client.call(methods.register, registration({}))).server, first.server);
});

test('a broken connection is noticed at once, long before a silence would be', async (t) => {
  const place = new Place(t, { serverSilenceMs: 60_000 });
  await place.start();
  const client = place.client();
  const server = await place.chunkserver();
  t.true(await isAlive(client, server.server));
  await server.kill();
  await eventually(t, 'the end is noticed', async () => !(await isAlive(client, server.server)));
  await server.start();
  t.true(await isAlive(client, server.server));
});

test('a server that says nothing is gone after a while', async (t) => {
  const place = new Place(t, { serverSilenceMs: 300 });
  await place.start();
  const client = place.client();
  const server = await place.chunkserver();
  server.hang();
  await eventually(t, 'the silence is noticed', async () => !(await isAlive(client, server.server)));
});

test('a heartbeat of a server that did not register ends the stream', async (t) => {
  const place = new Place(t);
  const master = await place.start();
  const server = await place.chunkserver();
  await master.close();
  await place.start();
  const { connection } = place.client();
  const stream = connection.stream(methods.heartbeat);
  const beat = { ...methods.heartbeat.requestType.create(), server: server.server, incarnation: 'x' };
  await stream.send(beat);
  const answered = (async () => {
    for await (const _ of stream.answers) t.fail('no answer is due');
  })();
  t.is(await codeFrom(answered), 'NOT_FOUND');
});

test('replicas are known from full reports and increments, and missed where they are not', async (t) => {
  const place = new Place(t);
  await place.start();
  const servers = await place.chunkservers(3);
  const client = await place.client().open();
  const { extents } = await client.create('f');
  const chunk = extents[0]?.chunk ?? 0;
  const underGoal = async () => (await client.call(methods.status, {})).chunkCountUnderGoal;
  t.is(await underGoal(), 0, 'a chunk that was never written misses nothing');
  for (const server of servers) server.holds(chunk);
  const [first] = servers;
  for (const server of servers) await server.report(false, [...server.replicas.values()]);
  await first?.report(true, []);
  await eventually(t, 'the count is taken anew', async () => (await underGoal()) === 1);
});

test('statfs counts the room of servers on one disk once, and offers what as many copies leave', async (t) => {
  const place = new Place(t);
  await place.start();
  const client = await place.client().open();
  const told = () => client.call(methods.statFilesystem, {});
  t.like(await told(), { totalBytes: 0, freeBytes: 0, availableBytes: 0, nameLengthMax: 255 });
  const servers = await place.chunkservers(2);
  for (const device of [7, 7]) servers.push(await place.chunkserver({ device, space: 600 * MiB }));
  const free = (bytes: number) =>
    eventually(t, `${bytes} are free`, async () => (await told()).freeBytes === bytes);
  // Two with 1000 MiB each, and two that share 600.
  await free(1000 * MiB);
  await servers[0]?.close();
  await free(300 * MiB);
  const { inodeCount, inodeCountFree } = await told();
  t.is(inodeCount - inodeCountFree, 1, 'the root');
  await client.create('f');
  const later = await told();
  t.is(later.inodeCount - later.inodeCountFree, 2);
});
