import type { Buffer } from 'node:buffer';
import { REPLICATION_MAX, SYMLINK_BYTES_MAX } from '../../base/constants.ts';
import type { InodeId } from '../../base/ids.ts';
import { type Result, refuse } from '../../base/result.ts';
import { ACCESS_ACL, aclOf, DEFAULT_ACL, inheritedAcl, isMinimal, modeOfAcl } from './acl.ts';
import { badNewChunk, dropExtentsFrom, putFirstChunk, useChunkId } from './chunk-rows.ts';
import type { Caller, Command, CommandBodies } from './commands.ts';
import { badName } from './names.ts';
import {
  denied,
  isInGroup,
  MAY_EXECUTE,
  MAY_READ,
  MAY_WRITE,
  MODE_ALL,
  MODE_GROUP_EXECUTE,
  MODE_PERMISSIONS,
  MODE_SETGID,
  mayAccess,
  withoutSetIds,
} from './permissions.ts';
import { type Prepare, type Prepared, ready } from './prepared.ts';
import { type Attributes, FileType, type Inode, type Time } from './rows.ts';
import type { MetadataState } from './state.ts';
import { CAPABILITY, withAcl, withoutXattr } from './xattrs.ts';

/** Commands that make inodes: files, with a name or without, and other nodes. */

/** Ext4 and xfs encode device numbers in 32 bits. */
const RDEV_MAX = 0xffffffff;

/** By a character device of this number an overlay file system hides the name in the layers below. */
const WHITEOUT_DEVICE = 0;

export const prepareCreateFile: Prepare<'createFile'> = (state, body, command) => {
  const { caller } = command.context;
  const directory = searchable(state, caller, body.parent, body.name);
  if (!directory.ok) return directory;
  const bad = badNewChunk(state, body.firstChunk);
  if (bad) return bad;
  const dirent = state.tables.dirent(body.parent, body.name);
  if (dirent !== undefined) return openExisting(state, state.inodeOf(dirent.inode), { body, command });

  if (!mayAccess(state, caller, directory.value, MAY_WRITE)) return denied(directory.value);
  const refusal = badNewFile(state, body);
  if (refusal) return refusal;
  return ready(() => {
    const inode = newFile(state, directory.value, { ...body, caller, time: command.time });
    addEntry(state, { directory: directory.value, name: body.name, inode, time: command.time });
    putFirstChunk(state, inode, body.firstChunk);
    return { attributes: inode, created: true };
  });
};

/** What open(2) with O_TMPFILE does. */
export const prepareCreateUnnamed: Prepare<'createUnnamed'> = (state, body, { context, time }) => {
  const { caller, session, number } = context;
  const directory = state.directory(body.directory);
  if (!directory.ok) return directory;
  if (!mayAccess(state, caller, directory.value, MAY_WRITE | MAY_EXECUTE)) return denied(directory.value);
  const refusal = badNewChunk(state, body.firstChunk) ?? badNewFile(state, body);
  if (refusal) return refusal;
  return ready(() => {
    const made = newFile(state, directory.value, { ...body, caller, time });
    const inode: Inode = { ...made, linkCount: 0, parent: 0 };
    addInode(state, inode);
    state.tables.putOrphan(inode.inode, { unnamed: { linkable: body.linkable, session, number } });
    putFirstChunk(state, inode, body.firstChunk);
    return inode;
  });
};

function badNewFile(
  state: MetadataState,
  { inode, goal }: { inode: InodeId; goal: number },
): Result<never> | undefined {
  if (isUsed(state, inode)) return idUsed(inode);
  if (goal >= 1 && goal <= REPLICATION_MAX) return undefined;
  return refuse('INVALID_ARGUMENT', `${goal} copies are not possible`);
}

function newFile(
  state: MetadataState,
  directory: Inode,
  made: {
    inode: InodeId;
    mode: number;
    umask?: number | undefined;
    goal: number;
    caller: Caller;
    time: Time;
  },
): Inode {
  const { inode, mode, umask, goal, caller, time } = made;
  const fresh = newInode(directory, { id: inode, type: FileType.REGULAR, mode, caller, time, goal });
  return withRights(state, directory, fresh, umask);
}

