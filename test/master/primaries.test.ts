import test, { type ExecutionContext } from 'ava';
import { KiB } from '../../src/base/units.ts';
import type { MasterOptions } from '../../src/master/master-options.ts';
import { type ExtentLocation, MasterDefinition } from '../../src/rpc/messages.ts';
import type { FakeChunkserver } from './fake-chunkserver.ts';
import { BOB, type Client, codeFrom, eventually, Place, ROOT } from './fixture.ts';

const { methods } = MasterDefinition;

/** A master with three servers, and a file whose first chunk is written on all of them. */
async function written(t: ExecutionContext, options: Partial<MasterOptions> = {}) {
  const place = new Place(t, { serversReturnMs: 1000, ...options });
  const master = await place.start();
  const servers = await place.chunkservers(3);
  const client = await place.client().open();
  const { inode, extents, openId } = await client.create('f');
  const chunk = extents[0]?.chunk ?? 0;
  for (const server of servers) server.holds(chunk, { length: 100 });
  return { place, master, servers, client, inode, openId, chunk, primary: extents[0]?.primary ?? 0 };
}

async function extentForWrite(
  client: Client,
  inode: number,
  suspectVersion = 0,
): Promise<ExtentLocation | undefined> {
  return (await client.find(inode, { forWrite: true, suspectVersion })).extents[0];
}

const versionsOf = (servers: readonly FakeChunkserver[], chunk: number) =>
  servers.map((server) => server.replicas.get(chunk)?.version);

test('a chunk keeps its primary while its lease runs', async (t) => {
  const { client, inode, primary } = await written(t);
  const extent = await extentForWrite(client, inode);
  t.deepEqual([extent?.version, extent?.primary], [1, primary]);
});

test('a client that complains gets a higher version; one that is late only the news', async (t) => {
  const { client, servers, inode, chunk } = await written(t);
  const extent = await extentForWrite(client, inode, 1);
  t.is(extent?.version, 2);
  t.deepEqual(versionsOf(servers, chunk), [2, 2, 2]);
  const later = await extentForWrite(client, inode, 1);
  t.deepEqual([later?.version, later?.primary], [2, extent?.primary]);
});

test('what a raise asks and orders goes under the name of the operation that waits for it', async (t) => {
  const { client, servers, inode } = await written(t);
  for (const server of servers) server.raisedFor.clear();
  const request = { caller: ROOT, inode, count: 1, fileOffset: 0, forWrite: true, suspectVersion: 1 };
  await client.call(methods.findChunks, { ...request, forSync: false }, { requestId: 'story' });
  for (const { raisedFor } of servers) t.deepEqual([...raisedFor], ['story']);
});

test('many clients that want a primary wait for one raise', async (t) => {
  const { client, inode } = await written(t, { leaseDurationMs: 1 });
  const found = await Promise.all(Array.from({ length: 20 }, () => extentForWrite(client, inode, 1)));
  // The lease of a millisecond may have run out for the last ones: they wait for the second raise together.
  t.true(found.every((extent) => (extent?.version ?? 0) >= 2 && (extent?.version ?? 9) <= 3));
});

test('a restarted master grants nothing twice: it raises the version', async (t) => {
  const { place, client, master, servers, inode, chunk } = await written(t);
  await master.close();
  await place.start();
  for (const server of servers) {
    await server.kill();
    await server.connect();
  }
  t.is((await client.find(inode)).extents[0]?.primary, 0, 'nobody is known to be primary');
  const extent = await extentForWrite(client, inode);
  t.is(extent?.version, 2);
  t.deepEqual(versionsOf(servers, chunk), [2, 2, 2]);
});

test('a restarted master believes a primary that uses its lease, as far as the log confirms it', async (t) => {
  const { place, client, master, servers, inode, chunk, primary } = await written(t);
  await master.close();
  await place.start();
  for (const server of servers) {
    await server.kill();
    server.leases = [{ chunk, version: 1, active: true }];
    await server.connect();
  }
  const extent = await extentForWrite(client, inode);
  t.deepEqual([extent?.version, extent?.primary], [1, primary]);
  const extended = servers.filter(({ answers }) => answers.some(({ extensions }) => extensions.length > 0));
  t.deepEqual(
    extended.map(({ server }) => server),
    [primary],
  );
});

