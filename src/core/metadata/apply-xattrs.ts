import { XATTR_BYTES_MAX, XATTR_LIST_BYTES_MAX, XATTR_VALUE_BYTES_MAX } from '../../base/constants.ts';
import { ok, type Result, refuse } from '../../base/result.ts';
import { ACCESS_ACL, ACL_BYTES_MAX, type Acl, DEFAULT_ACL, decodeAcl, isMinimal, modeOfAcl } from './acl.ts';
import type { Caller, CommandBodies } from './commands.ts';
import { MAY_WRITE, MODE_PERMISSIONS, mayAccess, withoutForeignSetgid } from './permissions.ts';
import { type Prepare, ready } from './prepared.ts';
import { FileType, type Inode } from './rows.ts';
import type { MetadataState } from './state.ts';
import {
  CAPABILITY,
  forbiddenChange,
  kindOf,
  withAcl,
  withoutXattr,
  withXattr,
  type XattrKind,
} from './xattrs.ts';

export const prepareSetXattr: Prepare<'setXattr'> = (state, body, { context: { caller }, time }) => {
  const found = named(state, body);
  if (!found.ok) return found;
  const { inode, kind } = found.value;
  const forbidden = forbiddenChange(state, caller, inode, kind);
  if (forbidden !== undefined) return forbidden;
  const acl = isAcl(kind) ? decodeAcl(body.value) : undefined;
  const refusal =
    tooLarge(state, body, isAcl(kind) ? ACL_BYTES_MAX : XATTR_VALUE_BYTES_MAX) ??
    (isAcl(kind) ? badAcl(inode, kind, acl) : undefined) ??
    badFlags(state, body);
  if (refusal !== undefined) return refusal;
  return ready(() => {
    const { name, value } = body;
    const before = state.tables.xattr(inode.inode, name);
    const changed =
      acl === undefined
        ? withXattr(state, inode, name, value)
        : kind === 'accessAcl'
          ? withAccessAcl(state, inode, { acl, caller })
          : withDefaultAcl(state, inode, acl);
    const after = state.tables.xattr(inode.inode, name);
    // As on ext4, what is as it was has not changed.
    if (isSame(before, after) && changed.mode === inode.mode) return inode;
    const touched = { ...changed, ctime: time };
    state.tables.putInode(touched);
    return touched;
  });
};

export const prepareRemoveXattr: Prepare<'removeXattr'> = (state, body, { context: { caller }, time }) => {
  const { name, byOpenFile } = body;
  const found = named(state, body);
  if (!found.ok) return found;
  const { inode, kind } = found.value;
  // Whoever may write a file takes its capabilities away by that; a kernel does so in his name, before the write.
  const isWriters = name.equals(CAPABILITY) && inode.type === FileType.REGULAR;
  const mayDrop = isWriters && (byOpenFile || mayAccess(state, caller, inode, MAY_WRITE));
  const forbidden = mayDrop ? undefined : forbiddenChange(state, caller, inode, kind);
  if (forbidden !== undefined) return forbidden;
  const isThere = state.tables.xattr(inode.inode, name) !== undefined;
  // As on Linux's file systems: no ACL is what was asked for.
  if (!isThere) return isAcl(kind) ? ready(() => inode) : noData();
  return ready(() => {
    const touched = { ...withoutXattr(state, inode, name), ctime: time };
    state.tables.putInode(touched);
    return touched;
  });
};

function isSame(before: Buffer | undefined, after: Buffer | undefined): boolean {
  return before === undefined || after === undefined ? before === after : before.equals(after);
}

function isAcl(kind: XattrKind): boolean {
  return kind === 'accessAcl' || kind === 'defaultAcl';
}

function named(
  state: MetadataState,
  { inode: id, name }: Pick<CommandBodies['removeXattr'], 'inode' | 'name'>,
): Result<{ inode: Inode; kind: XattrKind }> {
  const kind = kindOf(name);
  if (!kind.ok) return kind;
  const inode = state.row(id);
  return inode.ok ? ok({ inode: inode.value, kind: kind.value }) : inode;
}

function badAcl(inode: Inode, kind: XattrKind, acl: Acl | undefined): Result<never> | undefined {
  if (acl === undefined) return refuse('INVALID_ARGUMENT', 'this is no ACL as acl(5) describes them');
  const isMisplaced = kind === 'defaultAcl' && inode.type !== FileType.DIRECTORY && acl.length > 0;
  return isMisplaced ? refuse('PERMISSION_DENIED', 'only directories have default ACLs') : undefined;
}

function badFlags(
  state: MetadataState,
  { inode, name, create, replace }: CommandBodies['setXattr'],
): Result<never> | undefined {
  if (!create && !replace) return undefined;
  const isThere = state.tables.xattr(inode, name) !== undefined;
  if (create && isThere) return refuse('EXISTS', 'there is an attribute of that name');
  return replace && !isThere ? noData() : undefined;
}

function tooLarge(
  state: MetadataState,
  { inode, name, value }: CommandBodies['setXattr'],
  bytesMax: number,
): Result<never> | undefined {
  if (value.length > bytesMax) return refuse('VALUE_TOO_LARGE', `an attribute of ${value.length} bytes`);
  let listBytes = name.length + 1;
  let bytes = listBytes + value.length;
  for (const other of state.tables.xattrs(inode)) {
    if (other.name.equals(name)) continue;
    listBytes += other.name.length + 1;
    bytes += other.name.length + 1 + other.valueBytes;
  }
  return listBytes > XATTR_LIST_BYTES_MAX || bytes > XATTR_BYTES_MAX
    ? refuse('NO_SPACE', `the attributes of inode ${inode} would take ${bytes} bytes`)
    : undefined;
}

/** Mode and ACL say the same. What a mode can say has no ACL beside it. */
function withAccessAcl(
  state: MetadataState,
  inode: Inode,
  { acl, caller }: { acl: Acl; caller: Caller },
): Inode {
  if (acl.length === 0) return withoutXattr(state, inode, ACCESS_ACL);
  const bits = (inode.mode & ~MODE_PERMISSIONS) | modeOfAcl(acl);
  const mode = withoutForeignSetgid(bits, caller, inode.gid);
  return isMinimal(acl)
    ? { ...withoutXattr(state, inode, ACCESS_ACL), mode }
    : { ...withAcl(state, inode, ACCESS_ACL, acl), mode };
}

function withDefaultAcl(state: MetadataState, inode: Inode, acl: Acl): Inode {
  return acl.length === 0 ? withoutXattr(state, inode, DEFAULT_ACL) : withAcl(state, inode, DEFAULT_ACL, acl);
}

function noData(): Result<never> {
  return refuse('NO_DATA', 'there is no attribute of that name');
}
