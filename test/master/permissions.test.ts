import test, { type ExecutionContext } from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { FileType, MasterDefinition } from '../../src/rpc/messages.ts';
import { ALICE, BOB, type Client, codeFrom, Place, ROOT } from './fixture.ts';

const { methods } = MasterDefinition;
type MethodName = keyof typeof methods;

/** What is tried: numbers of inodes behind Alice's closed door. */
interface Private {
  /** Holds `secret`, `link` and `sub`. */
  readonly directory: number;
  readonly file: number;
  readonly symlink: number;
  readonly sub: number;
}

const name = Buffer.from('secret');
const other = Buffer.from('other');
const commit = { length: 1000, mtime: undefined };
const OPEN_ID = 77;
/** Both times to now, as who may write does. */
const TOUCH = { atimeNow: true, mtimeNow: true };
const LONG_AGO = { seconds: 0, nanos: 0 };
const LATER = { seconds: 4_000_000_000, nanos: 0 };

/** For each method that names inodes: what Bob tries inside Alice's directory. */
const ATTEMPTS: Partial<Record<MethodName, (bob: Client, at: Private) => Promise<unknown>[]>> = {
  lookup: (bob, { directory, sub }) => [
    bob.call(methods.lookup, { caller: BOB, parent: directory, name }),
    bob.call(methods.lookup, { caller: BOB, parent: directory, name, session: bob.session }),
    bob.call(methods.lookup, { caller: BOB, parent: directory, name: Buffer.from('nothing') }),
    bob.call(methods.lookup, { caller: BOB, parent: sub, name: Buffer.from('..') }),
    bob.call(methods.lookup, { caller: BOB, parent: sub, name: Buffer.from('.') }),
  ],
  getAttributes: (bob, { file, symlink, sub }) =>
    [file, symlink, sub].flatMap((inode) => [
      bob.call(methods.getAttributes, { caller: BOB, inode }),
      bob.call(methods.getAttributes, { caller: BOB, inode, session: bob.session }),
    ]),
  readSymlink: (bob, { symlink }) => [
    bob.call(methods.readSymlink, { caller: BOB, inode: symlink }),
    bob.call(methods.readSymlink, { caller: BOB, inode: symlink, session: bob.session }),
  ],
  listDirectory: (bob, { directory, sub }) =>
    [directory, sub].flatMap((inode) => [
      bob.call(methods.listDirectory, { caller: BOB, inode, limit: 10 }),
      bob.call(methods.listDirectory, { caller: BOB, inode, limit: 10, session: bob.session }),
      bob.call(methods.listDirectory, { caller: BOB, inode, limit: 10, withAttributes: true }),
    ]),
  createFile: (bob, { directory, sub }) => [
    bob.create('new', { parent: directory, caller: BOB }),
    bob.create('secret', { parent: directory, caller: BOB }),
    bob.create('new', { parent: sub, caller: BOB }),
  ],
  createUnnamed: (bob, { directory, sub }) =>
    [directory, sub].map((inode) =>
      bob.call(methods.createUnnamed, { context: bob.context(BOB), directory: inode, mode: 0o644 }),
    ),
  makeNode: (bob, { directory, sub }) =>
    [directory, sub].map((parent) =>
      bob.call(methods.makeNode, {
        ...{ context: bob.context(BOB), parent, name: other },
        ...{ type: FileType.FILE_TYPE_DIRECTORY, mode: 0o755 },
      }),
    ),
  makeLink: (bob, { directory, file, symlink }) => [
    bob.call(methods.makeLink, { context: bob.context(BOB), inode: file, parent: directory, name: other }),
    bob.call(methods.makeLink, { context: bob.context(BOB), inode: file, parent: 1, name: other }),
    bob.call(methods.makeLink, { context: bob.context(BOB), inode: symlink, parent: 1, name: other }),
  ],
  unlink: (bob, { directory }) => [
    bob.call(methods.unlink, { context: bob.context(BOB), parent: directory, name }),
    bob.call(methods.unlink, { context: bob.context(BOB), parent: directory, name: Buffer.from('link') }),
  ],
  removeDirectory: (bob, { directory }) => [
    bob.call(methods.removeDirectory, {
      ...{ context: bob.context(BOB), parent: directory, name: Buffer.from('sub') },
    }),
  ],
  removeTree: (bob, { directory }) =>
    ['sub', 'secret', 'nothing'].map((text) =>
      bob.call(methods.removeTree, {
        ...{ context: bob.context(BOB), parent: directory, name: Buffer.from(text) },
      }),
    ),
  rename: (bob, { directory, sub }) => {
    const rename = (parent: number, from: string, newParent: number, to: string, exchange = false) =>
      bob.call(methods.rename, {
        ...{ context: bob.context(BOB), parent, name: Buffer.from(from) },
        ...{ newParent, newName: Buffer.from(to), exchange },
      });
    return [
      rename(directory, 'secret', 1, 'other'),
      rename(directory, 'secret', sub, 'other'),
      rename(1, 'bobs', directory, 'other'),
      rename(1, 'bobs', directory, 'secret', true),
    ];
  },
  setAttributes: (bob, { directory, file, symlink, sub }) => [
    bob.call(methods.setAttributes, { context: bob.context(BOB), inode: file, length: 1 }),
    bob.call(methods.setAttributes, { context: bob.context(BOB), inode: file, length: 0 }),
    bob.call(methods.setAttributes, { context: bob.context(BOB), inode: directory, ...TOUCH }),
    ...[file, symlink, sub].flatMap((inode) => [
      bob.call(methods.setAttributes, { context: bob.context(BOB), inode, ...TOUCH }),
      // Not even an empty change tells him anything.
      bob.call(methods.setAttributes, { context: bob.context(BOB), inode }),
    ]),
  ],
  getXattr: (bob, { file, symlink, sub }) =>
    [file, symlink, sub].flatMap((inode) =>
      ['user.x', 'security.x', 'system.posix_acl_access'].map((attribute) =>
        bob.call(methods.getXattr, {
          ...{ caller: BOB, inode, name: Buffer.from(attribute), session: bob.session },
        }),
      ),
    ),
  listXattrs: (bob, { file, sub }) =>
    [file, sub].map((inode) => bob.call(methods.listXattrs, { caller: BOB, inode, session: bob.session })),
  setXattr: (bob, { file, sub }) =>
    [file, sub].map((inode) =>
      bob.call(methods.setXattr, { context: bob.context(BOB), inode, name: Buffer.from('user.x') }),
    ),
  removeXattr: (bob, { file, sub }) =>
    [file, sub].map((inode) =>
      bob.call(methods.removeXattr, { context: bob.context(BOB), inode, name: Buffer.from('user.x') }),
    ),
  open: (bob, { file }) => [
    bob.call(methods.open, { context: bob.context(BOB), inode: file }),
    bob.call(methods.open, { context: bob.context(BOB), inode: file, read: true }),
    bob.call(methods.open, { context: bob.context(BOB), inode: file, write: true }),
    bob.call(methods.open, { context: bob.context(BOB), inode: file, append: true }),
    bob.call(methods.open, { context: bob.context(BOB), inode: file, truncate: true }),
  ],
  openAhead: (bob, { directory, sub }) =>
    [directory, sub].map((each) =>
      bob.call(methods.openAhead, {
        ...{ caller: BOB, session: bob.session, directory: each, limit: 10, firstOpenId: 1000 },
      }),
    ),
  commitLength: (bob, { file }) => [
    bob.call(methods.commitLength, { context: bob.context(BOB), inode: file, commit }),
  ],
  nameAppender: (bob, { file }) => [
    bob.call(methods.nameAppender, { context: bob.context(BOB), inode: file, appender: Buffer.from('a') }),
  ],
  setAccessTimes: (bob, { file, symlink, sub }) =>
    [file, symlink, sub].map((inode) =>
      bob.call(methods.setAccessTimes, {
        context: bob.context(BOB),
        reads: [{ inode, atime: LATER, knownAtime: LONG_AGO }],
      }),
    ),
  shareRange: (bob, { file }) => [
    bob.call(methods.shareRange, { context: bob.context(BOB), source: file, inode: file, length: 2 ** 20 }),
  ],
  allocate: (bob, { file }) => [
    bob.call(methods.allocate, { context: bob.context(BOB), inode: file, length: 9 }),
    bob.call(methods.allocate, { context: bob.context(BOB), inode: file, length: 0 }),
  ],
  close: (bob, { file, sub }) => [
    bob.call(methods.close, { context: bob.context(BOB), inode: file, openId: 0, commit }),
    // A file that is not open is closed without complaint, and without a word about it.
    ...[file, sub].map(async (inode) => {
      const answer = await bob.call(methods.close, { context: bob.context(BOB), inode, openId: OPEN_ID });
      if (answer.attributes === undefined) throw new GfsError('PERMISSION_DENIED', 'no attributes came');
    }),
  ],
  findChunks: (bob, { file, sub }) => [
    bob.call(methods.findChunks, { caller: BOB, inode: file, count: 1 }),
    bob.call(methods.findChunks, { caller: BOB, inode: file, count: 1, session: bob.session }),
    bob.call(methods.findChunks, { caller: BOB, inode: file, count: 1, forWrite: true }),
    bob.call(methods.findChunks, { caller: BOB, inode: file, count: 1, forSync: true }),
    bob.call(methods.findChunks, { caller: BOB, inode: file, last: true }),
    bob.call(methods.findChunks, { caller: BOB, inode: sub, count: 1 }),
  ],
  addChunk: (bob, { file, sub }) => [
    bob.call(methods.addChunk, { context: bob.context(BOB), inode: file, fileOffset: 0 }),
    bob.call(methods.addChunk, { context: bob.context(BOB), inode: sub, fileOffset: 0 }),
  ],
  renewSession: (bob, { file: inode }) => [
    (async () => {
      const { session } = bob;
      for (const caller of [BOB, undefined]) {
        const openFiles = [{ openId: OPEN_ID, inode, read: true, write: false, caller }];
        await bob.call(methods.renewSession, { session, openFiles, complete: true });
      }
      await bob.call(methods.getAttributes, { caller: BOB, inode, session });
    })(),
  ],
};

