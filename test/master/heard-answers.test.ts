// Commands are answered when those who believe what they change have heard of it; and nobody waits longer than a second.
import test, { type ExecutionContext } from 'ava';
import { FileType, MasterDefinition } from '../../src/rpc/messages.ts';
import { type Client, codeFrom, Place, ROOT } from './fixture.ts';
import { Channel, lookup } from './news-reader.ts';

const { methods } = MasterDefinition;

interface Listener {
  readonly client: Client;
  readonly channel: Channel;
}

/** A master, a file for each name, and sessions that listen. */
async function begin(t: ExecutionContext, names: readonly string[], listenerCount: number) {
  const place = new Place(t);
  await place.start();
  const author = await place.client().open();
  const inodes: number[] = [];
  for (const name of names) {
    const { inode, openId } = await author.create(name, { reserve: false });
    await author.close(inode, openId);
    inodes.push(inode);
  }
  const listeners: Listener[] = [];
  for (let count = 0; count < listenerCount; count += 1) {
    const client = await place.client().open();
    listeners.push({ client, channel: await Channel.open(client) });
  }
  return { author, inodes, listeners };
}

/** Long enough for the answer to anything that nobody holds back: it would come by the same connection. */
async function meanwhile({ connection }: Client, roundTrips = 20): Promise<void> {
  for (let count = 0; count < roundTrips; count += 1) await connection.call(methods.status, {});
}

/** Notes the order in which things happen. */
function noting() {
  const order: string[] = [];
  return { order, note: (what: string, event: Promise<unknown>) => event.then(() => order.push(what)) };
}

/** Takes all news, and passes them on when the session's own call was answered: as a kernel that holds a lock for it. */
async function takeDuring(channel: Channel, call: Promise<unknown>): Promise<void> {
  let taken = 0;
  let passedOn = 0;
  const answered = call.then(() => {
    passedOn = Number.MAX_SAFE_INTEGER;
    return channel.passOn({ taken, passedOn: taken });
  });
  while ((await codeFrom(channel.next())) === 'OK') {
    taken += 1;
    await channel.passOn({ taken, passedOn: Math.min(taken, passedOn) });
  }
  await answered;
}

const chmod = (client: Client, inode: number) =>
  client.call(methods.setAttributes, { context: client.context(), inode, mode: 0o600 });

test('a command is answered when who believes what it changes has passed that on', async (t) => {
  const { author, inodes, listeners } = await begin(t, ['f'], 2);
  const [inode = 0] = inodes;
  const { order, note } = noting();
  for (const { client } of listeners) await lookup(client, 'f');
  const answer = note('answer', chmod(author, inode));
  for (const { channel } of listeners) {
    t.deepEqual((await channel.next()).inodes, [inode]);
    await meanwhile(author);
    t.deepEqual(order, []);
    await channel.passOn({ taken: 1 });
    await meanwhile(author);
    t.deepEqual(order, [], 'it believes it no more, and its kernel does');
    await channel.passOn({ taken: 1, passedOn: 1 });
  }
  await answer;
  t.deepEqual(order, ['answer']);
  await chmod(author, inode);
  t.pass('nobody believes it any more');
});

test('so is each command that changes names or attributes', async (t) => {
  const { author, inodes, listeners } = await begin(t, ['f', 'other'], 1);
  const [inode = 0, other = 0] = inodes;
  const [{ client, channel } = {} as Listener] = listeners;
  const context = () => author.context();
  const named = (name: string) => ({ context: context(), parent: 1, name: Buffer.from(name) });
  const xattr = () => ({ context: context(), inode, name: Buffer.from('user.x') });
  // What the listener looks up before, and so believes.
  const commands: [believed: string, command: () => Promise<unknown>][] = [
    ['f', () => chmod(author, inode)],
    ['f', () => author.call(methods.setXattr, xattr())],
    ['f', () => author.call(methods.removeXattr, xattr())],
    ['f', () => author.call(methods.makeLink, { ...named('link'), inode })],
    // It has a link less.
    ['f', () => author.call(methods.makeLink, { ...named('link'), inode: other, replace: true })],
    ['link', () => author.call(methods.unlink, named('link'))],
    ['/', () => author.call(methods.makeNode, { ...named('d'), type: FileType.FILE_TYPE_DIRECTORY })],
    ['d', () => author.call(methods.removeDirectory, named('d'))],
    ['/', () => author.create('new', { reserve: false })],
    ['f', () => author.call(methods.rename, { ...named('f'), newParent: 1, newName: Buffer.from('g') })],
  ];
  let taken = 0;
  for (const [believed, command] of commands) {
    if (believed === '/')
      await client.call(methods.getAttributes, { caller: ROOT, inode: 1, session: client.session });
    else await lookup(client, believed);
    const { order, note } = noting();
    const answer = note('answer', command());
    await channel.next();
    taken += 1;
    await meanwhile(author, 3);
    t.deepEqual(order, [], String(command));
    await channel.passOn({ taken, passedOn: taken });
    await answer;
  }
});

