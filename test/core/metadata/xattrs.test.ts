import { Buffer } from 'node:buffer';
import test from 'ava';
import { XATTR_BYTES_MAX, XATTR_LIST_BYTES_MAX, XATTR_VALUE_BYTES_MAX } from '../../../src/base/constants.ts';
import type { InodeId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { type Caller, ROOT_CALLER } from '../../../src/core/metadata/commands.ts';
import { FileType } from '../../../src/core/metadata/rows.ts';
import { checkInvariants } from './invariants.ts';
import { ALICE, BOB, bytes, codeOf, newWorld, ROOT, type World } from './world.ts';

const CAPABILITY = 'security.capability';

function get(world: World, caller: Caller, inode: InodeId, name: string): string {
  const result = world.state.xattr(caller, inode, bytes(name));
  return result.ok ? result.value.toString('latin1') : result.error.code;
}

function list(world: World, caller: Caller, inode: InodeId): string[] {
  return unwrap(world.state.xattrNames(caller, inode)).map(String);
}

test('an attribute is set, replaced, listed and removed; each change has its ctime', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a');
  t.false(world.attributes(inode).hasXattrs);
  t.is(get(world, ALICE, inode, 'user.b'), 'NO_DATA');
  t.is(codeOf(world.setXattr(inode, 'user.b', 'x', { replace: true })), 'NO_DATA');
  const set = unwrap(world.setXattr(inode, 'user.b', 'one', { create: true }));
  t.true(set.hasXattrs);
  t.is(set.ctime.seconds, world.nowSeconds - 1);
  t.deepEqual(set, world.attributes(inode));
  t.is(codeOf(world.setXattr(inode, 'user.b', 'x', { create: true })), 'EXISTS');
  t.is(codeOf(world.setXattr(inode, 'user.b', '', { replace: true })), 'OK');
  t.is(get(world, ALICE, inode, 'user.b'), '');
  const before = world.attributes(inode);
  t.deepEqual(unwrap(world.setXattr(inode, 'user.b', '')), before, 'the value that it has changes nothing');
  unwrap(world.setXattr(inode, 'user.a', Buffer.from([0, 0xff])));
  t.is(get(world, ALICE, inode, 'user.a'), '\0\xff');
  t.deepEqual(list(world, ALICE, inode), ['user.a', 'user.b']);
  checkInvariants(world.state);
  t.is(codeOf(world.removeXattr(inode, 'user.c')), 'NO_DATA');
  t.true(unwrap(world.removeXattr(inode, 'user.b')).hasXattrs);
  t.false(unwrap(world.removeXattr(inode, 'user.a')).hasXattrs);
  t.deepEqual(list(world, ALICE, inode), []);
  checkInvariants(world.state);
});

test('names: of known namespaces, with something behind the dot, 255 bytes at most', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const check = (name: string, expected: string) => {
    t.is(codeOf(world.setXattr(inode, name, 'x')), expected, `set ${name}`);
    t.is(get(world, ROOT_CALLER, inode, name), expected === 'OK' ? 'x' : expected, `get ${name}`);
    t.is(codeOf(world.removeXattr(inode, name)), expected, `remove ${name}`);
  };
  check('user.\xff \n', 'OK');
  check(`user.${'n'.repeat(250)}`, 'OK');
  check(`user.${'n'.repeat(251)}`, 'NAME_TOO_LONG');
  check('trusted.x', 'OK');
  check('security.x', 'OK');
  for (const name of ['', 'user', 'users.x', 'system.x', 'btrfs.compression']) check(name, 'UNIMPLEMENTED');
  for (const name of ['user.', 'trusted.', 'security.', 'user.a\0b']) check(name, 'INVALID_ARGUMENT');
  t.is(codeOf(world.setXattr(99 as InodeId, 'user.x', '')), 'NOT_FOUND');
});

