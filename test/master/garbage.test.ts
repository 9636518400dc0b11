import test from 'ava';
import type { DiskFile, OpenMode } from '../../src/base/disk.ts';
import { KiB } from '../../src/base/units.ts';
import { MasterDefinition } from '../../src/rpc/messages.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { env, eventually, Place } from './fixture.ts';

const { methods } = MasterDefinition;

test('chunks of a removed file are deleted at their members, also at one that was away', async (t) => {
  const place = new Place(t);
  const master = await place.start();
  const servers = await place.chunkservers(3);
  const [away, refusing] = servers;
  const client = await place.client().open();
  const { inode, openId, extents } = await client.create('f');
  const chunk = extents[0]?.chunk ?? 0;
  for (const server of servers) server.holds(chunk);
  await client.close(inode, openId, 10);
  await away?.kill();
  refusing?.refuses.add('delete');
  await client.unlink('f');
  await eventually(t, 'who is there deletes', () => servers[2]?.deleted.includes(chunk) ?? false);
  refusing?.refuses.delete('delete');
  await eventually(t, 'who refused is asked again', () => refusing?.deleted.includes(chunk) ?? false);

  // The master remembers over a restart that one has not acknowledged.
  await master.close();
  await place.start();
  await away?.start();
  await eventually(t, 'who was away deletes when it is back', () => away?.deleted.includes(chunk) ?? false);
  for (const server of servers.slice(1)) {
    await server.kill();
    await server.start();
  }
  await eventually(t, 'all acknowledged', () => servers.every(({ deleted }) => deleted.includes(chunk)));
  t.is((await client.call(methods.status, {})).chunkCount, 0);
});

test('nothing is deleted before the removal is on the disk: until then a loss of power can undo it', async (t) => {
  const slow = new SlowDisk();
  const place = new Place(t, { disk: slow });
  await place.start();
  const servers = await place.chunkservers(3);
  const client = await place.client().open();
  const { inode, openId, extents } = await client.create('f');
  const chunk = extents[0]?.chunk ?? 0;
  for (const server of servers) server.holds(chunk);
  await client.close(inode, openId, 10);
  slow.syncsTakeMs = 4000;
  await client.unlink('f');
  const before = slow.syncCount;
  while (!servers.some(({ deleted }) => deleted.includes(chunk))) await env.sleep(20);
  t.true(slow.syncCount > before);
  slow.syncsTakeMs = 0;
});

class SlowDisk extends NodeDisk {
  syncsTakeMs = 0;
  /** Of those that have ended. */
  syncCount = 0;

  override async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const file = await super.open(path, mode);
    const { dataSync } = file;
    file.dataSync = async () => {
      await env.sleep(this.syncsTakeMs);
      await dataSync.call(file);
      this.syncCount += 1;
    };
    return file;
  }
}

test('what is truncated away is deleted', async (t) => {
  const place = new Place(t, { chunkSizeBytes: 256 * KiB });
  await place.start();
  const servers = await place.chunkservers(3);
  const client = await place.client().open();
  const { inode, extents } = await client.create('f');
  const add = { context: client.context(), inode, fileOffset: 256 * KiB };
  const second = (await client.call(methods.addChunk, add)).extent?.chunk ?? 0;
  await client.call(methods.setAttributes, { context: client.context(), inode, length: 256 * KiB });
  await eventually(t, 'the second chunk goes', () =>
    servers.every(({ deleted }) => deleted.includes(second)),
  );
  t.false(servers.some(({ deleted }) => deleted.includes(extents[0]?.chunk ?? 0)));
  await client.call(methods.setAttributes, { context: client.context(), inode, length: 0 });
  await eventually(t, 'the first goes too', () =>
    servers.every(({ deleted }) => deleted.includes(extents[0]?.chunk ?? 0)),
  );
});

test('what another session may be writing to is deleted at a member before its truncation is answered', async (t) => {
  const place = new Place(t);
  await place.start();
  const servers = await place.chunkservers(3);
  const writer = await place.client().open();
  const { inode, extents } = await writer.create('f');
  const other = await place.client().open();
  await other.call(methods.setAttributes, { context: other.context(), inode, length: 0 });
  t.true(servers.some(({ deleted }) => deleted.includes(extents[0]?.chunk ?? 0)));
  const add = { context: writer.context(), inode, fileOffset: 0 };
  const next = (await writer.call(methods.addChunk, add)).extent?.chunk ?? 0;
  const again = { name: Buffer.from('f'), parent: 1, mode: 0o644, write: true, truncate: true };
  await other.call(methods.createFile, { context: other.context(), ...again });
  t.true(servers.some(({ deleted }) => deleted.includes(next)));
});

test('extents that a hole is punched over are deleted, at a member before that is answered; without the word they stay', async (t) => {
  const place = new Place(t, { chunkSizeBytes: 256 * KiB });
  await place.start();
  const servers = await place.chunkservers(3);
  const client = await place.client().open();
  const { inode, extents } = await client.create('f');
  const add = { context: client.context(), inode, fileOffset: 256 * KiB };
  await client.call(methods.addChunk, add);
  const commit = { length: 512 * KiB, mtime: undefined };
  await client.call(methods.commitLength, { context: client.context(), inode, commit });
  const chunk = extents[0]?.chunk ?? 0;
  const range = { inode, start: 0, end: 300 * KiB };
  const startsLeft = async () => (await client.find(inode)).extents.map(({ start }) => start);
  await client.call(methods.allocate, { context: client.context(), ...range });
  t.deepEqual(await startsLeft(), [0, 256 * KiB]);
  const context = client.context();
  const first = await client.call(methods.allocate, { context, ...range, dropExtents: true });
  t.true(servers.some(({ deleted }) => deleted.includes(chunk)));
  t.deepEqual(await startsLeft(), [256 * KiB]);
  await eventually(t, 'it goes everywhere', () => servers.every(({ deleted }) => deleted.includes(chunk)));
  // Sent again, it takes nothing that has come since.
  await client.call(methods.addChunk, { context: client.context(), inode, fileOffset: 0 });
  t.deepEqual(await client.call(methods.allocate, { context, ...range, dropExtents: true }), first);
  t.deepEqual(await startsLeft(), [0, 256 * KiB]);
});