test('who was told before and has not heard is waited for, too, and so is a command that is sent again', async (t) => {
  const { author, inodes, listeners } = await begin(t, ['f'], 1);
  const [inode = 0] = inodes;
  const [{ client, channel }] = listeners as [Listener];
  const { order, note } = noting();
  await lookup(client, 'f');
  const request = { context: author.context(), inode, mode: 0o600 };
  const answers = [note('first', author.call(methods.setAttributes, request))];
  await channel.next();
  answers.push(
    note('second', chmod(author, inode)),
    note('again', author.call(methods.setAttributes, request)),
  );
  await meanwhile(author);
  t.deepEqual(order, []);
  await channel.passOn();
  await Promise.all(answers);
  t.deepEqual([...order].sort(), ['again', 'first', 'second']);
});

test('a session that waits for others itself has heard what it took: two that wait for each other do not wait', async (t) => {
  const { author, listeners } = await begin(t, ['x', 'y', 'z'], 3);
  const [one, two, idle] = listeners as [Listener, Listener, Listener];
  const { order, note } = noting();
  for (const { client } of [one, two]) for (const name of ['x', 'y']) await lookup(client, name);
  await lookup(idle.client, 'z');
  // Nobody passes this on: it is answered after a second, and what comes before it did not wait for that.
  const second = note('a second', author.unlink('z'));
  const answers = [note('unlink', one.client.unlink('x')), note('unlink', two.client.unlink('y'))];
  const taking = [one, two].map(({ channel }, index) =>
    takeDuring(channel, answers[index] as Promise<unknown>),
  );
  await Promise.all([second, ...answers]);
  for (const { client } of [one, two]) await client.call(methods.closeSession, { session: client.session });
  await Promise.all(taking);
  t.deepEqual(order, ['unlink', 'unlink', 'a second']);
});

test('a session that does not take its news is waited for once, and told no more', async (t) => {
  const { author, inodes, listeners } = await begin(t, ['f', 'g'], 1);
  const [inode = 0, other = 0] = inodes;
  const [{ client, channel }] = listeners as [Listener];
  await lookup(client, 'f');
  await lookup(client, 'g');
  await chmod(author, inode);
  await channel.next();
  t.not(await codeFrom(channel.next()), 'OK');
  await chmod(author, other);
  t.is((await lookup(client, 'g')).attributes?.mode, 0o600);
});

test('a kernel that does not take its news is waited for once, until it has caught up', async (t) => {
  const { author, inodes, listeners } = await begin(t, ['f', 'g', 'h', 'z'], 2);
  const [first = 0, second = 0, third = 0, last = 0] = inodes;
  const [{ client, channel }, idle] = listeners as [Listener, Listener];
  for (const name of ['f', 'g', 'h']) await lookup(client, name);
  await lookup(idle.client, 'z');
  const slow = chmod(author, first);
  await channel.next();
  await channel.passOn({ taken: 1 });
  await slow;
  const { order, note } = noting();
  const clock = note('a second', chmod(author, last));
  const quick = note('quick', chmod(author, second));
  t.deepEqual((await channel.next()).inodes, [second], 'it is told all the same');
  await channel.passOn({ taken: 2, passedOn: 0 });
  await quick;
  await channel.passOn({ taken: 2, passedOn: 2 });
  await meanwhile(client);
  const waits = note('waits', chmod(author, third));
  t.deepEqual((await channel.next()).inodes, [third]);
  await channel.passOn({ taken: 3, passedOn: 2 });
  await clock;
  t.deepEqual(order, ['quick', 'a second']);
  await channel.passOn({ taken: 3, passedOn: 3 });
  await waits;
});

test('who changes what nobody else believes is sent nothing, and waits for nobody', async (t) => {
  const { author, listeners } = await begin(t, ['seen'], 1);
  const [{ client, channel }] = listeners as [Listener];
  const own = await Channel.open(author);
  await lookup(client, 'seen');
  for (const name of ['f', 'g']) {
    const { inode, openId } = await author.create(name, { reserve: false });
    await author.close(inode, openId);
    await lookup(author, name);
    await chmod(author, inode);
    await author.unlink(name);
  }
  for (const each of [own, channel]) {
    await each.passOn({ ping: 1 });
    t.is((await each.next()).pong, 1, 'nothing came before it');
  }
});

test('the answer to a ping comes behind all news', async (t) => {
  const { author, inodes, listeners } = await begin(t, ['f', 'g'], 1);
  const [inode = 0, other = 0] = inodes;
  const [{ client, channel }] = listeners as [Listener];
  await channel.passOn({ ping: 7 });
  t.is((await channel.next()).pong, 7);
  await lookup(client, 'f');
  await lookup(client, 'g');
  const answers = [chmod(author, inode)];
  await channel.next();
  answers.push(chmod(author, other));
  await meanwhile(author);
  await channel.passOn({ ping: 8 });
  await meanwhile(author);
  await channel.passOn({ taken: 1, passedOn: 1 });
  const news = await channel.next();
  t.deepEqual([news.inodes, news.pong], [[other], 0]);
  await channel.passOn({ taken: 2, passedOn: 2 });
  t.is((await channel.next()).pong, 8);
  await Promise.all(answers);
});