/** Methods that name no inode and no path, and why that is so. */
const WITHOUT_INODES: Partial<Record<MethodName, string>> = {
  openSession: 'names a host and a program',
  closeSession: 'names a session; only its own open files end with it',
  statFilesystem: 'counts of the whole file system, as statfs(2) tells everybody',
  syncNames: 'waits, and tells nothing',
  getLongCommand: 'counts; no names',
  status: 'counts and sessions, for people; no names',
  listServers: 'machines, for people',
  listen: 'names a session, and tells of nothing but what that looked up',
  dealWriters: 'deals numbers that open nothing',
  reportBadReplica: 'names a chunk; the master looks for itself, and answers nothing',
  register: 'between servers',
  heartbeat: 'between servers',
  setLock: 'wants a file that the session has open: access was checked then',
  getLock: 'wants a file that the session has open: access was checked then',
  cancelLock: 'names a call of the session, and what it held of files that it has open',
  chunkReport: 'between servers',
  admit: 'between servers',
  evict: 'between servers',
};

/** A file system in whose root everybody may write, and Alice in it. */
async function start(t: ExecutionContext): Promise<{ place: Place; root: Client; alice: Client }> {
  const place = new Place(t);
  await place.start();
  await place.chunkservers(3);
  const root = await place.client().open();
  await root.call(methods.setAttributes, { context: root.context(), inode: 1, mode: 0o777 });
  return { place, root, alice: await place.client().open() };
}

