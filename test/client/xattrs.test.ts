import test from 'ava';
import { type InodeId, inodeId } from '../../src/base/ids.ts';
import { KnownXattrs } from '../../src/client/known-xattrs.ts';
import type { Attributes } from '../../src/rpc/messages.ts';
import { inRealCluster } from './real-cluster.ts';
import { codeFrom, inWorld, ME, pattern, WRITING } from './world.ts';

const CAPABILITY = Buffer.from('security.capability');
const ACL = Buffer.from('system.posix_acl_access');
const USER = Buffer.from('user.x');
const FILE = inodeId(11);
const KERNEL = { kernelWalksPaths: true };

const like = (inode: InodeId, hasXattrs: boolean) =>
  ({ inode, hasXattrs }) as Partial<Attributes> as Attributes;

test('attributes come and go on a real cluster, and another client is told', (t) =>
  inRealCluster(1, async ({ client, connect, sleep }) => {
    const other = await connect(KERNEL);
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const { inode } = file;
    await file.close();
    const get = (name: Buffer) => other.getXattr(inode, name, ME).then(String, (error) => error.code);
    await other.attributes(inode, ME);
    t.is(await get(USER), 'NO_DATA');
    const set = await client.setXattr(inode, USER, Buffer.from('one'), {}, ME);
    t.true(set.hasXattrs);
    await sleep(100);
    t.is(await get(USER), 'one');
    t.is(await get(CAPABILITY), 'NO_DATA');
    t.deepEqual((await other.listXattrs(inode, ME)).map(String), ['user.x']);
    const value = Buffer.from('0100000200000000', 'hex');
    await client.setXattr(inode, CAPABILITY, value, { create: true }, ME);
    t.is(await codeFrom(client.setXattr(inode, CAPABILITY, value, { create: true }, ME)), 'EXISTS');
    t.is(await codeFrom(client.setXattr(inode, ACL, value, {}, ME)), 'INVALID_ARGUMENT');
    await sleep(100);
    t.deepEqual(await other.getXattr(inode, CAPABILITY, ME), value);
    await client.removeXattr(inode, CAPABILITY, ME);
    await sleep(100);
    t.is(await get(CAPABILITY), 'NO_DATA');
    t.false((await other.removeXattr(inode, USER, ME)).hasXattrs);
    t.is(await get(USER), 'NO_DATA', 'by its own command');
    t.deepEqual(await other.listXattrs(inode, ME), []);
    await other.close();
  }));

test('that there is no attribute is known without asking, until another client gives the file one', (t) =>
  inRealCluster(4, async ({ client, connect, sleep }) => {
    const other = await connect(KERNEL);
    await sleep(100);
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const { inode } = file;
    await file.close();
    t.false(other.hasNoXattr(inode, USER), 'nothing is known of the file');
    await other.attributes(inode, ME);
    t.true(other.hasNoXattr(inode, USER));
    t.true(other.hasNoXattr(inode, CAPABILITY));
    t.false(other.hasNoXattr(inode, Buffer.from('no.such.space')), 'that is another error');
    t.false(client.hasNoXattr(inode, USER), 'who does not remember does not know');
    await client.setXattr(inode, USER, Buffer.from('one'), {}, ME);
    await sleep(100);
    t.false(other.hasNoXattr(inode, USER));
    t.false(other.hasNoXattr(inode, CAPABILITY));
    await other.close();
  }));

test('what a client is like after its own change of attributes it need not ask', (t) =>
  inRealCluster(3, async ({ connect, network, sleep }) => {
    const client = await connect(KERNEL);
    await sleep(100);
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    await client.setXattr(file.inode, USER, Buffer.from('one'), {}, ME);
    network.partition('c2', 'm');
    const { hasXattrs } = await client.attributes(file.inode, ME);
    network.heal('c2', 'm');
    t.true(hasXattrs);
    await client.removeXattr(file.inode, USER, ME);
    t.deepEqual(await client.listXattrs(file.inode, ME), []);
    await client.close();
  }));

test('attributes survive the master, by its log', (t) =>
  inRealCluster(2, async ({ client, kill, start }) => {
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    await client.setXattr(file.inode, USER, pattern(65_536), {}, ME);
    kill('m');
    await start('m');
    t.true((await client.getXattr(file.inode, USER, ME)).equals(pattern(65_536)));
  }));

test('what a kernel asks before each write does not reach the master', (t) =>
  inWorld(KERNEL, async ({ client, cluster, create, sleep }) => {
    await sleep(100);
    const { file } = await create('f');
    for (let index = 0; index < 20; index += 1) {
      for (const name of [CAPABILITY, ACL])
        t.is(await codeFrom(client.getXattr(file.inode, name, ME)), 'NO_DATA');
      await file.write(index * 4096, [pattern(4096)]);
    }
    t.is(cluster.calls.filter(({ method }) => method === 'GetXattr').length, 0);
    await file.flush();
    t.is(await codeFrom(client.getXattr(file.inode, Buffer.from('foo.x'), ME)), 'UNIMPLEMENTED');
    t.is(await codeFrom(client.getXattr(file.inode, Buffer.from('user.'), ME)), 'INVALID_ARGUMENT');
    await sleep(2000);
    await codeFrom(client.getXattr(file.inode, CAPABILITY, ME));
    t.is(cluster.calls.filter(({ method }) => method === 'GetXattr').length, 1, 'the master was silent');
  }));

