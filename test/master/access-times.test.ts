// Reads that sessions tell of, over the wire.
import test from 'ava';
import { FileType, MasterDefinition, type Time } from '../../src/rpc/messages.ts';
import { type Client, codeFrom, Place, ROOT } from './fixture.ts';
import { Channel, lookup } from './news-reader.ts';

const { methods } = MasterDefinition;
const LATER: Time = { seconds: 4_000_000_000, nanos: 5 };

async function made(client: Client, name: string) {
  const { inode, openId, attributes } = await client.create(name, { reserve: false });
  await client.close(inode, openId);
  return { inode, knownAtime: attributes?.atime };
}

const tell = (client: Client, reads: { inode: number; atime?: Time; knownAtime: Time | undefined }[]) =>
  client.call(methods.setAccessTimes, {
    context: client.context(),
    reads: reads.map((read) => ({ atime: LATER, ...read })),
  });

const atimeOf = async (client: Client, inode: number) =>
  (await client.call(methods.getAttributes, { caller: ROOT, inode })).attributes?.atime;

test('a batch of reads is there after a restart, and what is gone or was set is passed over', async (t) => {
  const place = new Place(t);
  await place.start();
  const reader = await place.client().open();
  const [read, set] = [await made(reader, 'read'), await made(reader, 'set')];
  const directory = { parent: 1, name: Buffer.from('gone') };
  const type = FileType.FILE_TYPE_DIRECTORY;
  const { attributes } = await reader.call(methods.makeNode, {
    ...{ context: reader.context(), ...directory, type },
  });
  const gone = { inode: attributes?.inode ?? 0, knownAtime: attributes?.atime };
  await reader.call(methods.removeDirectory, { context: reader.context(), ...directory });
  const atime = { seconds: 7, nanos: 0 };
  await reader.call(methods.setAttributes, { context: reader.context(), inode: set.inode, atime });
  t.deepEqual((await tell(reader, [read, gone, set])).inodes, [read.inode]);
  await place.restart();
  const other = place.client();
  t.deepEqual(await atimeOf(other, read.inode), LATER);
  t.deepEqual(await atimeOf(other, set.inode), atime);
});

test('others are told of the time alone, are waited for by nobody, and go on knowing the rest', async (t) => {
  const place = new Place(t);
  await place.start();
  const [reader, looker] = [await place.client().open(), await place.client().open()];
  const [first, second] = [await made(reader, 'first'), await made(reader, 'second')];
  const channel = await Channel.open(looker);
  for (const name of ['first', 'second']) await lookup(looker, name);
  // Nobody passes these on.
  await tell(reader, [first]);
  await tell(reader, [second]);
  const news = await channel.next();
  t.deepEqual([news.inodes, news.accessedInodes], [[], [first.inode]]);
  await channel.passOn();
  t.deepEqual((await channel.next()).accessedInodes, [second.inode]);
  await channel.passOn();
  const mode = 0o600;
  const changed = reader.call(methods.setAttributes, { context: reader.context(), inode: first.inode, mode });
  t.deepEqual((await channel.next()).inodes, [first.inode], 'it has not looked again, and is told');
  await channel.passOn();
  await changed;
});

test('what would change nothing is not logged', async (t) => {
  const place = new Place(t);
  await place.start();
  const reader = await place.client().open();
  const read = await made(reader, 'f');
  await tell(reader, [read]);
  const { logPosition } = await reader.call(methods.status, {});
  t.deepEqual((await tell(reader, [read, { inode: 999, knownAtime: LATER }])).inodes, []);
  t.is((await reader.call(methods.status, {})).logPosition, logPosition);
});

test('reads of a session that ended are not taken, nor more than a command may have', async (t) => {
  const place = new Place(t);
  await place.start();
  const reader = await place.client().open();
  const read = await made(reader, 'f');
  t.is(await codeFrom(tell(reader, Array(129).fill(read))), 'INVALID_ARGUMENT');
  await reader.call(methods.closeSession, { session: reader.session });
  t.is(await codeFrom(tell(reader, [read])), 'NO_SUCH_SESSION');
  t.deepEqual(await atimeOf(place.client(), read.inode), read.knownAtime);
});
