import { Buffer } from 'node:buffer';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { InodeId } from '../../../src/base/ids.ts';
import { unwrap } from '../../../src/base/result.ts';
import { type Caller, ROOT_CALLER } from '../../../src/core/metadata/commands.ts';
import { FileType } from '../../../src/core/metadata/rows.ts';
import { checkInvariants } from './invariants.ts';
import { ALICE, BOB, bytes, codeOf, newWorld, ROOT, type World } from './world.ts';

const ACCESS = 'system.posix_acl_access';
const DEFAULT = 'system.posix_acl_default';
const CAROL: Caller = { uid: 1003, gid: 103, groups: [500] };
const DAVE: Caller = { uid: 1004, gid: 104, groups: [102, 101] };

/** What acl(5) calls an ACL, said plainly. Without a mask nobody is named. */
interface Plain {
  owner: number;
  users: [uid: number, permissions: number][];
  group: number;
  groups: [gid: number, permissions: number][];
  mask: number | undefined;
  other: number;
}

/** As linux/posix_acl_xattr.h has it, written down once more. */
function packed({ owner, users, group, groups, mask, other }: Plain): Buffer {
  const entry = (tag: number, permissions: number, id = 0xffffffff) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt16LE(tag, 0);
    bytes.writeUInt16LE(permissions, 2);
    bytes.writeUInt32LE(id, 4);
    return bytes;
  };
  return Buffer.concat([
    Buffer.from([2, 0, 0, 0]),
    entry(1, owner),
    ...users.map(([uid, permissions]) => entry(2, permissions, uid)),
    entry(4, group),
    ...groups.map(([gid, permissions]) => entry(8, permissions, gid)),
    ...(mask === undefined ? [] : [entry(16, mask)]),
    entry(32, other),
  ]);
}

const isMinimal = ({ mask }: Plain) => mask === undefined;
const modeOf = ({ owner, group, mask, other }: Plain) => (owner << 6) | ((mask ?? group) << 3) | other;

/** The rules of acl(5), "ACCESS CHECK ALGORITHM"; but as in Linux a mode without a bit for the group has no ACL. */
function allowed(acl: Plain, file: { uid: number; gid: number }, caller: Caller, wanted: number): boolean {
  const has = (permissions: number) => (permissions & wanted) === wanted;
  const isIn = (gid: number) => caller.gid === gid || caller.groups.includes(gid);
  if (caller.uid === file.uid) return has(acl.owner);
  if (acl.mask === 0) return has(isIn(file.gid) ? 0 : acl.other);
  const mask = acl.mask ?? 7;
  for (const [uid, permissions] of acl.users) if (uid === caller.uid) return has(permissions & mask);
  let isMember = false;
  for (const [gid, permissions] of [[file.gid, acl.group] as const, ...acl.groups]) {
    if (!isIn(gid)) continue;
    isMember = true;
    if (has(permissions & mask)) return true;
  }
  return !isMember && has(acl.other);
}

const permissions = fc.integer({ min: 0, max: 7 });
const named = (ids: number[]) =>
  fc.uniqueArray(fc.tuple(fc.constantFrom(...ids), permissions), { selector: ([id]) => id, maxLength: 3 });
const acls: fc.Arbitrary<Plain> = fc
  .record({
    owner: permissions,
    users: named([1001, 1002, 1003, 0]),
    group: permissions,
    groups: named([101, 102, 103, 500]),
    mask: fc.option(permissions, { nil: undefined }),
    other: permissions,
  })
  .map((acl) => ({ ...acl, mask: acl.mask ?? (acl.users.length + acl.groups.length > 0 ? 7 : undefined) }));

function check(t: ExecutionContext, world: World, inode: InodeId, acl: Plain): void {
  const { mode, uid, gid } = world.attributes(inode);
  t.is(mode & 0o777, modeOf(acl));
  const stored = world.state.xattr(ROOT_CALLER, inode, bytes(ACCESS));
  t.deepEqual(stored.ok ? stored.value : undefined, isMinimal(acl) ? undefined : packed(acl));
  for (const caller of [ALICE, BOB, CAROL, DAVE]) {
    for (let wanted = 1; wanted <= 7; wanted += 1) {
      const bits = { read: (wanted & 4) !== 0, write: (wanted & 2) !== 0, execute: (wanted & 1) !== 0 };
      const found = world.state.access(caller, inode, bits).ok;
      t.is(found, allowed(acl, { uid, gid }, caller, wanted), JSON.stringify({ acl, caller, wanted }));
    }
  }
}

/** An ACL under a mode: each side of the three loses what the other does not have. */
function under(acl: Plain, mode: number): Plain {
  const owner = acl.owner & (mode >> 6);
  const other = acl.other & mode;
  return acl.mask === undefined
    ? { ...acl, owner, other, group: acl.group & (mode >> 3) }
    : { ...acl, owner, other, mask: acl.mask & (mode >> 3) };
}

