// A master's log that lost its end: an older copy of its directory is put back (P25).
import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MasterDefinition } from '../../src/rpc/messages.ts';
import type { FakeChunkserver } from './fake-chunkserver.ts';
import { codeFrom, eventually, Place, ROOT } from './fixture.ts';

const { methods } = MasterDefinition;
const FAR = 1_000_000;

/**
 * A file 'f' whose chunk was at version 1 on three servers when the copy was made; then it was raised, and a file
 * 'g' got an inode and a chunk. The master of the copy runs now, and no server has found it yet. With fewer members, the others
 * had died before the copy was made.
 */
async function setBack(t: ExecutionContext, { memberCount = 3 } = {}) {
  const place = new Place(t, { serversReturnMs: 100 });
  const data = join(place.directory, 'data');
  const copy = join(place.directory, 'copy');
  const before = await place.start();
  const servers = await place.chunkservers(3);
  const client = await place.client().open();
  const f = await client.create('f');
  const chunk = f.extents[0]?.chunk ?? 0;
  for (const server of servers) server.holds(chunk, { length: 100, inCharge: false });
  const members = servers.slice(0, memberCount);
  for (const server of servers.slice(memberCount)) await server.close();
  await eventually(t, 'the dead are left out', async () => {
    if ((await client.find(f.inode)).extents[0]?.members.length === memberCount) return true;
    await codeFrom(client.find(f.inode, { forWrite: true, suspectVersion: 1 }));
    return false;
  });
  await before.close();
  await cp(data, copy, { recursive: true });
  const ended = await place.start();
  await Promise.all(members.map((server) => reconnect(server)));
  const later = await place.client().open();
  const suspectVersion = members[0]?.replicas.get(chunk)?.version ?? 0;
  for (const server of members)
    server.holds(chunk, { version: suspectVersion, length: 100, inCharge: false });
  await later.find(f.inode, { forWrite: true, suspectVersion });
  const g = await later.create('g');
  const unknown = g.extents[0]?.chunk ?? 0;
  const { first: lostWriter } = await later.call(methods.dealWriters, { count: 1 });
  for (const server of servers) server.holds(unknown, { length: 5 });
  await ended.close();
  await rm(data, { recursive: true });
  await cp(copy, data, { recursive: true });
  await place.start();
  const now = await place.client().open();
  const lost = { session: later.session, writer: lostWriter, inode: g.inode };
  return { place, servers, client: now, inode: f.inode, chunk, lost, unknown };
}

async function reconnect(server: FakeChunkserver): Promise<void> {
  await server.kill();
  await server.connect();
}

test('P25: a chunk whose versions the log lost is recovered from its servers, far above them', async (t) => {
  const { servers, client, inode, chunk } = await setBack(t);
  t.deepEqual(
    servers.map(({ replicas }) => replicas.get(chunk)?.version),
    [2, 2, 2],
  );
  for (const server of servers) await reconnect(server);
  const { extents } = await client.find(inode, { forWrite: true });
  t.true((extents[0]?.version ?? 0) > FAR);
  t.is(extents[0]?.members.length, 3);
  t.deepEqual(
    servers.map(({ replicas }) => replicas.get(chunk)?.version),
    servers.map(() => extents[0]?.version),
  );
  const { chunkCountBeyondLog } = await client.call(methods.status, {});
  t.is(chunkCountBeyondLog, 0);
});

test('P25: one whole member of versions that the log lost is enough to repair the chunk from', async (t) => {
  const { place, servers, client, inode, chunk } = await setBack(t, { memberCount: 2 });
  const [whole, broken] = servers as [FakeChunkserver, FakeChunkserver];
  const [spare] = await place.chunkservers(1);
  t.is(whole.replicas.get(chunk)?.version, 3);
  broken.holds(chunk, { version: 3, lost: true });
  for (const server of [whole, broken]) await reconnect(server);
  t.is(await codeFrom(client.find(inode, { forWrite: true })), 'TOO_FEW_REPLICAS');
  await eventually(t, 'it teaches another', async () => whole.taught.length > 0);
  t.like(whole.taught[0], { chunk, learner: { server: spare?.server } });
  t.true((whole.taught[0]?.version ?? 0) > FAR);
});

