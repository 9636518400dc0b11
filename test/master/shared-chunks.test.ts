import test, { type ExecutionContext } from 'ava';
import { MiB } from '../../src/base/units.ts';
import type { MasterOptions } from '../../src/master/master-options.ts';
import { MasterDefinition } from '../../src/rpc/messages.ts';
import type { FakeChunkserver } from './fake-chunkserver.ts';
import { type Client, codeFrom, eventually, Place } from './fixture.ts';

const { methods } = MasterDefinition;
const CHUNK_SIZE = 64 * MiB;

/** A master with three servers, a file whose two chunks are written on all of them, and one with a chunk that nobody wrote. */
async function written(t: ExecutionContext, options: Partial<MasterOptions> = {}) {
  const place = new Place(t, { serversReturnMs: 1000, ...options });
  const master = await place.start();
  const servers = await place.chunkservers(3);
  const client = await place.client().open();
  const source = await client.create('s');
  const { inode, openId } = source;
  const added = await client.call(methods.addChunk, {
    ...{ context: client.context(), inode, fileOffset: CHUNK_SIZE, openId },
  });
  const chunks = [source.extents[0]?.chunk ?? 0, added.extent?.chunk ?? 0];
  for (const server of servers) for (const chunk of chunks) server.holds(chunk, { length: CHUNK_SIZE });
  const commit = { length: 2 * CHUNK_SIZE, mtime: undefined };
  await client.call(methods.commitLength, { context: client.context(), inode, commit });
  return { place, master, servers, client, source, chunks, target: await client.create('t') };
}

function share(client: Client, from: { inode: number }, to: { inode: number; openId: number }) {
  return client.call(methods.shareRange, {
    ...{ context: client.context(), source: from.inode, inode: to.inode, openId: to.openId },
    length: 2 * CHUNK_SIZE,
  });
}

async function chunksOf(client: Client, { inode }: { inode: number }): Promise<number[]> {
  return (await client.find(inode)).extents.map(({ chunk }) => chunk);
}

const versionsOf = (servers: readonly FakeChunkserver[], chunk: number) =>
  servers.map((server) => server.replicas.get(chunk)?.version);

test('chunks are frozen on all members before two files have them', async (t) => {
  const { servers, client, source, target, chunks } = await written(t);
  const shared = await share(client, source, target);
  t.like(shared, { length: 2 * CHUNK_SIZE, beingWritten: false });
  t.is(shared.attributes?.length, 2 * CHUNK_SIZE);
  t.deepEqual(
    shared.extents.map(({ chunk, frozen }) => [chunk, frozen]),
    chunks.map((chunk) => [chunk, true]),
  );
  for (const chunk of chunks) {
    t.deepEqual(versionsOf(servers, chunk), [2, 2, 2]);
    for (const server of servers) {
      const record = server.records.find((one) => one.chunk === chunk);
      t.true(record?.frozen, 'its primary is told');
    }
  }
  // What the target had nobody can write to any more.
  const dropped = target.extents[0]?.chunk ?? 0;
  t.true(servers.some((server) => server.deleted.includes(dropped)));
  // Shared once more, they are as they were.
  const third = await client.create('u');
  t.is((await share(client, target, third)).length, 2 * CHUNK_SIZE);
  t.deepEqual(versionsOf(servers, chunks[0] ?? 0), [2, 2, 2]);
});

test('a call that is sent again is answered as the first one was', async (t) => {
  const { client, source, target } = await written(t);
  const request = {
    ...{ context: client.context(), source: source.inode, inode: target.inode, openId: target.openId },
    length: 2 * CHUNK_SIZE,
  };
  const first = await client.call(methods.shareRange, request);
  t.deepEqual(await client.call(methods.shareRange, request), first);
});

test('who writes to one of the files gets a clone, made by the members, and the others keep what they have', async (t) => {
  const { servers, client, source, target, chunks } = await written(t);
  await share(client, source, target);
  const [first] = (await client.find(target.inode, { forWrite: true })).extents;
  t.not(first?.chunk, chunks[0]);
  t.like(first, { frozen: false, version: 3 });
  t.not(first?.primary, 0);
  for (const server of servers) {
    t.like(server.cloned[0], { source: chunks[0] });
    t.is(server.cloned[0]?.record.chunk, first?.chunk);
  }
  t.deepEqual(await chunksOf(client, source), chunks);
  // One file alone has it now, and goes on with it, at a version that somebody orders.
  const [own] = (await client.find(source.inode, { forWrite: true })).extents;
  t.like(own, { chunk: chunks[0], version: 3, frozen: false });
  t.false(servers[0]?.records.at(-1)?.frozen);
  // To sync, or to learn a length, no clone is needed.
  const caller = { uid: 0, gid: 0, groups: [] };
  const question = { caller, inode: source.inode, fileOffset: CHUNK_SIZE, count: 1, forSync: true };
  const [rest] = (await client.call(methods.findChunks, question)).extents;
  t.like(rest, { chunk: chunks[1], frozen: true });
  t.not(rest?.primary, 0);
});

test('a clone that cannot be made leaves nothing behind, and one member that cannot is left out', async (t) => {
  const { servers, client, source, target, chunks } = await written(t);
  await share(client, source, target);
  for (const server of servers.slice(1)) server.refuses.add('cloneHere');
  t.is(await codeFrom(client.find(target.inode, { forWrite: true })), 'TOO_FEW_REPLICAS');
  t.deepEqual(await chunksOf(client, target), chunks);
  const half = servers[0]?.cloned[0]?.record.chunk ?? 0;
  await eventually(t, 'what was begun is deleted', () =>
    servers.every(({ deleted }) => deleted.includes(half)),
  );
  servers[1]?.refuses.delete('cloneHere');
  const [first] = (await client.find(target.inode, { forWrite: true })).extents;
  t.is(first?.members.length, 2);
});

test('clones that a master began and did not finish are deleted by the next one', async (t) => {
  const { place, servers, client, source, target, chunks } = await written(t);
  await share(client, source, target);
  let asked: () => void = () => undefined;
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  for (const server of servers) {
    server.onClone = async () => {
      asked();
      await new Promise<void>(() => undefined);
    };
  }
  const waiting = codeFrom(client.find(target.inode, { forWrite: true }));
  await isAsked;
  const begun = servers.flatMap(({ cloned }) => cloned.map(({ record }) => record.chunk));
  await place.restart();
  await waiting;
  for (const server of servers) {
    await server.kill();
    await server.start();
  }
  await eventually(t, 'what was begun is deleted', () =>
    begun.every((chunk) => servers.some(({ deleted }) => deleted.includes(chunk))),
  );
  t.deepEqual(await chunksOf(await place.client().open(), target), chunks);
});

test('a chunk is not shared while its members cannot be told', async (t) => {
  const { servers, client, source, target, chunks } = await written(t);
  for (const server of servers) server.refuses.add('setVersion');
  t.like(await share(client, source, target), { length: 0, extents: [] });
  t.notDeepEqual(await chunksOf(client, target), chunks);
});

test('who appends behind a shared chunk that is full needs no clone of it', async (t) => {
  const { client, source, target, chunks } = await written(t);
  await share(client, source, target);
  const caller = { uid: 0, gid: 0, groups: [] };
  const question = { caller, inode: target.inode, count: 1, forWrite: true, last: true };
  const { extents, fileLength } = await client.call(methods.findChunks, question);
  t.is(fileLength, 2 * CHUNK_SIZE);
  t.like(extents[0], { chunk: chunks[1], frozen: true });
});
