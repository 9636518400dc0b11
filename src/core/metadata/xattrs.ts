import { Buffer } from 'node:buffer';
import { NAME_BYTES_MAX } from '../../base/constants.ts';
import { ok, type Result, refuse } from '../../base/result.ts';
import { ACCESS_ACL, type Acl, DEFAULT_ACL, encodeAcl } from './acl.ts';
import type { Caller } from './commands.ts';
import { denied, isOwner, MAY_READ, MAY_WRITE, MODE_STICKY, mayAccess } from './permissions.ts';
import { FileType, type Inode } from './rows.ts';
import type { MetadataState } from './state.ts';

/** Extended attributes: which there are, who may see and change them (xattr(7)), and what becomes of them with their inode. */

export const CAPABILITY: Buffer = Buffer.from('security.capability');
const TRUSTED = 'trusted.';

export type XattrKind = 'user' | 'trusted' | 'security' | 'accessAcl' | 'defaultAcl';

/** What an attribute of this name is. */
export function kindOf(name: Buffer): Result<XattrKind> {
  const text = name.toString('latin1');
  if (name.length > NAME_BYTES_MAX)
    return refuse('NAME_TOO_LONG', `the name of an attribute with ${name.length} bytes`);
  if (name.includes(0)) return refuse('INVALID_ARGUMENT', "an attribute's name holds a zero byte");
  if (name.equals(ACCESS_ACL)) return ok('accessAcl');
  if (name.equals(DEFAULT_ACL)) return ok('defaultAcl');
  for (const space of ['user', 'trusted', 'security'] as const) {
    if (!text.startsWith(`${space}.`)) continue;
    if (name.length > space.length + 1) return ok(space);
    return refuse('INVALID_ARGUMENT', `an attribute of "${space}." needs a name behind that`);
  }
  return refuse('UNIMPLEMENTED', 'attributes are in user., trusted., security., or are POSIX ACLs');
}

/** Who may not see an attribute is told that there is none; but where a mode forbids it. */
export function forbiddenLook(
  state: MetadataState,
  caller: Caller,
  inode: Inode,
  kind: XattrKind,
): Result<never> | undefined {
  switch (kind) {
    case 'user':
      if (!mayHaveUserXattrs(inode)) return refuse('NO_DATA', 'only files and directories have those');
      return mayAccess(state, caller, inode, MAY_READ) ? undefined : denied(inode);
    case 'trusted':
      return caller.uid === 0 ? undefined : refuse('NO_DATA', 'only root sees those');
    case 'security':
      return undefined;
    default:
      return withoutAcl(inode);
  }
}

export function forbiddenChange(
  state: MetadataState,
  caller: Caller,
  inode: Inode,
  kind: XattrKind,
): Result<never> | undefined {
  switch (kind) {
    case 'user':
      if (!mayHaveUserXattrs(inode)) return refuse('NOT_PERMITTED', 'only files and directories have those');
      if (isShared(inode) && !isOwner(caller, inode))
        return refuse('NOT_PERMITTED', 'those of a sticky directory are changed by its owner');
      return mayAccess(state, caller, inode, MAY_WRITE) ? undefined : denied(inode);
    case 'trusted':
    case 'security':
      return caller.uid === 0 ? undefined : refuse('NOT_PERMITTED', 'only root changes those');
    default:
      return (
        withoutAcl(inode) ??
        (isOwner(caller, inode) ? undefined : refuse('NOT_PERMITTED', 'only the owner changes ACLs'))
      );
  }
}

function withoutAcl({ type }: Inode): Result<never> | undefined {
  return type === FileType.SYMLINK ? refuse('UNIMPLEMENTED', 'a symlink has no ACL') : undefined;
}

/** Whether a listing shows the name to the caller. */
export function isListed(name: Buffer, caller: Caller): boolean {
  return caller.uid === 0 || !name.toString('latin1').startsWith(TRUSTED);
}

/** Others could fill the quota of whoever owns a device or a shared directory. */
function mayHaveUserXattrs({ type }: Inode): boolean {
  return type === FileType.REGULAR || type === FileType.DIRECTORY;
}

function isShared({ type, mode }: Inode): boolean {
  return type === FileType.DIRECTORY && (mode & MODE_STICKY) !== 0;
}

/** The inode with the attribute. The caller writes its row, here and below. */
export function withXattr(state: MetadataState, inode: Inode, name: Buffer, value: Uint8Array): Inode {
  state.tables.putXattr(inode.inode, name, value);
  return { ...inode, hasXattrs: true };
}

export function withoutXattr(state: MetadataState, inode: Inode, name: Buffer): Inode {
  if (!inode.hasXattrs || !state.tables.removeXattr(inode.inode, name)) return inode;
  return { ...inode, hasXattrs: state.tables.xattrs(inode.inode, 1).length > 0 };
}

/** The inode goes, and all its attributes with it. */
export function removeXattrs(state: MetadataState, { inode, hasXattrs }: Inode): void {
  if (!hasXattrs) return;
  for (const { name } of state.tables.xattrs(inode)) state.tables.removeXattr(inode, name);
}

export function withAcl(state: MetadataState, inode: Inode, name: Buffer, acl: Acl): Inode {
  return withXattr(state, inode, name, encodeAcl(acl));
}
