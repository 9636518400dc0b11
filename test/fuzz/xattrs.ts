import type { Choices } from './choices.ts';
import type { OperationTable } from './operations.ts';

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
const FLAGS = [0, 0, 0, XATTR_CREATE, XATTR_REPLACE, XATTR_CREATE | XATTR_REPLACE, 4];
const ACCESS_ACL = 'system.posix_acl_access';
const DEFAULT_ACL = 'system.posix_acl_default';
const CAPABILITY = 'security.capability';
/** Few, so that most are there. The usual ones of one file have to fit into a block of ext4, with all their values. */
const NAMES = ['user.a', 'user.b', 'user.%c3%a9%ff', `user.${'n'.repeat(250)}`, 'trusted.a', 'security.a'];
const REFUSED = ['%', 'user.', 'user', 'nothing.a', 'system.nothing', `user.${'m'.repeat(251)}`];
const LENGTHS = [0, 1, 20, 100, 255, 256, 500];
/** One that nobody takes. */
const LENGTH_REFUSED = 64 * 1024 + 1;
const SIZES = [0, 0, 1, 20, 400, 65536];
const ACL_VERSION = 2;
const NOBODY = 0xffff_ffff;
const TAG = { owner: 1, user: 2, owningGroup: 4, group: 8, mask: 16, other: 32 };
/** VFS_CAP_REVISION_2, effective; what is permitted follows, and what is handed down. */
const CAPABILITY_MAGIC = 0x0200_0001;

/** What is done to extended attributes, of names and of open files. */
export const XATTRS: OperationTable = {
  'set xattr': { weight: 5, call: (c) => ['setxattr', c.path(), ...named(c), c.pick(FLAGS)] },
  'fset xattr': { weight: 2, call: (c) => ['fsetxattr', c.slot(), ...named(c), c.pick(FLAGS)] },
  'get xattr': { weight: 3, call: (c) => ['getxattr', c.path(), nameOf(c), c.pick(SIZES)] },
  'fget xattr': { weight: 1, call: (c) => ['fgetxattr', c.slot(), nameOf(c), c.pick(SIZES)] },
  'list xattrs': { weight: 2, call: (c) => ['listxattr', c.path(), c.pick(SIZES)] },
  'remove xattr': { weight: 3, call: (c) => ['removexattr', c.path(), nameOf(c)] },
  'fremove xattr': { weight: 1, call: (c) => ['fremovexattr', c.slot(), nameOf(c)] },
};

function nameOf(choose: Choices): string {
  if (choose.chance(0.05)) return choose.pick(REFUSED);
  if (choose.chance(0.2)) return choose.pick([ACCESS_ACL, ACCESS_ACL, DEFAULT_ACL]);
  return choose.chance(0.05) ? CAPABILITY : choose.pick(NAMES);
}

/** A name, and a value that is one of it most of the time. */
function named(choose: Choices): [name: string, value: string] {
  const name = nameOf(choose);
  if (name === CAPABILITY) return [name, encoded(capability(choose))];
  if (name === ACCESS_ACL || name === DEFAULT_ACL) return [name, encoded(acl(choose))];
  const length = choose.chance(0.01) ? LENGTH_REFUSED : choose.pick(LENGTHS);
  return [name, length === 0 ? '%' : choose.pick(['a', 'b', 'c']).repeat(length)];
}

function capability(choose: Choices): Buffer {
  const value = Buffer.alloc(choose.chance(0.1) ? 7 : 20);
  value.writeUInt32LE(CAPABILITY_MAGIC);
  return value;
}

/** In the kernel's form: a version, then entries of tag, permissions and id. */
function acl(choose: Choices): Buffer {
  const permissions = () => choose.pick([0, 4, 5, 6, 7, 7]);
  const users = [1000, 1001].filter(() => choose.chance(0.5)).map((id) => [TAG.user, id] as const);
  const groups = [1000, 1001].filter(() => choose.chance(0.3)).map((id) => [TAG.group, id] as const);
  const needsMask = users.length + groups.length > 0;
  const hasMask = choose.chance(0.05) ? !needsMask : needsMask || choose.chance(0.2);
  const entries = [
    [TAG.owner, NOBODY] as const,
    ...users,
    [TAG.owningGroup, NOBODY] as const,
    ...groups,
    ...(hasMask ? [[TAG.mask, NOBODY] as const] : []),
    [TAG.other, NOBODY] as const,
  ];
  const value = Buffer.alloc(4 + 8 * entries.length);
  value.writeUInt32LE(choose.chance(0.02) ? 1 : ACL_VERSION);
  for (const [index, [tag, id]] of entries.entries()) {
    value.writeUInt16LE(tag, 4 + 8 * index);
    value.writeUInt16LE(permissions(), 6 + 8 * index);
    value.writeUInt32LE(id, 8 + 8 * index);
  }
  return choose.chance(0.03) ? value.subarray(0, choose.pick([0, 3, 4, value.length - 1])) : value;
}

function encoded(bytes: Buffer): string {
  return bytes.length === 0
    ? '%'
    : [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}
