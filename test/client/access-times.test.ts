import test, { type ExecutionContext } from 'ava';
import { type InodeId, inodeId } from '../../src/base/ids.ts';
import type { GfsClient } from '../../src/client/api.ts';
import { compareTimes } from '../../src/core/metadata/times.ts';
import { FileType, type Time } from '../../src/rpc/messages.ts';
import { inRealCluster, type RealCluster } from './real-cluster.ts';
import { codeFrom, ME, pattern, readAll, WRITING } from './world.ts';

const NAME = Buffer.from('f');
/** Gathered reads are told within it. */
const TOLD_MS = 1500;

async function atimeOf(client: GfsClient, inode: InodeId): Promise<Time> {
  return (await client.attributes(inode, ME)).atime ?? { seconds: 0, nanos: 0 };
}

/** Two clients like mounts, and a file that the first one made. */
function between(
  title: string,
  body: (
    t: ExecutionContext,
    world: RealCluster & { a: GfsClient; b: GfsClient; inode: InodeId; made: Time },
  ) => Promise<void>,
): void {
  test(title, (t) =>
    inRealCluster(title, async (cluster) => {
      const a = await cluster.connect({ kernelWalksPaths: true });
      const b = await cluster.connect({ kernelWalksPaths: true });
      // They listen by then.
      await cluster.sleep(100);
      const { file } = await a.create(a.rootInode, NAME, WRITING, ME);
      await file.write(0, [pattern(1000)]);
      await file.close();
      const { inode } = file;
      await body(t, { ...cluster, a, b, inode, made: await atimeOf(b, inode) });
      await Promise.all([a.close(), b.close()]);
    }),
  );
}

const isLater = (time: Time, than: Time) => compareTimes(time, than) > 0;

between(
  'who reads sees the time at once, others when the master was told',
  async (t, { a, b, inode, made, sleep }) => {
    await atimeOf(a, inode);
    t.true(b.noteRead(inode));
    const read = await atimeOf(b, inode);
    t.true(isLater(read, made));
    t.deepEqual(await atimeOf(a, inode), made, 'it is not told yet');
    t.false(b.noteRead(inode), 'the second read is none that counts');
    await sleep(TOLD_MS);
    t.deepEqual(await atimeOf(a, inode), read, 'what was remembered there is not believed any more');
    t.deepEqual(await atimeOf(b, inode), read);
    t.false(a.noteRead(inode));
  },
);

between('what is read on two machines at a time moves once', async (t, { a, b, inode, sleep }) => {
  await atimeOf(a, inode);
  t.true(b.noteRead(inode));
  await sleep(10);
  t.true(a.noteRead(inode));
  await sleep(TOLD_MS);
  const times = [await atimeOf(a, inode), await atimeOf(b, inode)];
  t.deepEqual(times[0], times[1]);
  t.false(a.noteRead(inode) || b.noteRead(inode));
});

between('directories and links are read, too', async (t, { a, b, sleep }) => {
  const node = { type: FileType.FILE_TYPE_DIRECTORY, mode: 0o755 };
  const directory = inodeId((await a.makeNode(a.rootInode, Buffer.from('d'), node, ME)).inode);
  const link = { type: FileType.FILE_TYPE_SYMLINK, mode: 0o777, symlinkTarget: NAME };
  const symlink = inodeId((await a.makeNode(directory, Buffer.from('l'), link, ME)).inode);
  for (const inode of [directory, symlink]) {
    const before = await atimeOf(b, inode);
    t.true(b.noteRead(inode));
    await sleep(TOLD_MS);
    t.true(isLater(await atimeOf(a, inode), before));
  }
  await a.makeNode(directory, Buffer.from('x'), node, ME);
  t.true(a.noteRead(directory), 'there is something new in it');
});

between(
  'the time stays where it was read, when the reader writes',
  async (t, { a, b, inode, made, sleep }) => {
    const { file } = await b.open(inode, { read: true, write: true }, ME);
    t.true(b.noteRead(inode));
    const read = await atimeOf(b, inode);
    await file.write(0, [pattern(10, 1)]);
    await file.flush();
    t.deepEqual(await atimeOf(b, inode), read);
    await b.setAttributes(inode, { mode: 0o600 }, ME);
    t.deepEqual((await file.attributes()).atime, read);
    await sleep(TOLD_MS);
    t.deepEqual(await atimeOf(a, inode), read);
    t.true(isLater(read, made));
    await file.write(5, [pattern(10, 2)]);
    await sleep(10);
    t.true(b.noteRead(inode), 'what was written here, and is not told yet');
    t.true(isLater(await atimeOf(b, inode), (await file.attributes()).mtime ?? made));
    await file.close();
  },
);

between('a time that somebody sets wins', async (t, { a, b, inode, made, sleep }) => {
  const set = { seconds: 77, nanos: 0 };
  t.true(b.noteRead(inode));
  await b.setAttributes(inode, { atime: made }, ME);
  t.deepEqual(await atimeOf(b, inode), made, 'to what it was before, too');
  await sleep(TOLD_MS);
  t.deepEqual(await atimeOf(a, inode), made);
  t.true(b.noteRead(inode));
  await a.setAttributes(inode, { atime: set }, ME);
  t.deepEqual(await atimeOf(b, inode), set);
  await sleep(TOLD_MS);
  t.deepEqual([await atimeOf(a, inode), await atimeOf(b, inode)], [set, set]);
});

between(
  'reading goes on without a master, and it is told when it is there',
  async (t, { a, b, inode, made, kill, start, sleep }) => {
    const { file } = await b.open(inode, { read: true }, ME);
    kill('m');
    t.deepEqual(await readAll(file), pattern(1000));
    t.true(b.noteRead(inode));
    await sleep(20_000);
    t.deepEqual(await readAll(file), pattern(1000));
    await start('m');
    await sleep(10_000);
    t.true(isLater(await atimeOf(a, inode), made));
    t.is(await codeFrom(file.close()), 'none');
  },
);

between('what is left is told at the end', async (t, { a, b, inode, made }) => {
  t.true(b.noteRead(inode));
  await b.close();
  t.true(isLater(await atimeOf(a, inode), made));
});

between('many reads are told in few commands, and cost no look-up afterwards', async (t, { a, b, sleep }) => {
  const inodes: InodeId[] = [];
  for (let index = 0; index < 300; index += 1) {
    const { file } = await a.create(a.rootInode, Buffer.from(`f${index}`), WRITING, ME);
    await file.close();
    inodes.push(file.inode);
  }
  const positionOf = async () => (await a.status()).logPosition;
  for (const inode of inodes) await b.attributes(inode, ME);
  const before = await positionOf();
  for (const inode of inodes) t.true(b.noteRead(inode));
  await sleep(TOLD_MS);
  t.is(await positionOf(), before + 3);
  for (const inode of inodes) t.false(b.noteRead(inode));
});

between('of what nobody has looked at, nothing is known', async (t, { b }) => {
  t.false(b.noteRead(inodeId(9999)));
});