async function makeNode(
  alice: Client,
  parent: number,
  node: { name: string; mode: number; type?: FileType },
): Promise<number> {
  const made = await alice.call(methods.makeNode, {
    context: alice.context(ALICE),
    parent,
    name: Buffer.from(node.name),
    type: node.type ?? FileType.FILE_TYPE_DIRECTORY,
    mode: node.mode,
    symlinkTarget: Buffer.from('secret'),
  });
  return made.attributes?.inode ?? 0;
}

async function furnish(
  alice: Client,
  directory: number,
  { fileMode, subMode, reserve = true }: { fileMode: number; subMode: number; reserve?: boolean },
): Promise<Private> {
  const file = await alice.create('secret', { parent: directory, mode: fileMode, caller: ALICE, reserve });
  const type = FileType.FILE_TYPE_SYMLINK;
  const symlink = await makeNode(alice, directory, { name: 'link', mode: 0o777, type });
  const sub = await makeNode(alice, directory, { name: 'sub', mode: subMode });
  return { directory, file: file.inode, symlink, sub };
}

const setMode = (client: Client, inode: number, mode: number) =>
  client.call(methods.setAttributes, { context: client.context(ALICE), inode, mode });

test("Alice's private directory is closed to Bob on every call that names an inode or a path", async (t) => {
  const { place, root, alice } = await start(t);
  const directory = await makeNode(alice, 1, { name: 'private', mode: 0o700 });
  const outer = await furnish(alice, directory, { fileMode: 0o644, subMode: 0o755 });
  // Here nothing but the way is closed.
  const inner = await furnish(alice, outer.sub, { fileMode: 0o666, subMode: 0o777 });
  await setMode(alice, outer.sub, 0o777);
  const bob = await place.client().open();
  await bob.create('bobs', { caller: BOB });

  for (const method of Object.keys(methods) as MethodName[]) {
    const isListed = WITHOUT_INODES[method] !== undefined;
    t.not(ATTEMPTS[method] === undefined, !isListed, `${method} is either tried or listed with a reason`);
    for (const [where, at] of Object.entries({ outer, inner })) {
      const attempts = ATTEMPTS[method]?.(bob, at) ?? [];
      for (const [index, code] of (await Promise.all(attempts.map(codeFrom))).entries()) {
        t.is(code, 'PERMISSION_DENIED', `${method}, attempt ${index + 1}, ${where}`);
      }
    }
  }

  for (const inode of [outer.file, inner.file]) {
    const { attributes } = await root.call(methods.getAttributes, { caller: ROOT, inode });
    t.is(attributes?.length, 0, 'nothing was changed');
    t.is(attributes?.linkCount, 1);
  }
  const list = { caller: ROOT, inode: outer.sub, limit: 10 };
  const { entries } = await root.call(methods.listDirectory, list);
  t.deepEqual(
    entries.map((entry) => entry.name.toString()),
    ['link', 'secret', 'sub'],
  );
  const { file: inode } = inner;
  t.is(await codeFrom(alice.call(methods.findChunks, { caller: ALICE, inode, count: 1 })), 'OK');
  await setMode(alice, directory, 0o711);
  t.is(
    await codeFrom(bob.call(methods.findChunks, { caller: BOB, inode, count: 1 })),
    'OK',
    'the door opened',
  );
});

