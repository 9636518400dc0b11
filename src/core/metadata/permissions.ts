import { type Result, refuse } from '../../base/result.ts';
import { ACCESS_ACL, type Acl, AclTag, aclOf } from './acl.ts';
import type { Caller } from './commands.ts';
import { type Attributes, FileType } from './rows.ts';
import type { MetadataState } from './state.ts';

/** Bits of a permission triple. */
export const MAY_READ = 4;
export const MAY_WRITE = 2;
export const MAY_EXECUTE = 1;

export const MODE_SETUID = 0o4000;
export const MODE_SETGID = 0o2000;
export const MODE_STICKY = 0o1000;
export const MODE_GROUP_EXECUTE = 0o010;
const MODE_GROUP = 0o070;
export const MODE_PERMISSIONS = 0o777;
export const MODE_ALL = 0o7777;
const ALL = 7;

/** As much of a caller as these rules ask about. */
type Person = Pick<Caller, 'uid' | 'gid'> & { readonly groups: readonly number[] };

/** Root may read, write and search everything, and execute what anybody may execute. */
export function mayAccess(
  state: Pick<MetadataState, 'tables'>,
  caller: Caller,
  inode: Attributes,
  wanted: number,
): boolean {
  if (caller.uid === 0) {
    const anyExecute = (inode.mode & 0o111) !== 0 || inode.type === FileType.DIRECTORY;
    return (wanted & MAY_EXECUTE) === 0 || anyExecute;
  }
  const isOwners = caller.uid === inode.uid;
  // As in Linux, an ACL whose mask allows nothing counts for nothing: who is named in it is then one of the others.
  const acl = isOwners || (inode.mode & MODE_GROUP) === 0 ? undefined : aclOf(state, inode, ACCESS_ACL);
  if (acl !== undefined) return aclAllows(acl, caller, inode.gid, wanted);
  const shift = isOwners ? 6 : isInGroup(caller, inode.gid) ? 3 : 0;
  return ((inode.mode >> shift) & wanted) === wanted;
}

/**
 * What acl(5) says of who is not the owner: a user who is named has what his entry has, a member of groups what any one of their
 * entries has, within the mask; who is neither, what others have.
 */
function aclAllows(acl: Acl, caller: Caller, gid: number, wanted: number): boolean {
  const mask = acl.find(({ tag }) => tag === AclTag.MASK)?.permissions ?? ALL;
  const named = acl.find(({ tag, id }) => tag === AclTag.USER && id === caller.uid);
  const groups = acl.filter(
    ({ tag, id }) =>
      (tag === AclTag.OWNING_GROUP && isInGroup(caller, gid)) ||
      (tag === AclTag.GROUP && isInGroup(caller, id)),
  );
  const within = named === undefined ? groups : [named];
  if (within.length > 0) return within.some(({ permissions }) => (permissions & mask & wanted) === wanted);
  return acl.some(({ tag, permissions }) => tag === AclTag.OTHER && (permissions & wanted) === wanted);
}

export function isInGroup(caller: Person, gid: number): boolean {
  return caller.gid === gid || caller.groups.includes(gid);
}

export function isOwner(caller: Person, inode: Pick<Attributes, 'uid'>): boolean {
  return caller.uid === 0 || caller.uid === inode.uid;
}

/** In a sticky directory only an entry's owner, the directory's owner and root may take the entry away. */
export function maySteal(caller: Caller, directory: Attributes, entry: Attributes): boolean {
  return (directory.mode & MODE_STICKY) === 0 || isOwner(caller, entry) || isOwner(caller, directory);
}

export function denied(inode: Attributes): Result<never> {
  return refuse('PERMISSION_DENIED', `the mode of inode ${inode.inode} does not allow it`);
}

/** Who is not in the file's group may not make it run with that group's rights. */
export function withoutForeignSetgid(mode: number, caller: Person, gid: number): number {
  return caller.uid === 0 || isInGroup(caller, gid) ? mode : mode & ~MODE_SETGID;
}

/**
 * After a change of contents or owner, a file no longer runs with its owner's rights. Without group execution, the set-group-id
 * bit means mandatory locking, not rights: it goes only when somebody else's hands were on the file.
 */
export function withoutSetIds({ mode, gid }: Pick<Attributes, 'mode' | 'gid'>, caller: Person): number {
  const groupRuns = (mode & MODE_GROUP_EXECUTE) !== 0;
  return withoutForeignSetgid(mode & ~MODE_SETUID & (groupRuns ? ~MODE_SETGID : MODE_ALL), caller, gid);
}

/** A chown that names nobody is allowed to everybody, unless it takes bits away: that is a change of mode. */
export function mayNameNobody(inode: Pick<Attributes, 'mode' | 'uid' | 'gid'>, caller: Person): boolean {
  return isOwner(caller, inode) || withoutSetIds(inode, caller) === inode.mode;
}

/** Whether there is anything to take away, for somebody at least. */
export function hasSetIds({ mode }: Pick<Attributes, 'mode'>): boolean {
  return (mode & (MODE_SETUID | MODE_SETGID)) !== 0;
}
