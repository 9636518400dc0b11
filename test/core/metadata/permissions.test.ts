import test from 'ava';
import { unwrap } from '../../../src/base/result.ts';
import { ROOT_CALLER } from '../../../src/core/metadata/commands.ts';
import { mayNameNobody } from '../../../src/core/metadata/permissions.ts';
import { FileType } from '../../../src/core/metadata/rows.ts';
import { ALICE, BOB, bytes, codeOf, newWorld, ROOT } from './world.ts';

test("Alice's private directory is closed to Bob, whatever he asks", async (t) => {
  const world = await newWorld();
  const home = world.as(ALICE).directory(ROOT, 'alice', 0o700);
  const secret = world.file(home, 'secret', { mode: 0o600 });
  const inner = world.directory(home, 'inner', 0o700);
  const bobs = world.as(BOB).file(ROOT, 'bobs');
  const { state } = world;
  const page = { after: bytes(''), limit: 10, withAttributes: true };
  const there = { parent: home, name: bytes('secret') };
  const fresh = { parent: home, name: bytes('new') };
  const before = state.position;
  const answers: Record<string, string> = {
    lookup: codeOf(state.lookup(BOB, home, bytes('secret'))),
    'lookup of nothing': codeOf(state.lookup(BOB, home, bytes('nothing'))),
    'lookup of ..': codeOf(state.lookup(BOB, home, bytes('..'))),
    'lookup further in': codeOf(state.lookup(BOB, inner, bytes('x'))),
    list: codeOf(state.list(BOB, home, page)),
    'list further in': codeOf(state.list(BOB, inner, page)),
    'open for reading': codeOf(state.access(BOB, secret, { read: true })),
    'open for writing': codeOf(state.access(BOB, secret, { write: true })),
    create: codeOf(world.create(home, 'new')),
    'open by create': codeOf(world.create(home, 'secret', { exclusive: false, truncate: true })),
    makeNode: codeOf(world.makeNode(home, 'new')),
    symlink: codeOf(world.makeNode(home, 'new', { type: FileType.SYMLINK, symlinkTarget: bytes('x') })),
    'link into': world.code('makeLink', { inode: bobs, ...fresh, replace: false }),
    unlink: world.code('unlink', there),
    removeDirectory: world.code('removeDirectory', { parent: home, name: bytes('inner') }),
    'rename out': world.code('rename', {
      ...there,
      newParent: ROOT,
      newName: bytes('mine'),
      noReplace: false,
      exchange: false,
    }),
    'rename in': world.code('rename', {
      parent: ROOT,
      name: bytes('bobs'),
      newParent: home,
      newName: bytes('new'),
      noReplace: false,
      exchange: false,
    }),
    truncate: codeOf(world.setAttributes(secret, { length: 0 })),
    touch: codeOf(world.setAttributes(secret, { mtimeNow: true, atimeNow: true })),
  };
  for (const [what, code] of Object.entries(answers)) t.is(code, 'PERMISSION_DENIED', what);
  for (const change of [
    { mode: 0o777 },
    { uid: BOB.uid },
    { gid: BOB.gid },
    { mtime: { seconds: 1, nanos: 0 } },
  ]) {
    for (const inode of [home, secret]) t.is(codeOf(world.setAttributes(inode, change)), 'NOT_PERMITTED');
  }
  t.deepEqual(world.names(home), ['inner', 'secret']);
  t.true(state.position > before);
  t.is(codeOf(state.lookup(ALICE, home, bytes('secret'))), 'OK');
  t.is(codeOf(state.lookup(ROOT_CALLER, home, bytes('secret'))), 'OK');
});

test('names may be read where they may not be followed, and the other way round', async (t) => {
  const world = await newWorld();
  const readable = world.directory(ROOT, 'readable', 0o744);
  const searchable = world.directory(ROOT, 'searchable', 0o711);
  for (const directory of [readable, searchable]) world.file(directory, 'a');
  const page = { after: bytes(''), limit: 10, withAttributes: true };
  const listed = unwrap(world.state.list(ALICE, readable, page));
  t.deepEqual(
    listed.entries.map(({ attributes }) => attributes),
    [undefined],
  );
  t.is(codeOf(world.state.lookup(ALICE, readable, bytes('a'))), 'PERMISSION_DENIED');
  t.is(codeOf(world.state.list(ALICE, searchable, page)), 'PERMISSION_DENIED');
  t.is(codeOf(world.state.lookup(ALICE, searchable, bytes('a'))), 'OK');
});