test('P1: a copy that a server reports makes it no member, before and after a restart of the master', async (t) => {
  const { place, client, master, servers, inode, chunk, primary } = await written(t, { minReplicas: 1 });
  const ids = servers.map(({ server }) => server);
  const outsider = await place.chunkserver();
  const holds = (version: number) =>
    outsider.holds(chunk, { version, reconciledVersion: version, length: 200, inCharge: true });
  const membersNow = async () => (await client.find(inode)).extents[0]?.members.map(({ server }) => server);
  holds(1);
  await outsider.report(true, [...outsider.replicas.values()]);
  t.deepEqual((await membersNow())?.sort(), ids);
  t.is((await extentForWrite(client, inode))?.primary, primary);
  t.is((await extentForWrite(client, inode, 1))?.version, 2);
  t.deepEqual(outsider.records, []);

  await master.close();
  await place.start();
  holds(2);
  await outsider.kill();
  await outsider.connect();
  t.deepEqual(
    (await membersNow())?.filter((server) => server === outsider.server),
    [],
  );
  for (const server of servers) {
    await server.kill();
    await server.connect();
  }
  t.true(ids.includes((await extentForWrite(client, inode))?.primary ?? 0));
  t.deepEqual((await membersNow())?.sort(), ids);
  t.deepEqual(outsider.records, []);
});

test('a lease ends with the process of its primary', async (t) => {
  const { client, servers, inode, primary } = await written(t);
  const holder = servers.find(({ server }) => server === primary);
  await holder?.kill();
  await holder?.start();
  t.is((await client.find(inode)).extents[0]?.primary, 0);
  t.is((await extentForWrite(client, inode))?.version, 2);
});

test('P12: a primary that is in charge is kept when a client complains, and replaced when complaints go on', async (t) => {
  const { client, servers, inode, primary, chunk } = await written(t);
  servers.find(({ server }) => server === primary)?.holds(chunk, { inCharge: true });
  const kept = await extentForWrite(client, inode, 1);
  t.deepEqual([kept?.version, kept?.primary], [1, primary]);
  await eventually(
    t,
    'another one is primary',
    async () => (await extentForWrite(client, inode, 1))?.version === 2,
  );
  t.not((await extentForWrite(client, inode))?.primary, primary);
});

test('P12: a chunk goes on without a dead member at once', async (t) => {
  const { client, servers, inode, chunk } = await written(t);
  const [gone, ...others] = servers;
  await gone?.close();
  const extent = await extentForWrite(client, inode, 1);
  t.deepEqual(
    extent?.members.map(({ server }) => server).sort(),
    others.map(({ server }) => server),
  );
  t.deepEqual(versionsOf(servers, chunk).sort(), [1, 2, 2]);
});

/** As the primary of version 1 asks. */
async function evict(place: Place, by: FakeChunkserver, chunk: number, accused: number, code: string) {
  const { server, incarnation } = by;
  const request = { server, incarnation, chunk, version: 1, accused, code };
  return (await place.client().call(methods.evict, request)).version;
}

test('P12: a primary has a dead member evicted and stays primary', async (t) => {
  const { place, client, servers, inode, primary, chunk } = await written(t);
  const [gone, other] = servers.filter(({ server }) => server !== primary);
  const by = servers.find(({ server }) => server === primary);
  if (by === undefined || gone === undefined) throw new Error('three servers');
  await gone.close();
  t.is(await evict(place, by, chunk, gone.server, 'UNAVAILABLE'), 2);
  const extent = await extentForWrite(client, inode);
  t.deepEqual([extent?.version, extent?.primary], [2, primary]);
  t.deepEqual(extent?.members.map(({ server }) => server).sort(), [primary, other?.server ?? 0].sort());
  t.is(await evict(place, by, chunk, gone.server, 'UNAVAILABLE'), 2, 'asked again, it changes nothing');
});

