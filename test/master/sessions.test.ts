import test from 'ava';
import { MasterDefinition } from '../../src/rpc/messages.ts';
import { type Client, codeFrom, env, eventually, Place, ROOT } from './fixture.ts';

const { methods } = MasterDefinition;

const exists = async (client: Client, inode: number) =>
  (await codeFrom(client.call(methods.getAttributes, { caller: ROOT, inode }))) === 'OK';

test('a file without a name stays while it is open, and goes with its last close', async (t) => {
  const place = new Place(t);
  await place.start();
  await place.chunkservers(3);
  const client = await place.client().open();
  const { inode, openId } = await client.create('f');
  const second = await client.call(methods.open, { context: client.context(), inode, read: true });
  await client.unlink('f');
  await client.close(inode, openId, 10);
  await env.sleep(100);
  t.true(await exists(client, inode));
  t.is((await client.find(inode)).fileLength, 10);
  await client.close(inode, second.openId);
  await eventually(t, 'the file goes', async () => !(await exists(client, inode)));
});

test('a file that loses its name by a rename over it goes too', async (t) => {
  const place = new Place(t);
  await place.start();
  const client = await place.client().open();
  const old = await client.create('old', { reserve: false });
  await client.close(old.inode, old.openId);
  await client.create('new', { reserve: false });
  const names = { parent: 1, name: Buffer.from('new'), newParent: 1, newName: Buffer.from('old') };
  await client.call(methods.rename, { context: client.context(), ...names });
  await eventually(t, 'the replaced file goes', async () => !(await exists(client, old.inode)));
});

test('a session that falls silent ends, and its open files with it', async (t) => {
  const place = new Place(t, { sessionTimeoutMs: 400 });
  await place.start();
  const client = await place.client().open();
  const other = await place.client().open();
  const { inode } = await client.create('f', { reserve: false });
  await client.unlink('f');
  await eventually(t, 'the file goes', async () => {
    await other.call(methods.renewSession, { session: other.session });
    return !(await exists(other, inode));
  });
  t.is(await codeFrom(client.call(methods.renewSession, { session: client.session })), 'NO_SUCH_SESSION');
  t.is(await codeFrom(client.create('g', { reserve: false })), 'NO_SUCH_SESSION');
  t.is(await codeFrom(other.create('g', { reserve: false })), 'OK');
});

test('a session that its client closes ends at once, and twice is fine', async (t) => {
  const place = new Place(t);
  await place.start();
  const client = await place.client().open();
  const { inode } = await client.create('f', { reserve: false });
  await client.unlink('f');
  await client.call(methods.closeSession, { session: client.session });
  await client.call(methods.closeSession, { session: client.session });
  await eventually(t, 'the file goes', async () => !(await exists(client, inode)));
});

test('a restarted master keeps files without a name until their sessions told what they have open', async (t) => {
  const place = new Place(t);
  const master = await place.start();
  const client = await place.client().open();
  const kept = await client.create('kept', { reserve: false });
  const dropped = await client.create('dropped', { reserve: false });
  await client.unlink('kept');
  await client.unlink('dropped');
  await master.close();
  await place.start();
  await env.sleep(100);
  t.true(await exists(client, dropped.inode), 'nobody told yet');
  const { session } = client;
  t.true((await client.call(methods.renewSession, { session })).sendOpenFiles);
  const openFiles = [{ openId: kept.openId, inode: kept.inode, read: true, write: true, caller: ROOT }];
  t.false((await client.call(methods.renewSession, { session, openFiles, complete: true })).sendOpenFiles);
  await eventually(t, 'what is not open goes', async () => !(await exists(client, dropped.inode)));
  t.true(await exists(client, kept.inode));
  await client.close(kept.inode, kept.openId, 5);
  await eventually(t, 'what was open goes with its close', async () => !(await exists(client, kept.inode)));
});

test('a session that a restarted master was not told of is asked by BAD_FILE', async (t) => {
  const place = new Place(t);
  const master = await place.start();
  await place.chunkservers(3);
  const client = await place.client().open();
  const { inode, openId } = await client.create('f');
  await master.close();
  await place.start();
  t.is(await codeFrom(client.close(inode, openId, 5)), 'BAD_FILE');
  const openFiles = [{ openId, inode, read: true, write: true, caller: ROOT }];
  await client.call(methods.renewSession, { session: client.session, openFiles, complete: true });
  t.is((await client.close(inode, openId, 5)).attributes?.length, 5);
});

test('a command that is sent again gets its first answer, also from a restarted master', async (t) => {
  const place = new Place(t);
  const master = await place.start();
  const client = await place.client().open();
  const create = {
    context: client.context(),
    parent: 1,
    name: Buffer.from('f'),
    mode: 0o600,
    exclusive: true,
  };
  const request = { ...create, write: true };
  const first = await client.call(methods.createFile, request);
  const second = await client.call(methods.createFile, request);
  t.deepEqual(second, first);
  const unlink = { context: client.context(), parent: 1, name: Buffer.from('f') };
  await client.call(methods.unlink, unlink);
  await master.close();
  await place.start();
  t.is(await codeFrom(client.call(methods.unlink, unlink)), 'OK');
  t.is(await codeFrom(client.call(methods.unlink, { ...unlink, context: client.context() })), 'NOT_FOUND');
});

test('an open with truncation empties the file and brings a new chunk', async (t) => {
  const place = new Place(t);
  await place.start();
  await place.chunkservers(3);
  const client = await place.client().open();
  const { inode, openId, extents } = await client.create('f');
  await client.close(inode, openId, 100);
  const open = { context: client.context(), inode, write: true, truncate: true };
  const opened = await client.call(methods.open, open);
  t.is(opened.attributes?.length, 0);
  t.not(opened.extents[0]?.chunk, extents[0]?.chunk);
  t.not(opened.extents[0]?.primary, 0);
  t.is((await client.call(methods.open, open)).openId, opened.openId, 'sent again, it is the same open');
});

test('what cannot be meant is refused, and the master lives', async (t) => {
  const place = new Place(t);
  await place.start();
  const client = await place.client().open();
  const context = client.context();
  const name = Buffer.from('f');
  t.is(
    await codeFrom(client.call(methods.createFile, { parent: 1, name })),
    'INVALID_ARGUMENT',
    'no context',
  );
  const nobody = { ...context, caller: undefined };
  t.is(
    await codeFrom(client.call(methods.createFile, { context: nobody, parent: 1, name })),
    'INVALID_ARGUMENT',
  );
  t.is(
    await codeFrom(client.call(methods.lookup, { parent: 1, name })),
    'INVALID_ARGUMENT',
    'nobody is root by default',
  );
  t.is(
    await codeFrom(client.call(methods.findChunks, { caller: ROOT, inode: 1, count: 1 })),
    'INVALID_ARGUMENT',
  );
  t.is(await codeFrom(client.call(methods.getAttributes, { caller: ROOT, inode: 99 })), 'NOT_FOUND');
  t.is(
    await codeFrom(client.call(methods.open, { context: client.context(), inode: 1, read: true })),
    'IS_DIRECTORY',
  );
  t.is((await client.call(methods.status, {})).inodeCount, 1);
});
