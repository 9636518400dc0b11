// Copies that are missing, and those that are too many: what the master decides. Servers are played by the test.
import test, { type ExecutionContext } from 'ava';
import type { MasterOptions } from '../../src/master/master-options.ts';
import { MasterDefinition, type TeachRequest } from '../../src/rpc/messages.ts';
import type { FakeChunkserver } from './fake-chunkserver.ts';
import { codeFrom, env, Place } from './fixture.ts';

const { methods } = MasterDefinition;
const GRACE = { repairGraceMs: 100, serversReturnMs: 1000 };

/** A file whose chunk is written on three servers, and `spareCount` servers more. */
async function written(t: ExecutionContext, spareCount: number, options: Partial<MasterOptions> = GRACE) {
  const place = new Place(t, options);
  const master = await place.start();
  const three = await place.chunkservers(3);
  const client = await place.client().open();
  const { inode, extents } = await client.create('f');
  const chunk = extents[0]?.chunk ?? 0;
  for (const server of three) {
    server.holds(chunk, { length: 100 });
    await server.report(false, [...server.replicas.values()]);
  }
  const servers = [...three, ...(await place.chunkservers(spareCount))];
  for (const server of servers) server.onTeach = (request) => teach(place, servers, server, request);
  const by = three.find(({ server }) => server === extents[0]?.primary);
  const others = three.filter((server) => server !== by);
  if (by === undefined) throw new Error('a chunk has a primary');
  const row = async () => (await client.find(inode)).extents[0];
  const membersNow = async () => ((await row())?.members ?? []).map(({ server }) => server).sort();
  return { place, master, servers, client, inode, chunk, by, others, row, membersNow };
}

/** As a primary does it, at once. */
async function teach(
  place: Place,
  servers: readonly FakeChunkserver[],
  { server, incarnation }: FakeChunkserver,
  { chunk, version, learner }: TeachRequest,
): Promise<void> {
  const copy = servers.find((one) => one.server === learner?.server);
  copy?.holds(chunk, { version, learner: true, whole: false, reconciled: false });
  const request = { server, incarnation, chunk, version, learner: learner?.server ?? 0 };
  await place.client().call(methods.admit, request);
}

function admission(by: FakeChunkserver, chunk: number, version: number, learner: number) {
  const { server, incarnation } = by;
  return { server, incarnation, chunk, version, learner };
}

test('the place of a lost server is filled after the grace', async (t) => {
  const { servers, others, chunk, membersNow } = await written(t, 1);
  const [lost] = others;
  await lost?.close();
  const left = servers.filter((server) => server !== lost).map(({ server }) => server);
  await eventuallyLong(
    t,
    'the spare one is a member',
    async () => String(await membersNow()) === String(left),
  );
  const taught = servers.flatMap((server) => server.taught);
  t.is(taught.length, 1);
  t.is(taught[0]?.chunk, chunk);
});

test('a server that is back within the grace is used as it is', async (t) => {
  const { servers, others, row } = await written(t, 1, { ...GRACE, repairGraceMs: 60_000 });
  await others[0]?.kill();
  await env.sleep(1500);
  await others[0]?.connect();
  await env.sleep(1500);
  t.is((await row())?.version, 1);
  t.deepEqual(
    servers.flatMap((server) => server.taught),
    [],
  );
});

test('the place of an evicted member is filled, by itself if it holds an older copy', async (t) => {
  const { place, servers, chunk, by, others, membersNow } = await written(t, 2);
  const [evicted] = others;
  if (evicted === undefined) throw new Error('three servers');
  const accusation = { chunk, version: 1, accused: evicted.server, code: 'IO_ERROR' };
  const { server, incarnation } = by;
  await place.client().call(methods.evict, { server, incarnation, ...accusation });
  await eventuallyLong(t, 'it is back', async () => (await membersNow()).length === 3);
  t.true((await membersNow()).includes(evicted.server));
  t.deepEqual(
    servers.flatMap(({ taught }) => taught).map(({ learner }) => learner?.server),
    [evicted.server],
  );
});

test('P9: a chunk with too few members left gets one more, and is written again', async (t) => {
  const { others, membersNow, client, inode, by } = await written(t, 1, { ...GRACE, repairGraceMs: 5000 });
  for (const lost of others) lost.refuses.add('checkVersion').add('setVersion').add('create');
  await Promise.all(others.map((lost) => lost.kill()));
  const find = () => codeFrom(client.find(inode, { forWrite: true, suspectVersion: 1 }));
  t.is(await find(), 'TOO_FEW_REPLICAS');
  await eventuallyLong(t, 'two members are there', async () => (await membersNow()).length === 2);
  t.true((await membersNow()).includes(by.server));
  t.is(await find(), 'OK');
});

