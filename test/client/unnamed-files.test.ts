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
    const linked = await client.makeLink(file.inode, client.rootInode, Buffer.from('linked'), ME);
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
    t.is(await codeFrom(other.makeLink(theirs.inode, other.rootInode, Buffer.from('f'), ME)), 'NOT_FOUND');
    t.is(await inodeCount(client), count + 2);
    await file.close();
    while ((await inodeCount(client)) > count + 1) await sleep(1_000);
    kill('c2');
    await sleep(0.5 * MINUTE_MS);
    t.is(await inodeCount(client), count + 1);
    while ((await inodeCount(client)) > count) await sleep(1_000);
    t.pass();
  }));