test('an ACL says who may do what, and the mode with it, through chmod and back', async (t) => {
  const world = await newWorld();
  let round = 0;
  fc.assert(
    fc.property(acls, acls, fc.integer({ min: 0, max: 0o777 }), (first, second, mode) => {
      const inode = world.as(ALICE).file(ROOT, `f${round++}`, { mode: 0o640 });
      for (const acl of [first, second]) {
        unwrap(world.as(ALICE).setXattr(inode, ACCESS, packed(acl)));
        check(t, world, inode, acl);
      }
      unwrap(world.setAttributes(inode, { mode }));
      const changed = { ...second, owner: mode >> 6, other: mode & 7 };
      const group = (mode >> 3) & 7;
      check(t, world, inode, isMinimal(second) ? { ...changed, group } : { ...changed, mask: group });
    }),
    { numRuns: 200 },
  );
  checkInvariants(world.state);
});

test('what is made in a directory has its default ACL under its mode, and no umask; without one the umask counts', async (t) => {
  const world = await newWorld();
  const modes = fc.integer({ min: 0, max: 0o777 });
  let round = 0;
  fc.assert(
    fc.property(acls, modes, modes, (acl, mode, umask) => {
      const parent = world.as(ALICE).directory(ROOT, `d${round++}`);
      const made = () => [
        world.file(parent, `file${umask}`, { mode, umask }),
        unwrap(world.makeNode(parent, `dir${umask}`, { mode, umask })).inode,
        unwrap(world.makeNode(parent, `fifo${umask}`, { type: FileType.FIFO, mode, umask })).inode,
      ];
      for (const inode of made()) {
        t.is(world.attributes(inode).mode, mode & ~umask);
        unwrap(
          world.run(world.attributes(inode).type === FileType.DIRECTORY ? 'removeDirectory' : 'unlink', {
            parent,
            name: bytes(nameOf(world, parent, inode)),
          }),
        );
      }
      const before = world.attributes(parent).mode;
      unwrap(world.setXattr(parent, DEFAULT, packed(acl)));
      t.is(world.attributes(parent).mode, before, 'it says nothing of the directory itself');
      for (const inode of made()) {
        check(t, world, inode, under(acl, mode));
        const inherited = world.state.xattr(ROOT_CALLER, inode, bytes(DEFAULT));
        const isDirectory = world.attributes(inode).type === FileType.DIRECTORY;
        t.deepEqual(inherited.ok ? inherited.value : undefined, isDirectory ? packed(acl) : undefined);
      }
      const symlink = { type: FileType.SYMLINK, symlinkTarget: bytes('x'), umask };
      t.like(unwrap(world.makeNode(parent, 'link', symlink)), { mode: 0o777, hasXattrs: false });
    }),
    { numRuns: 100 },
  );
  checkInvariants(world.state);
});

function nameOf(world: World, parent: InodeId, inode: InodeId): string {
  const { tables } = world.state;
  return world.names(parent).find((name) => tables.dirent(parent, bytes(name))?.inode === inode) ?? '';
}

const FULL: Plain = { owner: 7, users: [[1002, 4]], group: 5, groups: [], mask: 5, other: 0 };

test('the way to a file is closed and opened by ACLs of directories', async (t) => {
  const world = await newWorld();
  const home = world.as(ALICE).directory(ROOT, 'home', 0o700);
  const inode = world.file(home, 'f', { mode: 0o644 });
  t.is(codeOf(world.state.unreachable(BOB, inode) ?? { ok: true, value: 0 }), 'PERMISSION_DENIED');
  unwrap(world.setXattr(home, ACCESS, packed({ ...FULL, users: [[1002, 5]] })));
  t.is(world.state.unreachable(BOB, inode), undefined);
  t.is(codeOf(world.state.lookup(BOB, home, bytes('f'))), 'OK');
  t.is(codeOf(world.state.lookup(CAROL, home, bytes('f'))), 'PERMISSION_DENIED');
  t.is(codeOf(world.as(BOB).create(home, 'new')), 'PERMISSION_DENIED');
  unwrap(world.as(ALICE).setXattr(home, ACCESS, packed({ ...FULL, users: [[1002, 7]], mask: 7 })));
  t.is(codeOf(world.as(BOB).create(home, 'new')), 'OK');
});