test('P25: before it is known who the members are, no reader is sent to one that may have been left out', async (t) => {
  const { servers, client, inode } = await setBack(t);
  const [first] = servers as [FakeChunkserver];
  const addresses = async () => (await client.find(inode)).extents[0]?.members.map(({ address }) => address);
  for (const server of servers) server.refuses.add('checkVersion');
  await reconnect(first);
  await eventually(t, 'the master hears of the version', async () => {
    return (await client.call(methods.status, {})).chunkCountBeyondLog === 1;
  });
  t.deepEqual(await addresses(), ['', '', '']);
  for (const server of servers.slice(1)) await reconnect(server);
  for (const server of servers) server.refuses.clear();
  await eventually(
    t,
    'it is recovered',
    async () => (await addresses())?.every((address) => address !== '') === true,
  );
});

test('P25: before enough of them are back nobody writes, and people are told', async (t) => {
  const { servers, client, inode, chunk } = await setBack(t);
  const [first, second] = servers as [FakeChunkserver, FakeChunkserver];
  for (const server of servers) server.refuses.add('checkVersion');
  await reconnect(first);
  first.refuses.clear();
  await eventually(t, 'the master hears of the version', async () => {
    return (await client.call(methods.status, {})).chunkCountBeyondLog === 1;
  });
  t.is(await codeFrom(client.find(inode, { forWrite: true })), 'NOT_READY');
  t.is((await client.find(inode)).extents[0]?.primary, 0, 'nobody is primary');
  t.is(first.replicas.get(chunk)?.version, 2);
  await reconnect(second);
  second.refuses.clear();
  await eventually(t, 'two of three cannot have missed a later version', async () => {
    return (await codeFrom(client.find(inode, { forWrite: true }))) === 'OK';
  });
  t.true((first.replicas.get(chunk)?.version ?? 0) > FAR);
});

test('P25: a chunk that no log has makes the master deal ids far above, and is not deleted', async (t) => {
  const { servers, client, lost, unknown } = await setBack(t);
  for (const server of servers) await reconnect(server);
  const made = await client.create('h');
  t.true((made.extents[0]?.chunk ?? 0) > unknown + FAR);
  t.true(made.inode > lost.inode + FAR);
  t.deepEqual(
    servers.map(({ deleted }) => deleted),
    [[], [], []],
  );
  t.true(servers.every(({ replicas }) => replicas.has(unknown)));
});

test('P25: sessions and writers that the log lost are nobody else’s, with no server here to tell', async (t) => {
  const { client, lost } = await setBack(t);
  t.true(client.session > lost.writer, 'above all that was dealt');
  const { first } = await client.call(methods.dealWriters, { count: 1 });
  t.true(first > lost.writer);
  t.is(await codeFrom(client.call(methods.renewSession, { session: lost.session })), 'NO_SUCH_SESSION');
});

test('P21, P25: after a loss of power any file may be under the pen of a session that the log lost', async (t) => {
  const place = new Place(t, { sessionTimeoutMs: 1000 });
  const before = await place.start();
  const client = await place.client().open();
  const { inode, openId } = await client.create('f', { reserve: false });
  await client.close(inode, openId);
  await client.call(methods.closeSession, { session: client.session });
  const reader = place.client();
  const isBeingWritten = async () =>
    (await reader.call(methods.getAttributes, { caller: ROOT, inode })).beingWritten;
  t.false(await isBeingWritten());
  await before.close();
  const killed = await place.start();
  t.false(await isBeingWritten(), 'a log that nobody cut off from its disk is all there');
  await killed.close();
  await writeFile(join(place.directory, 'data', 'store.mark'), 'gfs-store-mark 1 an-earlier-boot open\n');
  const after = await place.start();
  t.true(await isBeingWritten());
  await after.close();
  await place.start();
  t.true(await isBeingWritten(), 'another restart does not end it');
  await eventually(t, 'it had its time', async () => !(await isBeingWritten()));
});