test('a file with a name elsewhere is reached by that, also after a restart', async (t) => {
  const { place, alice } = await start(t);
  const directory = await makeNode(alice, 1, { name: 'private', mode: 0o700 });
  const { inode } = await alice.create('f', { parent: directory, caller: ALICE, reserve: false });
  const bob = await place.client().open();
  const look = () => codeFrom(bob.call(methods.getAttributes, { caller: BOB, inode }));
  t.is(await look(), 'PERMISSION_DENIED');
  const link = { inode, parent: 1, name: Buffer.from('public') };
  await alice.call(methods.makeLink, { context: alice.context(ALICE), ...link });
  t.is(await look(), 'OK');
  await alice.call(methods.unlink, {
    ...{ context: alice.context(ALICE), parent: directory, name: Buffer.from('f') },
  });
  await place.restart();
  t.is(await look(), 'OK', 'its first name is gone');
  await alice.call(methods.rename, {
    ...{ context: alice.context(ALICE), parent: 1, name: Buffer.from('public') },
    ...{ newParent: directory, newName: Buffer.from('f') },
  });
  t.is(await look(), 'PERMISSION_DENIED');
});

test('what Bob has open goes on when the way is closed, and when the name goes', async (t) => {
  const { place, alice } = await start(t);
  const directory = await makeNode(alice, 1, { name: 'shared', mode: 0o755 });
  const { inode } = await alice.create('f', { parent: directory, mode: 0o666, caller: ALICE });
  const bob = await place.client().open();
  const elsewhere = await place.client().open();
  const opened = await bob.call(methods.open, {
    context: bob.context(BOB),
    inode,
    read: true,
    write: true,
  });
  const { openId } = opened;
  const { session } = bob;
  const calls = (client: Client) => [
    client.call(methods.getAttributes, { caller: BOB, inode, session: client.session }),
    client.call(methods.findChunks, { caller: BOB, inode, count: 1, session: client.session }),
    client.call(methods.commitLength, { context: client.context(BOB), inode, commit }),
    client.call(methods.setAttributes, { context: client.context(BOB), inode, ...TOUCH }),
  ];
  const codes = async (client: Client) => [...new Set(await Promise.all(calls(client).map(codeFrom)))];
  const byOpenFile = () =>
    codeFrom(bob.call(methods.findChunks, { caller: BOB, inode, count: 1, session, openId, forWrite: true }));
  t.deepEqual(await codes(elsewhere), ['OK']);

  await setMode(alice, directory, 0o700);
  t.deepEqual(await codes(bob), ['OK']);
  t.is(await byOpenFile(), 'OK');
  t.deepEqual(await codes(elsewhere), ['PERMISSION_DENIED'], 'another session is not there yet');

  const unlink = { parent: directory, name: Buffer.from('f') };
  await alice.call(methods.unlink, { context: alice.context(ALICE), ...unlink });
  t.deepEqual(await codes(bob), ['OK']);
  t.is(await byOpenFile(), 'OK');
  t.deepEqual(await codes(elsewhere), ['NOT_FOUND']);

  const closed = await bob.call(methods.close, { context: bob.context(BOB), inode, openId, commit });
  t.is(closed.attributes?.length, 1000);
  t.deepEqual(await codes(bob), ['NOT_FOUND'], 'Alice has it still open; he has not');
});

