import test from 'ava';
import { KiB, MINUTE_MS } from '../../src/base/units.ts';
import type { GfsClient } from '../../src/client/gfs-client.ts';
import { inRealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, readAll } from './world.ts';

const MODE = { mode: 0o600, umask: 0, read: true, write: true, linkable: true };

async function inodeCount(client: GfsClient): Promise<number> {
  return (await client.statFilesystem()).inodeCount;
}

test('a file without a name is written, outlives the master, is linked and read by another client', (t) =>
  inRealCluster(1, async ({ client, connect, kill, start }) => {
    const { file, attributes } = await client.createUnnamed(client.rootInode, MODE, ME);
    t.is(attributes.linkCount, 0);
    const data = pattern(400 * KiB);
    await file.write(0, [data]);
    await file.sync();
    kill('m');
    await start('m');
    t.is((await file.attributes()).length, data.length);
    const linked = await client.makeLink(
      file.inode,
      { parent: client.rootInode, name: Buffer.from('linked') },
      {},
      ME,
    );
    t.deepEqual([linked.linkCount, linked.length], [1, data.length]);
    const other = await connect();
    const found = await other.lookup(other.rootInode, Buffer.from('linked'), ME);
    const { file: theirs } = await other.open(file.inode, { read: true }, ME);
    t.is(found.inode, file.inode);
    t.true((await readAll(theirs)).equals(data));
    await theirs.close();
    await file.close();
  }));

test('without one it goes: with its close, or when its client is gone for a session', (t) =>
  inRealCluster(2, async ({ client, connect, kill, sleep }) => {
    const count = await inodeCount(client);
    const other = await connect();
    const { file } = await client.createUnnamed(client.rootInode, MODE, ME);
    const { file: theirs } = await other.createUnnamed(other.rootInode, { ...MODE, linkable: false }, ME);
    t.is(
      await codeFrom(
        other.makeLink(theirs.inode, { parent: other.rootInode, name: Buffer.from('f') }, {}, ME),
      ),
      'NOT_FOUND',
    );
    t.is(await inodeCount(client), count + 2);
    await file.close();
    while ((await inodeCount(client)) > count + 1) await sleep(1_000);
    kill('c2');
    await sleep(0.5 * MINUTE_MS);
    t.is(await inodeCount(client), count + 1);
    while ((await inodeCount(client)) > count) await sleep(1_000);
    t.pass();
  }));

test('an opening whose caller has gone is closed when its answer comes', (t) =>
  inRealCluster(1, async ({ client, sleep }) => {
    const count = await inodeCount(client);
    const fates = new Map<string, number>();
    for (let round = 0; round < 40; round += 1) {
      const abort = new AbortController();
      const opening = client.createUnnamed(client.rootInode, MODE, { ...ME, signal: abort.signal });
      const given = opening.then(({ file }) => file.close());
      const fate = codeFrom(given);
      await sleep(round / 10);
      abort.abort();
      fates.set(await fate, (fates.get(await fate) ?? 0) + 1);
    }
    t.deepEqual([...fates.keys()].sort(), ['CANCELLED', 'none']);
    await sleep(10_000);
    t.is(await inodeCount(client), count, 'long before its session could end');
    const late = client.createUnnamed(client.rootInode, MODE, { ...ME, signal: AbortSignal.abort() });
    t.is(await codeFrom(late), 'CANCELLED');
    const expired = client.createUnnamed(client.rootInode, MODE, { ...ME, deadlineMs: 0 });
    t.is(await codeFrom(expired), 'DEADLINE_EXCEEDED');
    t.is(await inodeCount(client), count, 'nothing is made by them');
  }));