test('P12: a primary that accuses a member which the master reaches is changed itself', async (t) => {
  const { place, client, servers, inode, primary, chunk } = await written(t);
  const [accused, third] = servers.filter(({ server }) => server !== primary);
  const by = servers.find(({ server }) => server === primary);
  if (by === undefined || accused === undefined || third === undefined) throw new Error('three servers');
  t.is(await evict(place, by, chunk, accused.server, 'UNAVAILABLE'), 2);
  const extent = await extentForWrite(client, inode);
  t.deepEqual([extent?.members.length, extent?.primary], [3, third.server]);
});

test('P12: only the primary of the version has a member evicted', async (t) => {
  const { place, client, servers, inode, primary, chunk } = await written(t);
  const [other, third] = servers.filter(({ server }) => server !== primary);
  if (other === undefined || third === undefined) throw new Error('three servers');
  t.is(await evict(place, other, chunk, third.server, 'IO_ERROR'), 1);
  const by = servers.find(({ server }) => server === primary);
  if (by === undefined) throw new Error('three servers');
  t.is(await codeFrom(evict(place, by, chunk, 999, 'IO_ERROR')), 'INVALID_ARGUMENT');
  by.incarnation = 'another';
  t.is(await codeFrom(evict(place, by, chunk, third.server, 'IO_ERROR')), 'NOT_FOUND');
  t.is((await client.find(inode)).extents[0]?.version, 1);
});

test('P7: a chunk that readers find unreadable is raised; one whose primary is in charge is not', async (t) => {
  const { client, servers, inode, chunk, primary } = await written(t);
  const complain = () =>
    client.call(methods.findChunks, { caller: ROOT, inode, count: 1, suspectVersion: 1 });
  const holder = servers.find(({ server }) => server === primary);
  holder?.holds(chunk, { inCharge: true });
  t.is((await complain()).extents[0]?.version, 1);
  for (const server of servers) server.holds(chunk, { whole: false, restarted: true, length: 7 });
  t.is((await complain()).extents[0]?.version, 2);
  t.deepEqual(
    servers.map(({ records }) => [records[0]?.version, records[0]?.loss]),
    [
      [2, 2],
      [2, 2],
      [2, 2],
    ],
  );
});

test('P7: replicas that lost power, or whose version was never active, are mended although nobody asks', async (t) => {
  const { servers, chunk } = await written(t);
  const [torn] = servers;
  torn?.holds(chunk, { whole: false, restarted: true });
  await torn?.report(false, [...torn.replicas.values()]);
  await eventually(t, 'all have another version', () => versionsOf(servers, chunk).every((one) => one === 2));
  const primary = servers.find(({ server }) => server === servers[1]?.records[0]?.primary);
  t.not(primary, torn);
});

test('a chunk does not go on with fewer members than the minimum', async (t) => {
  const { client, servers, inode } = await written(t);
  for (const server of servers.slice(1)) await server.close();
  const refused = async () => (await codeFrom(extentForWrite(client, inode, 1))) === 'TOO_FEW_REPLICAS';
  await eventually(t, 'the write is refused', refused);
  t.is((await client.find(inode)).extents[0]?.version, 1, 'nothing was logged');
});

test('P23: a chunk that its only client never wrote, and whose members are partly gone, is replaced', async (t) => {
  const { client, place, servers, inode, openId, chunk, primary } = await written(t);
  for (const server of servers) server.replicas.clear();
  await servers.find(({ server }) => server === primary)?.close();
  const ask = (session: number, unacknowledged: boolean) =>
    client.connection.call(methods.findChunks, {
      ...{ caller: ROOT, inode, fileOffset: 0, count: 1, forWrite: true, session, openId, last: false },
      ...{ forSync: false, suspectVersion: 1, unacknowledged, fullServer: 0 },
    });
  t.is(await codeFrom(ask(client.session, false)), 'NOT_READY', 'somebody has an acknowledgement');
  const { message } = await ask(client.session, true);
  const [extent] = message.extents;
  t.not(extent?.chunk, chunk);
  t.deepEqual([extent?.start, extent?.version, extent?.members.length], [0, 1, 2]);
  t.false(extent?.members.some(({ server }) => server === primary));
  // Of the new one another session is told: from now on nobody can say that it is not missed.
  const other = await place.client().open();
  await other.call(methods.findChunks, { caller: ROOT, inode, count: 1, session: other.session });
  await servers.find(({ server }) => server === extent?.primary)?.close();
  t.not(await codeFrom(ask(client.session, true)), 'OK');
});