test('one value and all attributes of an inode have a limit, up to the last byte', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const value = (length: number) => Buffer.alloc(length, 'v');
  t.is(codeOf(world.setXattr(inode, 'user.1', value(XATTR_VALUE_BYTES_MAX + 1))), 'VALUE_TOO_LARGE');
  for (const name of ['user.1', 'user.2', 'user.3'])
    t.is(codeOf(world.setXattr(inode, name, value(XATTR_VALUE_BYTES_MAX))), 'OK');
  const left = XATTR_BYTES_MAX - 3 * XATTR_VALUE_BYTES_MAX - 4 * 'user.1\0'.length;
  t.is(codeOf(world.setXattr(inode, 'user.4', value(left + 1))), 'NO_SPACE');
  t.is(codeOf(world.setXattr(inode, 'user.4', value(left))), 'OK');
  t.is(codeOf(world.setXattr(inode, 'user.5', '')), 'NO_SPACE');
  t.is(codeOf(world.setXattr(inode, 'user.4', value(left))), 'OK', 'what is replaced does not count');

  const many = world.file(ROOT, 'many');
  const name = (index: number) => `user.${String(index).padStart(250, 'n')}`;
  const count = XATTR_LIST_BYTES_MAX / 256;
  for (let index = 0; index < count; index += 1) unwrap(world.setXattr(many, name(index), ''));
  t.is(codeOf(world.setXattr(many, name(count), '')), 'NO_SPACE');
  t.is(list(world, ROOT_CALLER, many).length, count);
});

test('user attributes follow the mode, and are on files and directories only', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a', { mode: 0o640 });
  unwrap(world.setXattr(inode, 'user.x', 'hers'));
  t.is(get(world, BOB, inode, 'user.x'), 'PERMISSION_DENIED');
  t.is(codeOf(world.as(BOB).setXattr(inode, 'user.x', 'his')), 'PERMISSION_DENIED');
  t.is(codeOf(world.removeXattr(inode, 'user.x')), 'PERMISSION_DENIED');
  t.deepEqual(list(world, BOB, inode), ['user.x'], 'names are shown to whoever comes there');
  unwrap(world.as(ALICE).setAttributes(inode, { mode: 0o646 }));
  t.is(codeOf(world.as(BOB).setXattr(inode, 'user.x', 'his')), 'OK');
  const shared = world.as(ALICE).directory(ROOT, 'shared', 0o1777);
  t.is(codeOf(world.as(BOB).setXattr(shared, 'user.x', '')), 'NOT_PERMITTED', 'sticky');
  t.is(codeOf(world.as(ALICE).setXattr(shared, 'user.x', '')), 'OK');
  t.is(codeOf(world.as(BOB).removeXattr(shared, 'user.x')), 'NOT_PERMITTED');
  for (const type of [FileType.SYMLINK, FileType.FIFO]) {
    const node = { type, mode: 0o777, symlinkTarget: bytes('a') };
    const other = unwrap(world.as(ALICE).makeNode(ROOT, `node ${type}`, node)).inode;
    t.is(codeOf(world.setXattr(other, 'user.x', '')), 'NOT_PERMITTED');
    t.is(get(world, ALICE, other, 'user.x'), 'NO_DATA');
    t.is(codeOf(world.as(ROOT_CALLER).setXattr(other, 'trusted.x', '')), 'OK');
  }
  checkInvariants(world.state);
});

test('trusted attributes are there for root alone; those of security everybody sees', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a', { mode: 0o666 });
  for (const name of ['trusted.x', 'security.x']) {
    t.is(codeOf(world.as(ALICE).setXattr(inode, name, '')), 'NOT_PERMITTED');
    t.is(codeOf(world.as(ROOT_CALLER).setXattr(inode, name, 'v')), 'OK');
    t.is(codeOf(world.as(ALICE).removeXattr(inode, name)), 'NOT_PERMITTED');
  }
  t.is(get(world, ALICE, inode, 'trusted.x'), 'NO_DATA');
  t.is(get(world, ALICE, inode, 'security.x'), 'v');
  t.deepEqual(list(world, ALICE, inode), ['security.x']);
  t.deepEqual(list(world, ROOT_CALLER, inode), ['security.x', 'trusted.x']);
});

