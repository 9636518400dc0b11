import test, { type ExecutionContext } from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { type Caller, FileType, MasterDefinition } from '../../src/rpc/messages.ts';
import { ALICE, BOB, type Client, codeFrom, eventually, Place, ROOT } from './fixture.ts';
import { Channel, lookup } from './news-reader.ts';

const { methods } = MasterDefinition;
/** More than a few steps take. */
const FILES = 1000;

async function directory(client: Client, parent: number, name: string, caller = ROOT, mode = 0o755) {
  const type = FileType.FILE_TYPE_DIRECTORY;
  const body = { context: client.context(caller), parent, name: Buffer.from(name), type, mode };
  return (await client.call(methods.makeNode, body)).attributes?.inode ?? 0;
}

async function files(client: Client, parent: number, count: number, caller = ROOT): Promise<void> {
  const create = (number: number) => client.create(`file${number}`, { parent, reserve: false, caller });
  const made = await Promise.all(Array.from({ length: count }, (_, number) => create(number)));
  await Promise.all(made.map(({ inode, openId }) => client.close(inode, openId)));
}

/** /top with files, and files in /top/inner. */
async function begin(t: ExecutionContext, { count = FILES, caller = ROOT, longStepCount = 128 } = {}) {
  const place = new Place(t, { root: { uid: 0, gid: 0, mode: 0o777 }, longStepCount });
  await place.start();
  const client = await place.client().open();
  const top = await directory(client, 1, 'top', caller);
  const inner = await directory(client, top, 'inner', caller);
  await files(client, top, count / 2, caller);
  await files(client, inner, count / 2, caller);
  return { place, client, top, inner };
}

function removeTop(client: Client, caller: Caller = ROOT, context = client.context(caller)) {
  return client.call(methods.removeTree, { context, parent: 1, name: Buffer.from('top') });
}

async function names(client: Client, inode: number): Promise<string[]> {
  const page = await client.call(methods.listDirectory, { caller: ROOT, inode, limit: 10_000 });
  return page.entries.map(({ name }) => name.toString());
}

test('a tree is gone with the answer, what it was made of goes behind it, and both are told', async (t) => {
  const { client, top, inner } = await begin(t, { count: 300, longStepCount: 4 });
  const before = (await client.call(methods.status, {})).inodeCount;
  const { longCommand, count, inode, parent } = await removeTop(client);
  t.is(inode, top);
  t.is(longCommand, top);
  t.is(count, 302);
  t.is(parent?.linkCount, 2);
  t.deepEqual(await names(client, 1), []);
  t.is(await codeFrom(names(client, inner)), 'NOT_FOUND');
  t.is(await codeFrom(client.create('new', { parent: inner })), 'NOT_FOUND');
  const [running] = (await client.call(methods.status, {})).longCommands;
  t.like(running, { id: top, uid: 0, progress: { count: 302 } });
  const { progress } = await client.call(methods.getLongCommand, { id: top });
  t.is(progress?.count, 302);
  await eventually(t, 'all of it goes', async () => {
    const { inodeCount, longCommands } = await client.call(methods.status, {});
    return inodeCount === before - 302 && longCommands.length === 0;
  });
  t.is((await client.call(methods.getLongCommand, { id: top })).progress, undefined);
});

test('a call that is sent again gets the first answer, and begins nothing', async (t) => {
  const { place, client, top } = await begin(t, { caller: ALICE, longStepCount: 4 });
  const context = client.context(ALICE);
  const answers = await Promise.all([removeTop(client, ALICE, context), removeTop(client, ALICE, context)]);
  for (const { inode, count } of answers) t.deepEqual({ inode, count }, { inode: top, count: FILES + 2 });
  await directory(client, 1, 'top');
  t.is((await removeTop(client, ALICE, context)).inode, top);
  await place.restart();
  t.is((await removeTop(client, ALICE, context)).inode, top);
  t.deepEqual(await names(client, 1), ['top'], 'who has the name by now keeps it');
});

