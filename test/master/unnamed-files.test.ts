import test from 'ava';
import { FileType, MasterDefinition } from '../../src/rpc/messages.ts';
import { ALICE, BOB, type Client, codeFrom, eventually, Place, ROOT } from './fixture.ts';

const { methods } = MasterDefinition;

const exists = async (client: Client, inode: number) =>
  (await codeFrom(client.call(methods.getAttributes, { caller: ROOT, inode }))) === 'OK';

async function create(client: Client, context = client.context(ALICE)) {
  const how = { mode: 0o644, umask: 0, linkable: true, reserveChunk: true, read: true, write: true };
  const created = await client.call(methods.createUnnamed, { context, directory: 1, ...how });
  return { ...created, inode: created.attributes?.inode ?? 0 };
}

async function link(client: Client, inode: number, caller = ALICE) {
  const request = { context: client.context(caller), inode, parent: 1, name: Buffer.from('linked') };
  return await client.call(methods.makeLink, request);
}

/** Everybody may make files in its root directory. */
async function openPlace(t: Parameters<typeof eventually>[0], options: { sessionTimeoutMs?: number } = {}) {
  const place = new Place(t, options);
  await place.start();
  await place.chunkservers(3);
  const client = await place.client().open();
  await client.call(methods.setAttributes, { context: client.context(), inode: 1, mode: 0o777 });
  return { place, client };
}

test('a file that was made without a name goes with its close, unless it was given one', async (t) => {
  const { client } = await openPlace(t);
  const lost = await create(client);
  const kept = await create(client);
  t.is(lost.attributes?.linkCount, 0);
  t.is(lost.extents.length, 1, 'a first chunk is there to be written');
  t.is((await link(client, kept.inode)).attributes?.linkCount, 1);
  await client.close(kept.inode, kept.openId, 10);
  await client.close(lost.inode, lost.openId, 10);
  await eventually(t, 'the file without a name goes', async () => !(await exists(client, lost.inode)));
  const found = await client.call(methods.lookup, { caller: BOB, parent: 1, name: Buffer.from('linked') });
  t.deepEqual([found.attributes?.inode, found.attributes?.length], [kept.inode, 10]);
});

test('the file that it replaces goes, when nobody has it open any more', async (t) => {
  const { client } = await openPlace(t);
  const old = await client.create('linked', { caller: ALICE, reserve: false });
  const { inode } = await create(client);
  const place = { parent: 1, name: Buffer.from('linked'), replace: true };
  const request = { context: client.context(ALICE), inode, ...place };
  t.is((await client.call(methods.makeLink, request)).replaced, old.inode);
  t.is((await client.call(methods.makeLink, request)).replaced, old.inode, 'sent again');
  t.true(await exists(client, old.inode), 'it is open');
  await client.close(old.inode, old.openId, 0);
  await eventually(t, 'it goes', async () => !(await exists(client, old.inode)));
});

test('nobody else comes to it, and nobody has one without a session', async (t) => {
  const { place, client } = await openPlace(t);
  const other = await place.client().open();
  const { inode } = await create(client);
  t.is(await codeFrom(link(other, inode, BOB)), 'NOT_FOUND');
  t.is(await codeFrom(other.call(methods.getAttributes, { caller: BOB, inode })), 'NOT_FOUND');
  t.is(await codeFrom(link(client, inode)), 'OK');
  t.is(await codeFrom(create(place.client())), 'INVALID_ARGUMENT');
  await client.call(methods.setAttributes, { context: client.context(), inode: 1, mode: 0o755 });
  t.is(await codeFrom(create(client)), 'PERMISSION_DENIED');
});

test('it ends with its session', async (t) => {
  const { client } = await openPlace(t, { sessionTimeoutMs: 1_000 });
  const { inode } = await create(client);
  await eventually(t, 'the file goes', async () => !(await exists(client, inode)));
});

test('it outlives the master while its session tells that it is open', async (t) => {
  const { place, client } = await openPlace(t);
  const [kept, lost] = [await create(client), await create(client)];
  // Its answer has come.
  const directory = { parent: 1, name: Buffer.from('d'), type: FileType.FILE_TYPE_DIRECTORY, mode: 0o755 };
  await client.call(methods.makeNode, { context: acknowledging(client), ...directory });
  await place.restart();
  const openFiles = [{ openId: kept.openId, inode: kept.inode, read: true, write: true, caller: ALICE }];
  await client.call(methods.renewSession, { session: client.session, openFiles, complete: true });
  await eventually(t, 'the other goes', async () => !(await exists(client, lost.inode)));
  t.is((await link(client, kept.inode)).attributes?.linkCount, 1);
});

test('an open file is closed by what any command says of it', async (t) => {
  const { client } = await openPlace(t);
  const [one, other] = [await create(client), await create(client)];
  await client.call(methods.close, { context: { ...client.context(), closed: [one.openId, 999_999] } });
  await eventually(t, 'it goes', async () => !(await exists(client, one.inode)));
  const context = { ...client.context(), closed: [other.openId] };
  t.is(
    await codeFrom(client.call(methods.unlink, { context, parent: 1, name: Buffer.from('none') })),
    'NOT_FOUND',
  );
  await eventually(t, 'though the command was refused', async () => !(await exists(client, other.inode)));
});

test('one that was made just before the master ended is there when its maker asks again', async (t) => {
  const { place, client } = await openPlace(t);
  const unlinked = await client.create('unlinked', { reserve: false });
  await client.unlink('unlinked');
  const context = client.context(ALICE);
  const { inode } = await create(client, context);
  await place.restart();
  // He does not know of it yet, so he does not say that he has it open.
  await client.call(methods.renewSession, { session: client.session, openFiles: [], complete: true });
  await eventually(t, 'what is not open goes', async () => !(await exists(client, unlinked.inode)));
  const again = await create(client, context);
  t.is(again.inode, inode);
  t.is(await codeFrom(link(client, inode)), 'OK');
  // Who never asks again, and goes on with other things, has given it up.
  const forgotten = await create(client);
  await place.restart();
  await client.call(methods.renewSession, { session: client.session, openFiles: [], complete: true });
  t.true(await exists(client, forgotten.inode));
  await client.call(methods.unlink, {
    context: acknowledging(client),
    parent: 1,
    name: Buffer.from('linked'),
  });
  await eventually(t, 'the file goes', async () => !(await exists(client, forgotten.inode)));
});

/** All answers before have come. */
function acknowledging(client: Client) {
  const context = client.context();
  return { ...context, acknowledged: context.number - 1 };
}