test('a client whose kernel does not walk the paths remembers nothing of attributes', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('f');
    for (const _ of [1, 2]) t.is(await codeFrom(client.getXattr(file.inode, CAPABILITY, ME)), 'NO_DATA');
    t.is(cluster.calls.filter(({ method }) => method === 'GetXattr').length, 2);
  }));

test('set-id bits are taken away once, where there are any', (t) =>
  inWorld({}, async ({ client, cluster, create }) => {
    const { file } = await create('f');
    t.is(file.dropSetIds(), undefined);
    await client.setAttributes(file.inode, { mode: 0o4755 }, ME);
    cluster.calls.length = 0;
    await file.dropSetIds();
    const sent = cluster.calls.find(({ method }) => method === 'SetAttributes');
    t.like(sent?.request, { inode: file.inode, dropSetIds: true, byOpenFile: true, mode: undefined });
  }));

test('rights that are given after a write are not taken away by it, though the master hears of it later', (t) =>
  inRealCluster(1, async ({ client }) => {
    const person = { caller: { uid: 1000, gid: 1000, groups: [] } };
    await client.setAttributes(client.rootInode, { mode: 0o777 }, ME);
    const { file } = await client.create(client.rootInode, Buffer.from('f'), WRITING, person);
    const { inode } = file;
    await file.write(0, [pattern(100)]);
    t.is((await client.setAttributes(inode, { mode: 0o6755 }, person)).mode, 0o6755);
    await file.sync();
    t.is((await client.attributes(inode, ME)).mode, 0o6755);
    await file.write(100, [pattern(100)]);
    const value = Buffer.from('0100000200000000', 'hex');
    await client.setXattr(inode, CAPABILITY, value, {}, ME);
    await file.sync();
    t.deepEqual(await client.getXattr(inode, CAPABILITY, ME), value);
    await file.close();
  }));

test('a write is told in the name of who wrote, whoever closes the file', (t) =>
  inRealCluster(1, async ({ client }) => {
    const person = { caller: { uid: 1000, gid: 1000, groups: [] } };
    const { file: roots } = await client.create(client.rootInode, Buffer.from('f'), WRITING, ME);
    const { inode } = roots;
    await client.setAttributes(inode, { uid: 1000 }, ME);
    await client.setAttributes(inode, { mode: 0o6777 }, ME);
    const modeAfter = async (close: () => Promise<void>) => {
      await close();
      return (await client.attributes(inode, ME)).mode;
    };
    const { file: persons } = await client.open(inode, { read: true, write: true }, person);
    await roots.write(0, [pattern(100)]);
    t.is(await modeAfter(() => persons.close()), 0o6777);
    const { file: again } = await client.open(inode, { read: true, write: true }, person);
    await again.write(0, [pattern(100)]);
    await roots.write(0, [pattern(100)]);
    t.is(await modeAfter(() => roots.close()), 0o777);
    await again.close();
  }));

test('that there is nothing is known until a command or somebody else may have changed it', async (t) => {
  const known = new KnownXattrs();
  t.false(known.hasNone(FILE));
  known.learn(like(FILE, false));
  t.true(known.hasNone(FILE));
  t.is(known.get(FILE, USER), 'absent');
  known.mayHaveChanged(FILE);
  t.true(known.hasNone(FILE), 'a chmod gives it none');
  known.learn(like(FILE, true));
  t.is(known.get(FILE, USER), undefined);
  known.learn(like(FILE, false));
  known.changed(FILE);
  t.false(known.hasNone(FILE));
  known.learn(like(FILE, false));
  known.everythingChanged();
  t.false(known.hasNone(FILE));
});

test('who listens is told which inodes have none, and when that is over', (t) => {
  const known = new KnownXattrs();
  const told: (InodeId | string)[] = [];
  known.onKnown({ none: (inode) => told.push(inode), maybeSome: (inode) => told.push(`maybe ${inode}`) });
  const tells = (...expected: (InodeId | string)[]) => t.deepEqual(told.splice(0), expected);
  known.learn(like(FILE, false));
  known.learn(like(FILE, false));
  tells(FILE, FILE);
  known.mayHaveChanged(FILE);
  tells();
  known.learn(like(FILE, true));
  tells(`maybe ${FILE}`);
  known.changed(FILE);
  tells(`maybe ${FILE}`);
  known.everythingChanged();
  tells('maybe undefined');
});

test('an answer is kept until something changes, and not at all when that happened on its way', async (t) => {
  const known = new KnownXattrs();
  const value = Buffer.from('acl');
  t.is(await known.answer(FILE, ACL, async () => value), value);
  await known.answer(FILE, CAPABILITY, async () => undefined);
  t.deepEqual(known.get(FILE, ACL), value);
  t.is(known.get(FILE, CAPABILITY), 'absent');
  t.is(known.get(FILE, USER), undefined);
  known.mayHaveChanged(FILE);
  t.is(known.get(FILE, ACL), undefined, 'a chmod changes its ACL');
  for (const change of [
    () => known.changed(FILE),
    () => known.mayHaveChanged(FILE),
    () => known.everythingChanged(),
  ]) {
    await known.answer(FILE, ACL, async () => {
      change();
      return value;
    });
    t.is(known.get(FILE, ACL), undefined);
  }
  await known.answer(FILE, ACL, async () => {
    known.changed(inodeId(12));
    return value;
  });
  t.deepEqual(known.get(FILE, ACL), value, 'of another inode it does not matter');
});