test('a session whose kernel walks the paths is checked by the mode of the inode alone', async (t) => {
  const { place, alice } = await start(t);
  const directory = await makeNode(alice, 1, { name: 'private', mode: 0o700 });
  const { file: inode, sub } = await furnish(alice, directory, {
    ...{ fileMode: 0o644, subMode: 0o755, reserve: false },
  });
  const mount = await place.client().open({ kernelWalksPaths: true });
  const { session } = mount;
  const codes = async () =>
    await Promise.all(
      [
        mount.call(methods.getAttributes, { caller: BOB, inode, session }),
        mount.call(methods.listDirectory, { caller: BOB, inode: sub, limit: 1, session }),
        mount.call(methods.findChunks, { caller: BOB, inode, count: 1, session }),
        mount.call(methods.open, { context: mount.context(BOB), inode, read: true }),
        mount.call(methods.open, { context: mount.context(BOB), inode, write: true }),
        mount.call(methods.lookup, { caller: BOB, parent: directory, name, session }),
        mount.create('new', { parent: sub, caller: BOB }),
        // Said in no session, it is nobody's kernel that asks.
        mount.call(methods.getAttributes, { caller: BOB, inode }),
      ].map(codeFrom),
    );
  const denied = 'PERMISSION_DENIED';
  const expected = ['OK', 'OK', 'OK', 'OK', denied, denied, denied, denied];
  t.deepEqual(await codes(), expected);
  await place.restart();
  t.deepEqual(await codes(), expected, 'a restarted master knows it');
});