test('ACLs are changed by the owner and root; who is not in the group loses the set-group-id bit by it', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a', { mode: 0o2775 });
  const directory = world.directory(ROOT, 'd');
  t.is(codeOf(world.as(BOB).setXattr(inode, ACCESS, packed(FULL))), 'NOT_PERMITTED');
  t.is(codeOf(world.removeXattr(inode, ACCESS)), 'NOT_PERMITTED');
  t.is(codeOf(world.as(ALICE).setXattr(inode, ACCESS, packed(FULL))), 'OK');
  t.is(world.attributes(inode).mode, 0o2750);
  t.is(codeOf(world.state.xattr(BOB, inode, bytes(ACCESS))), 'OK', 'everybody sees it');
  unwrap(world.as(ROOT_CALLER).setAttributes(inode, { gid: 900 }));
  unwrap(world.setAttributes(inode, { mode: 0o2770 }));
  unwrap(world.as(ALICE).setXattr(inode, ACCESS, packed(FULL)));
  t.is(world.attributes(inode).mode, 0o750);
  t.is(codeOf(world.setXattr(inode, DEFAULT, packed(FULL))), 'PERMISSION_DENIED', 'no directory');
  t.is(codeOf(world.setXattr(directory, DEFAULT, packed(FULL))), 'OK');
  const symlink = unwrap(world.makeNode(ROOT, 'l', { type: FileType.SYMLINK, symlinkTarget: bytes('a') }));
  t.is(codeOf(world.setXattr(symlink.inode, ACCESS, packed(FULL))), 'UNIMPLEMENTED');
  t.is(codeOf(world.state.xattr(ALICE, symlink.inode, bytes(ACCESS))), 'UNIMPLEMENTED');
});

test('an ACL goes by an empty one, by a minimal one, or by its name; the mode keeps what the mask was in the last case', async (t) => {
  const world = await newWorld();
  const inode = world.as(ALICE).file(ROOT, 'a', { mode: 0o640 });
  const set = () => unwrap(world.setXattr(inode, ACCESS, packed({ ...FULL, group: 1 })));
  t.true(set().hasXattrs);
  for (const [remove, mode] of [
    [() => world.setXattr(inode, ACCESS, ''), 0o750],
    [() => world.setXattr(inode, ACCESS, Buffer.from([2, 0, 0, 0])), 0o750],
    [() => world.removeXattr(inode, ACCESS), 0o750],
    [() => world.setXattr(inode, ACCESS, packed({ ...FULL, users: [], mask: undefined, group: 1 })), 0o710],
  ] as const) {
    set();
    const left = unwrap(remove());
    t.like(left, { mode, hasXattrs: false });
  }
  const before = world.attributes(inode);
  for (const name of [ACCESS, DEFAULT]) {
    t.is(codeOf(world.removeXattr(inode, name)), 'OK', 'there was none to take away');
    t.is(codeOf(world.setXattr(inode, name, '')), 'OK');
  }
  t.is(world.attributes(inode).mode, before.mode);
});

test('what is no ACL is refused', async (t) => {
  const world = await newWorld();
  const inode = world.file(ROOT, 'a');
  const good = packed({ ...FULL, groups: [[5, 5]] });
  const entry = (index: number) => good.subarray(4 + 8 * index, 12 + 8 * index);
  const [header, owner, user, group, groups, mask, other] = [
    good.subarray(0, 4),
    ...[0, 1, 2, 3, 4, 5].map(entry),
  ];
  const of = (...parts: (Buffer | undefined)[]) => Buffer.concat(parts.filter((part) => part !== undefined));
  const changed = (offset: number, byte: number) => {
    const bad = Buffer.from(good);
    bad[offset] = byte;
    return bad;
  };
  const refused: Record<string, Buffer> = {
    'half a header': good.subarray(0, 3),
    'half an entry': good.subarray(0, good.length - 1),
    'another version': changed(0, 3),
    'a tag that nobody knows': changed(4, 3),
    'a permission that nobody knows': changed(6, 8),
    'a user without a number': Buffer.concat([
      good.subarray(0, 16),
      Buffer.alloc(4, 0xff),
      good.subarray(20),
    ]),
    'no owner': of(header, user, group, mask, other),
    'two owners': of(header, owner, owner, user, group, mask, other),
    'no group': of(header, owner, user, mask, other),
    'no others': of(header, owner, user, group, mask),
    'no mask for a user': of(header, owner, user, group, other),
    'no mask for a group': of(header, owner, group, groups, other),
    'out of order': of(header, owner, group, user, mask, other),
  };
  for (const [what, value] of Object.entries(refused))
    t.is(codeOf(world.setXattr(inode, ACCESS, value)), 'INVALID_ARGUMENT', what);
  t.is(codeOf(world.setXattr(inode, ACCESS, of(header, owner, user, group, groups, mask, other))), 'OK');
  const users = (count: number) => Array.from({ length: count }, (_, id): [number, number] => [id, 4]);
  t.is(codeOf(world.setXattr(inode, ACCESS, packed({ ...FULL, users: users(507) }))), 'OK');
  const tooMany = packed({ ...FULL, users: users(508) });
  t.is(codeOf(world.setXattr(inode, ACCESS, tooMany)), 'VALUE_TOO_LARGE', 'no kernel reads it');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (value) => {
      codeOf(world.setXattr(inode, ACCESS, Buffer.from([2, 0, 0, 0, ...value])));
    }),
  );
});