/** What open(2) with O_CREAT does when the name is taken. */
function openExisting(
  state: MetadataState,
  inode: Inode,
  { body, command }: { body: CommandBodies['createFile']; command: Command },
): Prepared<{ attributes: Attributes; created: boolean }> {
  const { caller } = command.context;
  if (body.exclusive) return refuse('EXISTS', 'there is an entry of that name');
  if (inode.type === FileType.DIRECTORY) return refuse('IS_DIRECTORY', `inode ${inode.inode} is a directory`);
  if (inode.type !== FileType.REGULAR)
    return refuse('EXISTS', 'there is an entry of that name, and it is no file');
  const wanted = (body.read ? MAY_READ : 0) | (body.write || body.truncate ? MAY_WRITE : 0);
  if (!mayAccess(state, caller, inode, wanted)) return denied(inode);
  return ready(() => {
    useChunkId(state, body.firstChunk);
    if (!body.truncate) return { attributes: inode, created: false };
    const emptied = truncatedToNothing(withoutXattr(state, inode, CAPABILITY), {
      caller,
      time: command.time,
    });
    dropExtentsFrom(state, inode.inode, 0);
    putFirstChunk(state, emptied, body.firstChunk);
    state.tables.putInode(emptied);
    return { attributes: emptied, created: false };
  });
}

function truncatedToNothing(inode: Inode, { caller, time }: { caller: Caller; time: Time }): Inode {
  const mode = caller.uid === 0 ? inode.mode : withoutSetIds(inode, caller);
  const truncations = inode.truncations + 1;
  return { ...inode, length: 0, holeBytes: 0, truncations, mode, mtime: time, ctime: time };
}

export const prepareMakeNode: Prepare<'makeNode'> = (state, body, { context: { caller }, time }) => {
  const directory = roomFor(state, caller, body.parent, body.name);
  if (!directory.ok) return directory;
  if (isUsed(state, body.inode)) return idUsed(body.inode);
  const bad = badNode(body, caller);
  if (bad) return bad;
  return ready(() => {
    const isDirectory = body.type === FileType.DIRECTORY;
    const isSymlink = body.type === FileType.SYMLINK;
    const fresh = newInode(directory.value, {
      id: body.inode,
      type: body.type,
      mode: isSymlink ? 0o777 : body.mode,
      caller,
      time,
      goal: 0,
    });
    const inode: Inode = {
      ...(isSymlink ? fresh : withRights(state, directory.value, fresh, body.umask)),
      linkCount: isDirectory ? 2 : 1,
      length: isSymlink ? body.symlinkTarget.length : 0,
      rdev: isDevice(body.type) ? body.rdev : 0,
    };
    addEntry(state, { directory: directory.value, name: body.name, inode, time });
    if (isSymlink) state.tables.putSymlink(inode.inode, body.symlinkTarget);
    return inode;
  });
};

function badNode(
  { type, symlinkTarget, rdev }: CommandBodies['makeNode'],
  caller: Caller,
): Result<never> | undefined {
  switch (type) {
    case FileType.DIRECTORY:
    case FileType.FIFO:
    case FileType.SOCKET:
      return undefined;
    case FileType.SYMLINK:
      if (symlinkTarget.length === 0) return refuse('NOT_FOUND', 'a symlink to nothing');
      if (symlinkTarget.includes(0))
        return refuse('INVALID_ARGUMENT', "a symlink's target holds a zero byte");
      if (symlinkTarget.length <= SYMLINK_BYTES_MAX) return undefined;
      return refuse('NAME_TOO_LONG', `a symlink's target of ${symlinkTarget.length} bytes`);
    case FileType.BLOCK_DEVICE:
    case FileType.CHARACTER_DEVICE:
      // As on Linux, where whiteouts are no devices that anything could be done with.
      if (caller.uid !== 0 && !(type === FileType.CHARACTER_DEVICE && rdev === WHITEOUT_DEVICE))
        return refuse('NOT_PERMITTED', 'only root makes devices');
      return rdev <= RDEV_MAX ? undefined : refuse('INVALID_ARGUMENT', 'a bad device number');
    default:
      return refuse('INVALID_ARGUMENT', `a node of type ${type}`);
  }
}

function isDevice(type: FileType): boolean {
  return type === FileType.BLOCK_DEVICE || type === FileType.CHARACTER_DEVICE;
}