test('a file loses its capabilities when it is written, cut or given away, and by whoever may write it', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a', { mode: 0o755 });
  const check = (what: string, change: () => unknown, expected: string) => {
    unwrap(world.as(ROOT_CALLER).setXattr(inode, CAPABILITY, 'cap'));
    change();
    t.is(get(world, ALICE, inode, CAPABILITY), expected, what);
    t.is(world.attributes(inode).hasXattrs, expected === 'cap', what);
    checkInvariants(world.state);
  };
  check('commit', () => world.run('commitLength', { inode, length: 5, mtime: undefined }), 'NO_DATA');
  check('truncate', () => world.setAttributes(inode, { length: 0 }), 'NO_DATA');
  check('chown', () => world.setAttributes(inode, { gid: 7 }), 'NO_DATA');
  check('chmod', () => world.setAttributes(inode, { mode: 0o711 }), 'cap');
  check('O_TRUNC', () => world.create(ROOT, 'a', { exclusive: false, truncate: true }), 'NO_DATA');
  check('open', () => world.create(ROOT, 'a', { exclusive: false }), 'cap');
  check('its writer', () => world.as(ALICE).removeXattr(inode, CAPABILITY), 'NO_DATA');
  check('somebody', () => world.as(BOB).removeXattr(inode, CAPABILITY), 'cap');
  const directory = world.as(ROOT_CALLER).directory(ROOT, 'd', 0o755);
  unwrap(world.setXattr(directory, CAPABILITY, 'cap'));
  unwrap(world.setAttributes(directory, { uid: 7 }));
  t.is(get(world, ROOT_CALLER, directory, CAPABILITY), 'cap', 'a directory');
  check('who has it open', () => world.as(BOB).removeXattr(inode, CAPABILITY, true), 'NO_DATA');
  unwrap(world.as(ROOT_CALLER).setXattr(inode, 'security.other', 'x'));
  t.is(codeOf(world.as(ALICE).removeXattr(inode, 'security.other', true)), 'NOT_PERMITTED');
});

test('set-id bits go when a writer says so, whoever he is; he must be able to write', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a', { mode: 0o6755 });
  const drop = (caller: Caller, byOpenFile = false) =>
    world.as(caller).setAttributes(inode, { dropSetIds: true, byOpenFile });
  t.is(codeOf(drop(BOB)), 'PERMISSION_DENIED');
  t.is(world.attributes(inode).mode, 0o6755);
  for (const [caller, byOpenFile] of [
    [BOB, true],
    [ALICE, false],
    [ROOT_CALLER, false],
  ] as const) {
    unwrap(world.as(ALICE).setAttributes(inode, { mode: 0o6755 }));
    t.is(unwrap(drop(caller, byOpenFile)).mode, 0o755);
  }
  // Without group execution the bit goes by a stranger's hand alone.
  for (const [caller, left] of [
    [BOB, 0o745],
    [ALICE, 0o2745],
    [ROOT_CALLER, 0o2745],
  ] as const) {
    unwrap(world.as(ALICE).setAttributes(inode, { mode: 0o6745 }));
    t.is(unwrap(drop(caller, true)).mode, left);
  }
});

test('attributes go with their inode: at the last close of a file, at once of everything else', async (t) => {
  const world = await newWorld();
  const file = world.file(ROOT, 'file');
  const directory = world.directory(ROOT, 'directory');
  const replaced = world.directory(ROOT, 'replaced');
  const symlink = unwrap(
    world.makeNode(ROOT, 'symlink', { type: FileType.SYMLINK, symlinkTarget: bytes('x') }),
  ).inode;
  for (const inode of [file, directory, replaced, symlink]) {
    unwrap(world.setXattr(inode, 'trusted.a', 'x'));
    unwrap(world.setXattr(inode, 'trusted.b', 'x'));
  }
  const place = (name: string) => ({ parent: ROOT, name: bytes(name) });
  unwrap(world.run('unlink', place('symlink')));
  unwrap(
    world.run('rename', {
      ...{ ...place('directory'), newParent: ROOT, newName: bytes('replaced') },
      ...{ noReplace: false, exchange: false },
    }),
  );
  t.is(get(world, ROOT_CALLER, directory, 'trusted.a'), 'x', 'moved with all it has');
  unwrap(world.run('removeDirectory', place('replaced')));
  unwrap(world.run('unlink', place('file')));
  t.is(get(world, ROOT_CALLER, file, 'trusted.a'), 'x', 'somebody may have it open');
  t.is(codeOf(world.setXattr(file, 'user.late', '')), 'OK');
  checkInvariants(world.state);
  world.run('reap', { inodes: [file] });
  checkInvariants(world.state);
});
