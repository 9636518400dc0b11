import { Buffer } from 'node:buffer';
import { unreachable } from '../../base/assert.ts';
import type { Inode } from './rows.ts';
import type { Tables } from './tables.ts';

/**
 * POSIX access control lists (acl(5)), as Linux keeps them in extended attributes, little endian: version u32 (2), then for
 * each entry tag u16, permissions u16, id u32 (2^32 - 1 where the tag names nobody).
 */
export interface AclEntry {
  readonly tag: AclTag;
  /** A permission triple. */
  readonly permissions: number;
  /** User or group; of the tags that name one. */
  readonly id: number;
}

/** In order: the owner, named users, the group, named groups, a mask if anybody is named, everybody else. */
export type Acl = readonly AclEntry[];

export const AclTag = {
  OWNER: 0x01,
  USER: 0x02,
  OWNING_GROUP: 0x04,
  GROUP: 0x08,
  MASK: 0x10,
  OTHER: 0x20,
} as const;
export type AclTag = (typeof AclTag)[keyof typeof AclTag];

/** What allows access to an inode beside its mode, and what is made in a directory begins with. */
export const ACCESS_ACL: Buffer = Buffer.from('system.posix_acl_access');
export const DEFAULT_ACL: Buffer = Buffer.from('system.posix_acl_default');

/** More entries no kernel reads: it would refuse all access that they decide on. */
export const ACL_BYTES_MAX = 4096;

const NO_ID = 0xffffffff;
const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
const TAGS: readonly number[] = Object.values(AclTag);
const ALL = 7;

/** No entries: there is to be no ACL. Undefined: this is none. */
export function decodeAcl(value: Buffer): Acl | undefined {
  if (value.length === 0) return [];
  if (value.length < HEADER_BYTES || (value.length - HEADER_BYTES) % ENTRY_BYTES !== 0) return undefined;
  if (value.readUInt32LE(0) !== VERSION) return undefined;
  const acl: AclEntry[] = [];
  for (let at = HEADER_BYTES; at < value.length; at += ENTRY_BYTES) {
    const tag = value.readUInt16LE(at);
    if (!TAGS.includes(tag)) return undefined;
    const id = namesSomebody(tag as AclTag) ? value.readUInt32LE(at + 4) : NO_ID;
    acl.push({ tag: tag as AclTag, permissions: value.readUInt16LE(at + 2), id });
  }
  return acl.length === 0 || isInOrder(acl) ? acl : undefined;
}

export function encodeAcl(acl: Acl): Buffer {
  const value = Buffer.alloc(HEADER_BYTES + acl.length * ENTRY_BYTES);
  value.writeUInt32LE(VERSION, 0);
  acl.forEach(({ tag, permissions, id }, index) => {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    value.writeUInt16LE(tag, at);
    value.writeUInt16LE(permissions, at + 2);
    value.writeUInt32LE(id, at + 4);
  });
  return value;
}

/** Each of the tags that name nobody once, the mask where anybody is named at least; named ones by number of tag. */
function isInOrder(acl: Acl): boolean {
  let last = 0;
  for (const { tag, permissions, id } of acl) {
    const named = namesSomebody(tag);
    if (permissions > ALL || (named && id === NO_ID)) return false;
    if (tag < last || (tag === last && !named)) return false;
    last = tag;
  }
  const has = (tag: AclTag) => acl.some((entry) => entry.tag === tag);
  const needed = has(AclTag.OWNER) && has(AclTag.OWNING_GROUP) && has(AclTag.OTHER);
  return needed && (has(AclTag.MASK) || !acl.some(({ tag }) => namesSomebody(tag)));
}

function namesSomebody(tag: AclTag): boolean {
  return tag === AclTag.USER || tag === AclTag.GROUP;
}

/** Whether it says no more than a mode can. */
export function isMinimal(acl: Acl): boolean {
  return acl.every(({ tag }) => tag === AclTag.OWNER || tag === AclTag.OWNING_GROUP || tag === AclTag.OTHER);
}

/** The mode's nine bits: those of the group are the mask's, if there is one. */
export function modeOfAcl(acl: Acl): number {
  return acl.reduce((mode, entry) => {
    const shift = shiftOf(entry, acl);
    return shift === undefined ? mode : mode | (entry.permissions << shift);
  }, 0);
}

/** The ACL after chmod(2). */
export function withMode(acl: Acl, mode: number): Acl {
  return acl.map((entry) => {
    const shift = shiftOf(entry, acl);
    return shift === undefined ? entry : { ...entry, permissions: (mode >> shift) & ALL };
  });
}

/** What is made with this mode under a default ACL: neither allows more than the other. */
export function inheritedAcl(acl: Acl, mode: number): Acl {
  return acl.map((entry) => {
    const shift = shiftOf(entry, acl);
    return shift === undefined ? entry : { ...entry, permissions: entry.permissions & (mode >> shift) };
  });
}

/** Where the entry's triple is in the mode; undefined: nowhere. */
function shiftOf({ tag }: AclEntry, acl: Acl): number | undefined {
  switch (tag) {
    case AclTag.OWNER:
      return 6;
    case AclTag.MASK:
      return 3;
    case AclTag.OWNING_GROUP:
      return acl.some((entry) => entry.tag === AclTag.MASK) ? undefined : 3;
    case AclTag.OTHER:
      return 0;
    case AclTag.USER:
    case AclTag.GROUP:
      return undefined;
    default:
      return unreachable(tag);
  }
}

export function aclOf(
  { tables }: { readonly tables: Tables },
  { inode, hasXattrs }: Pick<Inode, 'inode' | 'hasXattrs'>,
  name: Buffer,
): Acl | undefined {
  const value = hasXattrs ? tables.xattr(inode, name) : undefined;
  return value && decodeAcl(value);
}
