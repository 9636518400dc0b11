// The session channel over the wire: who is told what, and what is refused.
import test from 'ava';
import { MasterDefinition } from '../../src/rpc/messages.ts';
import { codeFrom, env, eventually, Place, ROOT } from './fixture.ts';
import { Channel, lookup } from './news-reader.ts';

const { methods } = MasterDefinition;

test('each change is told once, and the next ones when the first were passed on', async (t) => {
  const place = new Place(t);
  await place.start();
  const [writer, reader] = [await place.client().open(), await place.client().open()];
  const names = ['a', 'b', 'c'];
  const inodes: number[] = [];
  for (const name of names) {
    const { inode, openId } = await writer.create(name, { reserve: false });
    await writer.close(inode, openId);
    inodes.push(inode);
  }
  const channel = await Channel.open(reader);
  for (const name of names) await lookup(reader, name);
  const answers = [writer.unlink('a')];
  const first = await channel.next();
  t.deepEqual([first.everything, first.inodes], [false, inodes.slice(0, 1)]);
  t.deepEqual(
    first.names.map(({ parent, name, removedInode }) => [parent, name.toString(), removedInode]),
    [[1, 'a', inodes[0]]],
  );
  const second = channel.next();
  answers.push(writer.unlink('b'), writer.unlink('c'));
  const stranger = place.client();
  const isGone = async (name: string) => (await codeFrom(lookup(stranger, name))) === 'NOT_FOUND';
  await eventually(t, 'both are removed', async () => (await isGone('b')) && (await isGone('c')));
  await channel.passOn();
  t.deepEqual((await second).inodes, inodes.slice(1), 'what came meanwhile comes together');
  await channel.passOn();
  await Promise.all(answers);
});

test('whoever opens a file for writing waits for those who believe its length to have heard of him', async (t) => {
  const place = new Place(t);
  await place.start();
  await place.chunkservers(3);
  const [writer, reader] = [await place.client().open(), await place.client().open()];
  const { inode, openId } = await writer.create('f');
  await writer.close(inode, openId);
  const channel = await Channel.open(reader);
  t.false((await lookup(reader, 'f')).beingWritten);
  let opened = false;
  const opening = writer
    .call(methods.open, { context: writer.context(), inode, write: true })
    .then((answer) => {
      opened = true;
      return answer;
    });
  t.deepEqual((await channel.next()).inodes, [inode]);
  t.false(opened, 'it was told, and has not passed it on');
  await channel.passOn();
  const answer = await opening;
  t.false(answer.beingWritten, 'by nobody else');
  const seen = await lookup(reader, 'f');
  t.true(seen.beingWritten);
  t.is(seen.tail?.start, 0, 'and this is where to ask');
  const listed = await reader.call(methods.listDirectory, {
    caller: ROOT,
    inode: 1,
    limit: 10,
    withAttributes: true,
    session: reader.session,
  });
  t.is(listed.entries[0]?.attributes, undefined, 'a listing cannot ask');
  // Nobody holds up a writer for long.
  await writer.close(inode, answer.openId);
  await lookup(reader, 'f');
  await writer.call(methods.open, { context: writer.context(), inode, write: true });
  t.pass();
});

test('a channel of a session that is not there, or ends, is refused', async (t) => {
  const place = new Place(t);
  await place.start();
  const client = await place.client().open();
  const channel = await Channel.open(client);
  const next = codeFrom(channel.next());
  await client.call(methods.closeSession, { session: client.session });
  t.not(await next, 'OK');
  t.is(await codeFrom(Channel.open(client)), 'NO_SUCH_SESSION');
  t.is(await codeFrom(lookup(client, 'f')), 'NO_SUCH_SESSION');
  const stranger = place.client();
  stranger.session = -1;
  t.not(await codeFrom(Channel.open(stranger)), 'OK');
  stranger.session = 0;
  t.is(await codeFrom(Channel.open(stranger)), 'NO_SUCH_SESSION');
  await env.sleep(10);
  t.is((await client.call(methods.status, {})).sessionCount, 0, 'and the master lives');
});

test('a second channel of a session takes the place of the first', async (t) => {
  const place = new Place(t);
  await place.start();
  const [writer, reader] = [await place.client().open(), await place.client().open()];
  const { inode } = await writer.create('f', { reserve: false });
  const first = await Channel.open(reader);
  await lookup(reader, 'f');
  const second = await Channel.open(reader);
  t.not(await codeFrom(first.next()), 'OK');
  await lookup(reader, 'f');
  await writer.unlink('f');
  t.deepEqual((await second.next()).inodes, [inode]);
});