test('nobody who is away is waited for where a chunk cannot be written', async (t) => {
  // Two members of three, then one: its server would have hours to come back.
  const grace = { ...GRACE, repairGraceMs: 3_600_000 };
  const { others, membersNow, by, chunk, place } = await written(t, 1, grace);
  const [first, second] = others;
  if (first === undefined || second === undefined) throw new Error('three servers');
  const { server, incarnation } = by;
  const evict = (version: number, { server: accused }: FakeChunkserver) => {
    const accusation = { server, incarnation, chunk, version, accused, code: 'UNAVAILABLE' };
    return codeFrom(place.client().call(methods.evict, accusation));
  };
  for (const [index, lost] of [first, second].entries()) {
    lost.refuses.add('checkVersion').add('setVersion');
    await lost.kill();
    t.is(await evict(index + 1, lost), index === 0 ? 'OK' : 'TOO_FEW_REPLICAS');
  }
  t.deepEqual(await membersNow(), [by.server, second.server].sort());
  await eventuallyLong(t, 'it has another member', async () => !(await membersNow()).includes(second.server));
  t.is((await membersNow()).length, 2);
});

test('a repair that fails is tried with another server', async (t) => {
  const { servers, others, membersNow, place } = await written(t, 2);
  const [lost] = others;
  const tried: (number | undefined)[] = [];
  for (const server of servers) {
    server.onTeach = async (request) => {
      tried.push(request.learner?.server);
      if (tried.length === 1) throw new Error('the learner fails');
      await teach(place, servers, server, request);
    };
  }
  await lost?.close();
  await eventuallyLong(t, 'three are members', async () => {
    const members = await membersNow();
    return members.length === 3 && !members.includes(lost?.server ?? 0);
  });
  t.not(tried[0], tried[1]);
});

test('a chunk that nobody wrote is not copied', async (t) => {
  const place = new Place(t, GRACE);
  await place.start();
  const servers = await place.chunkservers(4);
  const client = await place.client().open();
  const { extents } = await client.create('f');
  const [member] = extents[0]?.members ?? [];
  await servers.find(({ server }) => server === member?.server)?.close();
  await env.sleep(2500);
  t.deepEqual(
    servers.flatMap(({ taught }) => taught),
    [],
  );
});

test('P24: copies outside the members go when the chunk has all its members, and they are active', async (t) => {
  const { servers, others, chunk, membersNow } = await written(t, 1);
  const [lost] = others;
  lost?.refuses.add('checkVersion');
  await lost?.kill();
  await eventuallyLong(t, 'its place is filled', async () => {
    const members = await membersNow();
    return members.length === 3 && !members.includes(lost?.server ?? 0);
  });
  lost?.refuses.delete('checkVersion');
  await lost?.connect();
  await env.sleep(2500);
  t.deepEqual(lost?.strays, [], 'the members are not reconciled yet');
  for (const server of servers) {
    const state = server.replicas.get(chunk);
    if (state !== undefined && server !== lost) server.holds(chunk, { ...state, reconciled: true });
  }
  await eventuallyLong(t, 'the old copy is deleted', () => lost?.replicas.has(chunk) === false);
  t.is(servers.filter(({ replicas }) => replicas.has(chunk)).length, 3);
});

test('P9: bad admissions are refused, and change nothing', async (t) => {
  const { place, servers, chunk, by, others, row } = await written(t, 1, { ...GRACE, repairGraceMs: 60_000 });
  const spare = servers.find((server) => server !== by && !others.includes(server));
  if (spare === undefined) throw new Error('four servers');
  const admit = (change: Partial<ReturnType<typeof admission>>) =>
    codeFrom(place.client().call(methods.admit, { ...admission(by, chunk, 1, spare.server), ...change }));
  t.is(await admit({}), 'NO_SUCH_CHUNK', 'it has no copy');
  spare.holds(chunk, { version: 1, learner: true, whole: false, reconciled: false });
  t.is(await admit({}), 'INVALID_ARGUMENT', 'there are three members');
  await others[0]?.close();
  t.is(await admit({ version: 2 }), 'VERSION_MISMATCH');
  t.is(await admit({ learner: by.server }), 'INVALID_ARGUMENT', 'a member');
  t.is(await admit({ learner: 999 }), 'INVALID_ARGUMENT', 'nobody');
  t.is(await admit({ chunk: 999 }), 'NO_SUCH_CHUNK');
  t.is(await admit({ server: others[1]?.server ?? 0 }), 'NOT_FOUND', 'another incarnation');
  const { incarnation = '', server = 0 } = others[1] ?? {};
  t.is(await admit({ server, incarnation }), 'NOT_PRIMARY');
  spare.holds(chunk, { version: 1, learner: true, whole: false, restarted: true });
  t.is(await admit({}), 'NO_SUCH_CHUNK', 'its lesson ended with its process');
  spare.holds(chunk, { version: 1, whole: true });
  t.is(await admit({}), 'NO_SUCH_CHUNK', 'no learner');
  t.is((await row())?.version, 1);
  spare.holds(chunk, { version: 1, learner: true, whole: false, reconciled: false });
  t.is(await admit({}), 'OK');
  t.is(await admit({}), 'OK', 'asked again, it changes nothing');
  t.is((await row())?.version, 2);
});

/** As `eventually`, for what is tried again after seconds only. */
async function eventuallyLong(t: ExecutionContext, what: string, check: () => boolean | Promise<boolean>) {
  for (let waited = 0; waited < 1500 && !(await check()); waited += 1) await env.sleep(10);
  t.true(await check(), what);
}
