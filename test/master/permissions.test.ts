import test from 'ava';
import { FileType, MasterDefinition } from '../../src/rpc/messages.ts';
import { ALICE, BOB, type Client, codeFrom, Place, ROOT } from './fixture.ts';

const { methods } = MasterDefinition;
type MethodName = keyof typeof methods;

/** Alice's directory, closed to everybody else, and what is in it. */
interface Private {
  readonly directory: number;
  readonly file: number;
  readonly openId: number;
}

const name = Buffer.from('secret');
const other = Buffer.from('other');

/** For each method that is told who asks: what Bob tries inside Alice's directory. */
const ATTEMPTS: Partial<Record<MethodName, (bob: Client, at: Private) => Promise<unknown>[]>> = {
  lookup: (bob, { directory }) => [
    bob.call(methods.lookup, { caller: BOB, parent: directory, name }),
    bob.call(methods.lookup, { caller: BOB, parent: directory, name: Buffer.from('..') }),
  ],
  listDirectory: (bob, { directory }) => [
    bob.call(methods.listDirectory, { caller: BOB, inode: directory, limit: 10 }),
    bob.call(methods.listDirectory, { caller: BOB, inode: directory, limit: 10, withAttributes: true }),
  ],
  createFile: (bob, { directory }) => [
    bob.create('new', { parent: directory, caller: BOB }),
    bob.create('secret', { parent: directory, caller: BOB }),
  ],
  makeNode: (bob, { directory }) => [
    bob.call(methods.makeNode, {
      context: bob.context(BOB),
      parent: directory,
      name: other,
      type: FileType.FILE_TYPE_DIRECTORY,
      mode: 0o755,
    }),
  ],
  makeLink: (bob, { directory, file }) => [
    bob.call(methods.makeLink, { context: bob.context(BOB), inode: file, parent: directory, name: other }),
  ],
  unlink: (bob, { directory }) => [
    bob.call(methods.unlink, { context: bob.context(BOB), parent: directory, name }),
  ],
  removeDirectory: (bob, { directory }) => [
    bob.call(methods.removeDirectory, {
      context: bob.context(BOB),
      parent: directory,
      name: Buffer.from('sub'),
    }),
  ],
  rename: (bob, { directory }) => [
    bob.call(methods.rename, {
      context: bob.context(BOB),
      parent: directory,
      name,
      newParent: 1,
      newName: other,
    }),
    bob.call(methods.rename, {
      context: bob.context(BOB),
      parent: 1,
      name: Buffer.from('bobs'),
      newParent: directory,
      newName: other,
    }),
  ],
  setAttributes: (bob, { directory, file }) => [
    bob.call(methods.setAttributes, { context: bob.context(BOB), inode: file, length: 1 }),
    bob.call(methods.setAttributes, { context: bob.context(BOB), inode: file, length: 0 }),
    bob.call(methods.setAttributes, { context: bob.context(BOB), inode: file, mtimeNow: true }),
    bob.call(methods.setAttributes, { context: bob.context(BOB), inode: directory, atimeNow: true }),
  ],
  open: (bob, { file }) => [
    bob.call(methods.open, { context: bob.context(BOB), inode: file, read: true }),
    bob.call(methods.open, { context: bob.context(BOB), inode: file, write: true }),
    bob.call(methods.open, { context: bob.context(BOB), inode: file, append: true }),
    bob.call(methods.open, { context: bob.context(BOB), inode: file, truncate: true }),
  ],
  commitLength: (bob, { file }) => [
    bob.call(methods.commitLength, {
      context: bob.context(BOB),
      inode: file,
      commit: { length: 1000, mtime: undefined },
    }),
  ],
  close: (bob, { file }) => [
    bob.call(methods.close, {
      context: bob.context(BOB),
      inode: file,
      openId: 0,
      commit: { length: 1000, mtime: undefined },
    }),
  ],
  findChunks: (bob, { file }) => [
    bob.call(methods.findChunks, { caller: BOB, inode: file, count: 1 }),
    bob.call(methods.findChunks, { caller: BOB, inode: file, count: 1, forWrite: true }),
    bob.call(methods.findChunks, { caller: BOB, inode: file, last: true }),
  ],
  addChunk: (bob, { file }) => [
    bob.call(methods.addChunk, { context: bob.context(BOB), inode: file, fileOffset: 0 }),
  ],
};

/**
 * These name an inode by number alone, as fstat(2) names an open file: its number is learned by a look-up, which is
 * refused, and they show attributes and a symlink's text, no contents.
 */
const BY_INODE_ALONE: ReadonlySet<string> = new Set(['getAttributes', 'readSymlink']);

function isToldWhoAsks(method: MethodName): boolean {
  const empty = methods[method].requestType.create() as object;
  return 'caller' in empty || 'context' in empty;
}

test("Alice's private directory is closed to Bob on every call that is told who asks", async (t) => {
  const place = new Place(t);
  await place.start();
  await place.chunkservers(3);
  const root = await place.client().open();
  await root.call(methods.setAttributes, { context: root.context(), inode: 1, mode: 0o777 });
  const alice = await place.client().open();
  const made = await alice.call(methods.makeNode, {
    context: alice.context(ALICE),
    parent: 1,
    name: Buffer.from('private'),
    type: FileType.FILE_TYPE_DIRECTORY,
    mode: 0o700,
  });
  const directory = made.attributes?.inode ?? 0;
  const { inode: file, openId } = await alice.create('secret', {
    parent: directory,
    mode: 0o600,
    caller: ALICE,
  });
  const bob = await place.client().open();
  await bob.create('bobs', { caller: BOB });

  for (const method of Object.keys(methods) as MethodName[]) {
    if (!isToldWhoAsks(method) || BY_INODE_ALONE.has(method)) continue;
    const attempts = ATTEMPTS[method]?.(bob, { directory, file, openId }) ?? [];
    t.true(attempts.length > 0, `nothing is tried with ${method}`);
    for (const attempt of attempts) t.is(await codeFrom(attempt), 'PERMISSION_DENIED', method);
  }

  const after = await root.call(methods.getAttributes, { caller: ROOT, inode: file });
  t.is(after.attributes?.length, 0, 'nothing was changed');
  t.is(after.attributes?.linkCount, 1);
});

test('an open file of somebody else is of no use', async (t) => {
  const place = new Place(t);
  await place.start();
  await place.chunkservers(3);
  const alice = await place.client().open();
  const { inode, openId } = await alice.create('f', { mode: 0o600 });
  const bob = await place.client().open();
  const find = { caller: BOB, inode, count: 1, openId, session: bob.session };
  t.is(await codeFrom(bob.call(methods.findChunks, find)), 'BAD_FILE');
  const commit = { length: 9, mtime: undefined };
  const close = { context: bob.context(BOB), inode, openId, commit };
  t.is(await codeFrom(bob.call(methods.close, close)), 'BAD_FILE');
  const reading = await alice.call(methods.open, { context: alice.context(), inode, read: true });
  const write = {
    caller: BOB,
    inode,
    count: 1,
    openId: reading.openId,
    session: alice.session,
    forWrite: true,
  };
  t.is(await codeFrom(alice.call(methods.findChunks, write)), 'BAD_FILE', 'open for reading only');
  t.is(await codeFrom(alice.call(methods.findChunks, { ...write, openId })), 'OK');
});