test('the first triple that fits counts, even when a later one would allow more', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a', { mode: 0o077 });
  t.is(codeOf(world.state.access(ALICE, inode, { read: true })), 'PERMISSION_DENIED');
  t.is(codeOf(world.state.access({ ...BOB, groups: [ALICE.gid] }, inode, { read: true })), 'OK');
  t.is(codeOf(world.state.access(BOB, inode, { read: true, write: true, execute: true })), 'OK');
  t.is(codeOf(world.state.access(ROOT_CALLER, inode, { write: true })), 'OK');
  const plain = world.as(ALICE).file(ROOT, 'plain', { mode: 0o666 });
  t.is(codeOf(world.state.access(ROOT_CALLER, plain, { execute: true })), 'PERMISSION_DENIED');
});

test('set-id bits go when somebody writes, truncates or gives the file away', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a', { mode: 0o6777 });
  const again = () => unwrap(world.as(ALICE).setAttributes(inode, { mode: 0o6777 }));
  const mode = () => world.attributes(inode).mode;
  t.is(again().mode, 0o6777);
  world.as(ALICE).run('commitLength', { inode, length: 1, mtime: undefined });
  t.is(mode(), 0o777);
  again();
  world.as(BOB).setAttributes(inode, { length: 1, byOpenFile: true });
  t.is(mode(), 0o777);
  again();
  world.as(ALICE).setAttributes(inode, { gid: 500 });
  t.is(mode(), 0o777);
  unwrap(world.as(ROOT_CALLER).setAttributes(inode, { mode: 0o6777 }));
  world.as(ROOT_CALLER).run('commitLength', { inode, length: 2, mtime: undefined });
  t.is(mode(), 0o6777, 'root may');
});

test('a setgid bit that gives no rights stays for those in the group, and goes for others', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a', { mode: 0o6766 });
  world.as(ALICE).run('commitLength', { inode, length: 1, mtime: undefined });
  t.is(world.attributes(inode).mode, 0o2766);
  world.as(BOB).run('commitLength', { inode, length: 2, mtime: undefined });
  t.is(world.attributes(inode).mode, 0o766);
});

test('a chown that names nobody is allowed to all, unless it takes bits away from what is not theirs', (t) => {
  const check = (mode: number, caller: typeof BOB, expected: boolean) =>
    t.is(mayNameNobody({ mode, uid: ALICE.uid, gid: ALICE.gid }, caller), expected, mode.toString(8));
  check(0o777, BOB, true);
  check(0o4644, BOB, false);
  check(0o2755, BOB, false);
  check(0o2745, BOB, false);
  check(0o2745, { ...BOB, groups: [ALICE.gid] }, true);
  for (const owner of [ALICE, ROOT_CALLER]) check(0o6777, owner, true);
});

test('times: given ones and one alone need the owner, the present for both only write permission', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a', { mode: 0o666 });
  const given = { seconds: -5, nanos: 999_999_999 };
  for (const times of [
    { atime: given },
    { atimeNow: true },
    { mtimeNow: true },
    { atimeNow: true, mtime: given },
  ])
    t.is(codeOf(world.as(BOB).setAttributes(inode, times)), 'NOT_PERMITTED');
  const now = world.nowSeconds;
  const touched = unwrap(world.as(BOB).setAttributes(inode, { atimeNow: true, mtimeNow: true }));
  t.deepEqual([touched.atime.seconds, touched.mtime.seconds], [now, now]);
  const set = unwrap(world.as(ALICE).setAttributes(inode, { atime: given, mtime: given }));
  t.deepEqual([set.atime, set.mtime, world.attributes(inode).atime], [given, given, given]);
  t.is(
    codeOf(world.setAttributes(inode, { mtime: { seconds: 1, nanos: 1_000_000_000 } })),
    'INVALID_ARGUMENT',
  );
});