test('a file that may be run and not be read is opened to run it, by a session whose kernel asks', async (t) => {
  const { place, alice } = await start(t);
  const { inode } = await alice.create('run', { mode: 0o711, caller: ALICE, reserve: false });
  const opens = async (kernelWalksPaths: boolean) => {
    const client = await place.client().open({ kernelWalksPaths });
    const open = (mode: { read?: boolean; write?: boolean; execute?: boolean }) =>
      codeFrom(client.call(methods.open, { context: client.context(BOB), inode, ...mode }));
    return await Promise.all([
      open({ read: true, execute: true }),
      open({ read: true }),
      open({ read: true, write: true, execute: true }),
    ]);
  };
  const denied = 'PERMISSION_DENIED';
  t.deepEqual(await opens(true), ['OK', denied, denied]);
  t.deepEqual(await opens(false), [denied, denied, denied]);
  await setMode(alice, inode, 0o744);
  t.deepEqual(await opens(true), [denied, 'OK', denied]);
});

test('a restarted master asks what is open before it says that an inode is out of reach', async (t) => {
  const { place, alice } = await start(t);
  const directory = await makeNode(alice, 1, { name: 'shared', mode: 0o755 });
  const { inode } = await alice.create('f', {
    parent: directory,
    mode: 0o666,
    caller: ALICE,
    reserve: false,
  });
  const bob = await place.client().open();
  const { openId } = await bob.call(methods.open, { context: bob.context(BOB), inode, read: true });
  await setMode(alice, directory, 0o700);
  await place.restart();
  const { session } = bob;
  const look = () => codeFrom(bob.call(methods.getAttributes, { caller: BOB, inode, session }));
  t.is(await look(), 'BAD_FILE');
  const openFiles = [{ openId, inode, read: true, write: false, caller: BOB }];
  await bob.call(methods.renewSession, { session, openFiles, complete: true });
  t.is(await look(), 'OK');
});

test('what a session says to have open is checked when the master would know of it', async (t) => {
  const { place, alice } = await start(t);
  const secret = await alice.create('secret', { mode: 0o600, caller: ALICE });
  const readable = await alice.create('readable', { mode: 0o644, caller: ALICE });
  // As git makes its objects: what their owner has open for writing he could not open again.
  const own = await alice.create('own', { mode: 0o444, caller: BOB });
  const bob = await place.client().open();
  const { session } = bob;
  const says = async (openId: number, inode: number, write: boolean) => {
    const openFiles = [{ openId, inode, read: true, write, caller: BOB }];
    await bob.call(methods.renewSession, { session, openFiles, complete: true });
    const find = { caller: BOB, inode, count: 1, session, openId, forWrite: write };
    return await codeFrom(bob.call(methods.findChunks, find));
  };
  t.is(await says(1, secret.inode, false), 'BAD_FILE');
  t.is(await says(2, readable.inode, true), 'BAD_FILE');
  t.is(await says(3, readable.inode, false), 'OK');
  t.is(await says(4, own.inode, true), 'OK');
  t.is(await says(5, 999, false), 'BAD_FILE');
});

test('a command that is sent again gets its first answer, though the way was closed meanwhile', async (t) => {
  const { place, alice } = await start(t);
  const directory = await makeNode(alice, 1, { name: 'shared', mode: 0o755 });
  const parent = await makeNode(alice, directory, { name: 'sub', mode: 0o777 });
  await setMode(alice, parent, 0o777);
  const bob = await place.client().open();
  const context = bob.context(BOB);
  const request = { context, parent, name: other, mode: 0o600, exclusive: true };
  const first = await bob.call(methods.createFile, request);
  await setMode(alice, directory, 0o700);
  t.deepEqual((await bob.call(methods.createFile, request)).attributes, first.attributes);
  t.is(
    await codeFrom(bob.call(methods.createFile, { ...request, context: bob.context(BOB) })),
    'PERMISSION_DENIED',
  );
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
  const close = { context: bob.context(BOB), inode, openId, commit: { length: 9, mtime: undefined } };
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