test('a master that is started anew goes on with a removal', async (t) => {
  const { place, client } = await begin(t);
  await removeTop(client);
  await place.restart();
  t.deepEqual(await names(client, 1), []);
  // Of files it has to know whether somebody has them open.
  await client.call(methods.renewSession, { session: client.session, complete: true });
  await eventually(t, 'the root is left', async () => {
    return (await client.call(methods.status, {})).inodeCount === 1;
  });
});

async function refusalOf(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (!(error instanceof GfsError)) throw error;
    return { code: error.code, ...error.fields };
  }
}

const chmod = (client: Client, inode: number, mode: number) =>
  client.call(methods.setAttributes, { context: client.context(ALICE), inode, mode });

test('what the caller may not remove is named, and all stays', async (t) => {
  const { client, inner } = await begin(t, { count: 10, caller: ALICE });
  t.deepEqual(await refusalOf(removeTop(client, BOB)), { code: 'PERMISSION_DENIED' });
  await chmod(client, inner, 0o777);
  const bobs = await directory(client, inner, 'bobs', BOB);
  await files(client, bobs, 1, BOB);
  const refusal = { code: 'PERMISSION_DENIED', below: 'inner/bobs' };
  t.deepEqual(await refusalOf(removeTop(client, ALICE)), refusal);
  t.is((await names(client, inner)).length, 6);
  t.is(await refusalOf(removeTop(client, ROOT)), undefined);
});

test('nobody learns a name by a refusal that he may not list', async (t) => {
  const { client, top, inner } = await begin(t, { count: 10, caller: ALICE });
  await chmod(client, inner, 0o700);
  await chmod(client, top, 0o777);
  const bare = { context: client.context(BOB), parent: top, name: Buffer.from('inner') };
  t.deepEqual(await refusalOf(client.call(methods.removeTree, bare)), { code: 'PERMISSION_DENIED' });
  await chmod(client, top, 0o700);
  t.deepEqual(await refusalOf(removeTop(client, BOB)), { code: 'PERMISSION_DENIED' });
});

test('what changes while a large tree is looked at counts', async (t) => {
  const { client, inner } = await begin(t, { caller: ALICE });
  // The first look passes the directory before the change is applied: it is the one with the first name.
  const removing = refusalOf(removeTop(client, ALICE));
  const [refusal] = await Promise.all([removing, chmod(client, inner, 0o500)]);
  t.deepEqual(refusal, { code: 'PERMISSION_DENIED', below: 'inner' });
  t.deepEqual(await names(client, 1), ['top']);
  await chmod(client, inner, 0o700);
  t.is(await refusalOf(removeTop(client, ALICE)), undefined);
});

test.serial('who believes anything of the tree has heard when it is answered', async (t) => {
  const { place, client, top, inner } = await begin(t, { count: 10 });
  const other = await place.client().open();
  const channel = await Channel.open(other);
  await lookup(other, 'top');
  const look = (parent: number, name: string) =>
    other.call(methods.lookup, { caller: ROOT, parent, name: Buffer.from(name), session: other.session });
  const innermost = (await look(top, 'inner')).attributes?.inode;
  const file = (await look(inner, 'file0')).attributes?.inode;
  let answered = false;
  const answer = removeTop(client).then(() => {
    answered = true;
  });
  const told: string[] = [];
  const inodes = new Set<number>();
  let taken = 0;
  while (told.length < 3) {
    const news = await channel.next();
    for (const { parent, name, removedInode } of news.names) told.push(`${parent} ${name} ${removedInode}`);
    for (const inode of news.inodes) inodes.add(inode);
    taken += 1;
    t.false(answered);
    if (told.length < 3) await channel.passOn({ taken, passedOn: taken });
  }
  t.deepEqual(told, [`1 top ${top}`, `${inner} file0 ${file}`, `${top} inner ${innermost}`]);
  for (const inode of [top, inner, file ?? 0]) t.true(inodes.has(inode));
  for (let trips = 0; trips < 5; trips += 1) await client.call(methods.status, {});
  t.false(answered);
  await channel.passOn({ taken, passedOn: taken });
  await answer;
});
