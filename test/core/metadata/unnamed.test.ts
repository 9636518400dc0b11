import { Buffer } from 'node:buffer';
import test from 'ava';
import type { InodeId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { type CommandBodies, type CommandContext, ROOT_CALLER } from '../../../src/core/metadata/commands.ts';
import { FileType } from '../../../src/core/metadata/rows.ts';
import { MetadataState } from '../../../src/core/metadata/state.ts';
import { checkInvariants } from './invariants.ts';
import { ALICE, BOB, bytes, codeOf, newWorld, ROOT, type World } from './world.ts';

function create(
  world: World,
  more: Partial<CommandBodies['createUnnamed']> = {},
  context?: CommandContext,
): InodeId {
  return unwrap(tryToCreate(world, more, context)).inode;
}

function tryToCreate(
  world: World,
  more: Partial<CommandBodies['createUnnamed']> = {},
  context?: CommandContext,
) {
  const made = { directory: ROOT, inode: world.nextInode(), mode: 0o666, umask: 0o022, linkable: true };
  return world.run('createUnnamed', { ...made, firstChunk: undefined, goal: 3, ...more }, context);
}

test('a file is made without a name: nothing is listed, its directory stays as it is, and it is to be reaped', async (t) => {
  const world = await newWorld();
  const before = world.attributes(ROOT);
  const chunk = world.newChunk();
  const inode = create(world.as(ALICE), { firstChunk: chunk });
  const { linkCount, mode, uid, gid } = world.attributes(inode);
  t.deepEqual({ linkCount, mode, uid, gid }, { linkCount: 0, mode: 0o644, uid: 1001, gid: 101 });
  t.deepEqual(world.names(ROOT), []);
  t.deepEqual(world.attributes(ROOT), before);
  t.deepEqual(world.state.orphans(0, 10), [inode]);
  t.is(world.state.inodeCount, 2);
  t.is(world.code('commitLength', { inode, length: 10, mtime: undefined }), 'OK');
  checkInvariants(world.state);
  world.run('reap', { inodes: [inode] });
  t.is(world.state.inodeCount, 1);
  t.deepEqual(world.state.garbage(0, 10), [{ chunk: chunk.chunk, members: chunk.members }]);
  checkInvariants(world.state);
});

test('its first name makes a file of it like others', async (t) => {
  const world = await newWorld();
  const inode = create(world);
  const directory = world.directory(ROOT, 'd');
  const { linked, replaced } = unwrap(
    world.run('makeLink', { inode, parent: directory, name: bytes('a'), replace: false }),
  );
  t.deepEqual([linked.linkCount, replaced], [1, undefined]);
  t.deepEqual(world.state.orphans(0, 10), []);
  t.is(world.state.unreachable(ALICE, inode), undefined);
  world.run('reap', { inodes: [inode] });
  t.true(world.state.attributes(inode).ok, 'what has a name is not reaped');
  t.is(world.code('makeLink', { inode, parent: ROOT, name: bytes('b'), replace: false }), 'OK');
  checkInvariants(world.state);
  world.run('unlink', { parent: directory, name: bytes('a') });
  world.run('unlink', { parent: ROOT, name: bytes('b') });
  t.deepEqual(world.state.orphans(0, 10), [inode]);
  t.is(
    world.code('makeLink', { inode, parent: ROOT, name: bytes('c'), replace: false }),
    'NOT_FOUND',
    'it had its names',
  );
  checkInvariants(world.state);
});

test('it takes the name of another file, which goes as one that was unlinked', async (t) => {
  const world = await newWorld();
  const old = world.file(ROOT, 'a');
  const second = { inode: old, parent: ROOT, name: bytes('second'), replace: false };
  unwrap(world.run('makeLink', second));
  const before = world.attributes(ROOT);
  for (const [linkCount, orphans] of [
    [1, []],
    [0, [old]],
  ] as const) {
    const inode = create(world);
    const name = bytes(linkCount === 1 ? 'a' : 'second');
    const { linked, replaced } = unwrap(world.run('makeLink', { inode, parent: ROOT, name, replace: true }));
    t.deepEqual([linked.inode, linked.linkCount], [inode, 1]);
    t.deepEqual([replaced?.inode, replaced?.linkCount, replaced?.ctime], [old, linkCount, linked.ctime]);
    t.is(unwrap(world.state.lookup(ALICE, ROOT, name)).inode, inode);
    t.deepEqual(world.state.orphans(0, 10), orphans);
    checkInvariants(world.state);
  }
  t.deepEqual(world.names(ROOT), ['a', 'second']);
  const { linkCount, mtime } = world.attributes(ROOT);
  t.is(linkCount, before.linkCount);
  t.notDeepEqual(mtime, before.mtime);
  t.is(world.code('commitLength', { inode: old, length: 10, mtime: undefined }), 'OK', 'it may be open');
  world.run('reap', { inodes: [old] });
  t.is(world.state.inodeCount, 3);
  checkInvariants(world.state);
});

test('it takes the name of anything but a directory, and only where its maker may take it away', async (t) => {
  const world = await newWorld();
  const inode = create(world);
  const replace = (parent: InodeId, name: string) =>
    world.code('makeLink', { inode, parent, name: bytes(name), replace: true });
  world.directory(ROOT, 'directory');
  t.is(replace(ROOT, 'directory'), 'IS_DIRECTORY');
  unwrap(world.makeNode(ROOT, 'symlink', { type: FileType.SYMLINK, symlinkTarget: bytes('to') }));
  const sticky = world.directory(ROOT, 'sticky', 0o1777);
  const closed = world.directory(ROOT, 'closed', 0o755);
  world.file(sticky, 'roots');
  world.file(closed, 'roots');
  world.as(ALICE);
  t.is(replace(sticky, 'roots'), 'NOT_PERMITTED');
  t.is(replace(closed, 'roots'), 'PERMISSION_DENIED');
  t.deepEqual(world.state.orphans(0, 10), [inode], 'nothing has happened');
  t.is(replace(sticky, 'free'), 'OK');
  world.as(ROOT_CALLER);
  const before = world.attributes(inode);
  t.is(replace(sticky, 'free'), 'OK');
  t.deepEqual(world.attributes(inode), before, 'its own name');
  t.is(replace(ROOT, 'symlink'), 'OK');
  checkInvariants(world.state);
});

test('one that is not to be linked gets no name', async (t) => {
  const world = await newWorld();
  const inode = create(world, { linkable: false });
  t.is(world.code('makeLink', { inode, parent: ROOT, name: bytes('a'), replace: false }), 'NOT_FOUND');
  checkInvariants(world.state);
});

test('the directory says who may make one, and hands down its group and its ACL', async (t) => {
  const world = await newWorld();
  const closed = world.directory(ROOT, 'closed', 0o755);
  const unsearchable = world.directory(ROOT, 'unsearchable', 0o666);
  const file = world.file(ROOT, 'file');
  world.as(ALICE);
  t.is(codeOf(tryToCreate(world, { directory: closed })), 'PERMISSION_DENIED');
  t.is(codeOf(tryToCreate(world, { directory: unsearchable })), 'PERMISSION_DENIED');
  t.is(codeOf(tryToCreate(world, { directory: file })), 'NOT_DIRECTORY');
  t.is(codeOf(tryToCreate(world, { directory: 999 as InodeId })), 'NOT_FOUND');
  t.is(codeOf(tryToCreate(world, { inode: file })), 'INVALID_ARGUMENT');
  t.is(codeOf(tryToCreate(world, { goal: 0 })), 'INVALID_ARGUMENT');
  const shared = world.directory(ROOT, 'shared', 0o2777);
  const made = world.attributes(create(world.as(BOB), { directory: shared, mode: 0o2775, umask: 0 }));
  t.deepEqual([made.uid, made.gid, made.mode], [1002, 101, 0o775], 'and not the right to run as that group');
  // rwx for the owner, a user and the mask, r-x for the group, nothing for others.
  const acl = Buffer.from(
    '02000000' +
      '01000700ffffffff' +
      '02000700ea030000' +
      '04000500ffffffff' +
      '10000700ffffffff20000000ffffffff',
    'hex',
  );
  unwrap(world.as(ALICE).setXattr(shared, 'system.posix_acl_default', acl));
  const heir = create(world, { directory: shared, mode: 0o666, umask: 0o077 });
  t.is(world.attributes(heir).mode, 0o660, 'the umask does not count');
  t.true(world.attributes(heir).hasXattrs);
  checkInvariants(world.state);
  world.run('reap', { inodes: [heir] });
  checkInvariants(world.state);
});

test('one whose answer may not have come is awaited, until it has or its session ended; also after a restart', async (t) => {
  const world = await newWorld();
  const session = world.openSession();
  const inode = create(world, {}, { caller: ALICE, session, number: 1, acknowledged: 0 });
  const restarted = () => new MetadataState(world.store);
  t.true(world.state.isAwaited(inode));
  t.true(restarted().isAwaited(inode));
  const second = create(world, {}, { caller: ALICE, session, number: 2, acknowledged: 1 });
  t.false(world.state.isAwaited(inode));
  t.false(restarted().isAwaited(inode));
  t.true(world.state.isAwaited(second));
  world.run('closeSession', { session });
  t.false(world.state.isAwaited(second));
  const unlinked = world.file(ROOT, 'a');
  world.run('unlink', { parent: ROOT, name: bytes('a') });
  t.false(world.state.isAwaited(unlinked));
});