/** Leaves a whiteout at a name that is free now. Its directory's row is read here: it may just have been written. */
export function addWhiteout(
  state: MetadataState,
  { parent, name, inode }: { parent: InodeId; name: Buffer; inode: InodeId },
  { context: { caller }, time }: Command,
): void {
  const directory = state.inodeOf(parent);
  const made = { id: inode, type: FileType.CHARACTER_DEVICE, mode: 0, caller, time, goal: 0 };
  const fresh = withRights(state, directory, newInode(directory, made));
  addEntry(state, { directory, name, inode: { ...fresh, rdev: WHITEOUT_DEVICE }, time });
}

/** The directory, if the caller may look names up in it and this is a name. */
export function searchable(
  state: MetadataState,
  caller: Caller,
  parent: InodeId,
  name: Buffer,
): Result<Inode> {
  const directory = state.directory(parent);
  if (!directory.ok) return directory;
  if (!mayAccess(state, caller, directory.value, MAY_EXECUTE)) return denied(directory.value);
  return badName(name) ?? directory;
}

/** The directory, if the caller may make an entry of this name in it. As in Linux, EXISTS goes before the mode. */
function roomFor(state: MetadataState, caller: Caller, parent: InodeId, name: Buffer): Result<Inode> {
  const directory = searchable(state, caller, parent, name);
  if (!directory.ok) return directory;
  if (state.tables.dirent(parent, name)) return refuse('EXISTS', 'there is an entry of that name');
  return mayAccess(state, caller, directory.value, MAY_WRITE) ? directory : denied(directory.value);
}

function newInode(
  directory: Inode,
  made: { id: InodeId; type: FileType; mode: number; caller: Caller; time: Time; goal: number },
): Inode {
  const { id, type, caller, time, goal } = made;
  // A setgid directory hands its group down, and to directories the bit itself.
  const inherits = (directory.mode & MODE_SETGID) !== 0;
  const gid = inherits ? directory.gid : caller.gid;
  let mode = made.mode & MODE_ALL;
  if (type === FileType.DIRECTORY) {
    if (inherits) mode |= MODE_SETGID;
  } else if (mode & MODE_SETGID && mode & MODE_GROUP_EXECUTE && caller.uid !== 0 && !isInGroup(caller, gid)) {
    // Else anybody could make a program that runs with the directory's group.
    mode &= ~MODE_SETGID;
  }
  return {
    inode: id,
    type,
    mode,
    linkCount: 1,
    uid: caller.uid,
    gid,
    length: 0,
    rdev: 0,
    atime: time,
    mtime: time,
    ctime: time,
    btime: time,
    goal,
    truncations: 0,
    hasXattrs: false,
    holeBytes: 0,
    parent: directory.inode,
  };
}

/** A directory's default ACL says what is allowed of the mode, and is handed down; where there is none, the umask says. */
function withRights(state: MetadataState, directory: Inode, inode: Inode, umask = 0): Inode {
  const acl = aclOf(state, directory, DEFAULT_ACL);
  if (acl === undefined) return { ...inode, mode: inode.mode & ~(umask & MODE_PERMISSIONS) };
  const own = inheritedAcl(acl, inode.mode);
  const mode = (inode.mode & ~MODE_PERMISSIONS) | modeOfAcl(own);
  const allowed = isMinimal(own) ? inode : withAcl(state, inode, ACCESS_ACL, own);
  const heir = inode.type === FileType.DIRECTORY ? withAcl(state, allowed, DEFAULT_ACL, acl) : allowed;
  return { ...heir, mode };
}

function addEntry(
  state: MetadataState,
  { directory, name, inode, time }: { directory: Inode; name: Buffer; inode: Inode; time: Time },
): void {
  state.tables.putDirent(directory.inode, name, { inode: inode.inode, type: inode.type });
  addInode(state, inode);
  // A directory's ".." is a link to its parent.
  const linkCount = directory.linkCount + (inode.type === FileType.DIRECTORY ? 1 : 0);
  state.tables.putInode({ ...directory, linkCount, mtime: time, ctime: time });
}

function addInode(state: MetadataState, inode: Inode): void {
  state.tables.putInode(inode);
  state.progress.nextInode = Math.max(state.progress.nextInode, inode.inode + 1);
  state.progress.inodeCount += 1;
}

/** Ids are dealt upwards but may be logged out of turn: below the counter, the row tells. */
export function isUsed(state: MetadataState, inode: InodeId): boolean {
  return inode < state.progress.nextInode && state.tables.inode(inode) !== undefined;
}

export function idUsed(inode: InodeId): Result<never> {
  return refuse('INVALID_ARGUMENT', `inode id ${inode} was used before`);
}