test('a chunk that nobody holds is made empty at all members; one that some hold is copied', async (t) => {
  const { client, servers, inode, chunk } = await written(t);
  for (const server of servers) server.replicas.clear();
  t.is((await extentForWrite(client, inode, 1))?.version, 2);
  t.deepEqual(
    servers.map(({ created }) => created[0]?.copy),
    [false, false, false],
  );
  const [first, second] = servers;
  second?.replicas.delete(chunk);
  const extent = await extentForWrite(client, inode, 2);
  t.is(extent?.version, 3);
  t.not(extent?.primary, second?.server);
  t.true(second?.created[1]?.copy);
  t.is(first?.created.length, 1);
});

test('a raise that one member refuses is followed by another without it', async (t) => {
  const { client, servers, inode, chunk } = await written(t);
  const [refusing, ...others] = servers;
  refusing?.refuses.add('setVersion');
  const extent = await extentForWrite(client, inode, 1);
  t.is(extent?.version, 3);
  t.deepEqual(versionsOf(servers, chunk), [1, 3, 3]);
  t.deepEqual(
    extent?.members.map(({ server }) => server).sort(),
    others.map(({ server }) => server),
  );
});

test('shortening cuts the chunk with the same command, and every later raise repeats the cut', async (t) => {
  const { client, servers, inode, openId, chunk } = await written(t);
  await client.close(inode, openId, 100);
  const attributes = await client.call(methods.setAttributes, {
    context: client.context(),
    inode,
    length: 40,
  });
  t.is(attributes.attributes?.length, 40);
  t.deepEqual(
    servers.map(({ records }) => [records[0]?.version, records[0]?.cutVersion, records[0]?.cutLength]),
    [
      [2, 2, 40],
      [2, 2, 40],
      [2, 2, 40],
    ],
  );
  for (const server of servers) server.holds(chunk, { version: 2, length: 40 });
  await extentForWrite(client, inode, 2);
  t.deepEqual([servers[0]?.records[1]?.version, servers[0]?.records[1]?.cutVersion], [3, 2]);
});

test('a truncation that is sent again is carried out once', async (t) => {
  const { client, inode, openId } = await written(t);
  await client.close(inode, openId, 100);
  const context = client.context();
  await client.call(methods.setAttributes, { context, inode, length: 40 });
  const again = await client.call(methods.setAttributes, { context, inode, length: 40 });
  t.is(again.attributes?.length, 40);
  t.is((await client.find(inode)).extents[0]?.version, 2);
});

test('a truncation whose client has died before it was decided is not carried out later', async (t) => {
  const { client, inode, openId, servers } = await written(t);
  await client.close(inode, openId, 100);
  const [slow] = servers;
  const asked = new Promise<() => void>((resolve) => {
    if (slow !== undefined) slow.onCheckVersion = () => new Promise<void>((answer) => resolve(answer));
  });
  const dying = new AbortController();
  const request = { ...methods.setAttributes.requestType.create(), inode, length: 40 };
  const call = client.connection.call(
    methods.setAttributes,
    { ...request, context: client.context() },
    { signal: dying.signal },
  );
  const answer = await asked;
  dying.abort();
  t.is(await codeFrom(call), 'CANCELLED');
  // Whoever comes after sees the file whole, and what he changes stays.
  await client.call(methods.setAttributes, { ...request, context: client.context(), length: 90_000_000 });
  answer();
  if (slow !== undefined) slow.onCheckVersion = undefined;
  await client.call(methods.setAttributes, {
    ...request,
    context: client.context(),
    mode: 0o600,
    length: undefined,
  });
  // The chunk is free again, and at the version it had.
  t.is((await extentForWrite(client, inode))?.version, 1);
  const { attributes } = await client.call(methods.getAttributes, { caller: ROOT, inode });
  t.is(attributes?.length, 90_000_000);
});

