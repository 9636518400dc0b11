import test from 'ava';
import { MasterDefinition } from '../../src/rpc/messages.ts';
import { codeFrom, Place } from './fixture.ts';

const { methods } = MasterDefinition;

test('a file is created with its first chunk on three servers, and closed with its length', async (t) => {
  const place = new Place(t);
  await place.start();
  await place.chunkservers(3);
  const client = await place.client().open();
  const { inode, openId, extents, created } = await client.create('f');
  t.true(created);
  const [extent] = extents;
  t.is(new Set(extent?.members.map(({ server }) => server)).size, 3);
  t.true(extent?.members.some(({ server }) => server === extent.primary));
  t.is(extent?.version, 1);
  const closed = await client.close(inode, openId, 4096);
  t.is(closed.attributes?.length, 4096);
  const found = await client.call(methods.lookup, {
    caller: { uid: 0, gid: 0, groups: [] },
    parent: 1,
    name: Buffer.from('f'),
  });
  t.is(found.attributes?.length, 4096);
});

test('the second master on a data directory refuses to start', async (t) => {
  const place = new Place(t);
  await place.start();
  t.is(await codeFrom(place.start({ listen: '127.0.0.1:0' })), 'ALREADY_RUNNING');
});

test('chunk size and replication are fixed at the first start', async (t) => {
  const place = new Place(t);
  const first = await place.start({ chunkSizeBytes: 262_144, replication: 2 });
  const { filesystemId } = first;
  await first.close();
  t.is(await codeFrom(place.start({ chunkSizeBytes: 524_288 })), 'CONFIG_MISMATCH');
  t.is(await codeFrom(place.start({ replication: 3 })), 'CONFIG_MISMATCH');
  const again = await place.start();
  t.deepEqual([again.filesystemId, again.chunkSizeBytes, again.replication], [filesystemId, 262_144, 2]);
});