test('who may not write a file does not truncate it, and no version is raised for him', async (t) => {
  const { client, inode } = await written(t);
  const request = { context: client.context(BOB), inode, length: 40 };
  t.is(await codeFrom(client.call(methods.setAttributes, request)), 'PERMISSION_DENIED');
  const byOpen = { context: client.context(BOB), inode, length: 40, byOpenFile: true };
  client.session = 0;
  t.is(
    await codeFrom(client.call(methods.setAttributes, { ...byOpen, context: client.context(BOB) })),
    'BAD_FILE',
  );
  t.is((await client.find(inode)).extents[0]?.version, 1);
});

test('an offset or a length as large as numbers go is refused, and the master lives', async (t) => {
  const { client, inode, openId } = await written(t);
  for (const huge of [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1]) {
    const commit = { length: huge, mtime: undefined };
    const context = () => client.context();
    const tooLarge = [
      client.call(methods.setAttributes, { context: context(), inode, length: huge }),
      client.call(methods.commitLength, { context: context(), inode, commit }),
      client.call(methods.addChunk, { context: context(), inode, openId, fileOffset: huge }),
    ];
    for (const call of tooLarge) t.is(await codeFrom(call), 'FILE_TOO_LARGE');
    t.deepEqual((await client.find(inode, { offset: huge })).extents, []);
    t.deepEqual((await client.find(inode, { offset: huge, forWrite: true })).extents, []);
    t.is(
      await codeFrom(client.call(methods.close, { context: context(), inode, openId, commit })),
      'FILE_TOO_LARGE',
    );
  }
  t.is((await client.find(inode)).extents.length, 1);
});

test('two who add the same extent get the same chunk', async (t) => {
  const { client, inode } = await written(t, { chunkSizeBytes: 256 * KiB });
  const add = () =>
    client.call(methods.addChunk, { context: client.context(), inode, fileOffset: 300 * KiB });
  const [left, right] = await Promise.all([add(), add()]);
  t.is(left.extent?.chunk, right.extent?.chunk);
  t.is(left.extent?.start, 256 * KiB);
  t.not(right.extent?.primary, 0);
});

test('an extent that a truncation takes away while it is added is refused, also when its command is sent again', async (t) => {
  const { client, inode, openId } = await written(t, { chunkSizeBytes: 256 * KiB });
  const add = { context: client.context(), inode, openId, fileOffset: 300 * KiB };
  const added = client.call(methods.addChunk, add);
  await client.call(methods.setAttributes, { context: client.context(), inode, length: 0 });
  t.is(await codeFrom(added), 'NO_SUCH_CHUNK');
  t.is(await codeFrom(client.call(methods.addChunk, add)), 'NO_SUCH_CHUNK');
  t.deepEqual((await client.find(inode)).extents, []);
});

test('a chunk that is truncated away while it is raised for a writer is none that he is told of', async (t) => {
  const { client, inode } = await written(t);
  const { version = 0 } = (await client.find(inode)).extents[0] ?? {};
  const found = client.find(inode, { forWrite: true, suspectVersion: version });
  await client.call(methods.setAttributes, { context: client.context(), inode, length: 0 });
  t.deepEqual((await found).extents, []);
});

test('the last extent is found wherever one asks', async (t) => {
  const { client, inode } = await written(t, { chunkSizeBytes: 256 * KiB });
  await client.call(methods.addChunk, { context: client.context(), inode, fileOffset: 900 * KiB });
  const found = await client.call(methods.findChunks, { caller: ROOT, inode, last: true, count: 1 });
  t.deepEqual(
    found.extents.map(({ start }) => start),
    [768 * KiB],
  );
});

test('without room on enough servers a file is created, and its first write is refused', async (t) => {
  const place = new Place(t);
  await place.start();
  for (let index = 0; index < 3; index += 1) await place.chunkserver({ space: 1000 });
  const client = await place.client().open();
  const { inode, extents, openId } = await client.create('f');
  t.deepEqual(extents, []);
  const add = client.call(methods.addChunk, { context: client.context(), inode, fileOffset: 0, openId });
  t.is(await codeFrom(add), 'NO_SPACE');
});
