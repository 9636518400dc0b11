import type { Buffer } from 'node:buffer';
import type { InodeId } from '../../base/ids.ts';
import { ok, type Result, refuse } from '../../base/result.ts';
import { removeAppenders } from './appenders.ts';
import { searchable } from './apply-create.ts';
import type { Caller, Removed } from './commands.ts';
import { withoutLink } from './links.ts';
import { denied, MAY_WRITE, mayAccess, maySteal } from './permissions.ts';
import { type Prepare, ready } from './prepared.ts';
import { FileType, type Inode, type Time } from './rows.ts';
import type { MetadataState } from './state.ts';
import { removeXattrs } from './xattrs.ts';

/** Commands that take a name away. */

const NO_NAME = new Uint8Array(0);

export const prepareUnlink: Prepare<'unlink'> = (state, { parent, name }, { context: { caller }, time }) => {
  const found = removable(state, caller, parent, name);
  if (!found.ok) return found;
  const { directory, inode } = found.value;
  if (inode.type === FileType.DIRECTORY) return refuse('IS_DIRECTORY', `inode ${inode.inode} is a directory`);
  return ready(() => takeName(state, { directory, name, inode }, time));
};

export const prepareRemoveDirectory: Prepare<'removeDirectory'> = (
  state,
  { parent, name },
  { context: { caller }, time },
) => {
  const found = removable(state, caller, parent, name);
  if (!found.ok) return found;
  const { directory, inode } = found.value;
  if (inode.type !== FileType.DIRECTORY)
    return refuse('NOT_DIRECTORY', `inode ${inode.inode} is no directory`);
  if (!isEmpty(state, inode.inode)) return refuse('NOT_EMPTY', `directory ${inode.inode} is not empty`);
  return ready(() => takeDirectory(state, { directory, name, inode }, time));
};

/** A name that may be taken away, where it is and what it means. */
export interface RemovableName {
  readonly directory: Inode;
  readonly name: Buffer;
  readonly inode: Inode;
}

/** Of anything but a directory. */
export function takeName(
  state: MetadataState,
  { directory, name, inode }: RemovableName,
  time: Time,
): Removed {
  state.tables.removeDirent(directory.inode, name);
  state.tables.putInode({ ...directory, mtime: time, ctime: time });
  return { inode: dropLink(state, inode, { directory: directory.inode, time }) };
}

/** Of an empty directory. */
export function takeDirectory(state: MetadataState, entry: RemovableName, time: Time): Removed {
  takeDirectoryName(state, entry, time);
  return { inode: removeEmptyDirectory(state, entry.inode, time) };
}

/** The name alone. */
export function takeDirectoryName(
  state: MetadataState,
  { directory, name }: RemovableName,
  time: Time,
): void {
  state.tables.removeDirent(directory.inode, name);
  state.tables.putInode({ ...directory, linkCount: directory.linkCount - 1, mtime: time, ctime: time });
}

/** The entry and its directory, if the caller may take the name away. */
export function removable(
  state: MetadataState,
  caller: Caller,
  parent: InodeId,
  name: Buffer,
): Result<{ directory: Inode; inode: Inode }> {
  const directory = searchable(state, caller, parent, name);
  if (!directory.ok) return directory;
  const dirent = state.tables.dirent(parent, name);
  if (dirent === undefined) return refuse('NOT_FOUND', 'no such entry');
  if (!mayAccess(state, caller, directory.value, MAY_WRITE)) return denied(directory.value);
  const inode = state.inodeOf(dirent.inode);
  if (!maySteal(caller, directory.value, inode)) {
    return refuse('NOT_PERMITTED', 'in a sticky directory only the owner removes an entry');
  }
  return ok({ directory: directory.value, inode });
}

export function isEmpty(state: MetadataState, directory: InodeId): boolean {
  return state.tables.dirents(directory, NO_NAME, 1).entries.length === 0;
}

/**
 * The inode with one link less, of those in the directory. With none left, a file becomes an orphan, since somebody may
 * have it open; the master reaps it when nobody has. Everything else goes at once.
 */
export function dropLink(
  state: MetadataState,
  inode: Inode,
  { directory, time }: { directory: InodeId; time: Time },
): Inode {
  const left: Inode = { ...withoutLink(state, inode, directory), ctime: time };
  if (left.linkCount > 0) {
    state.tables.putInode(left);
  } else if (inode.type === FileType.REGULAR) {
    state.tables.putInode(left);
    state.tables.putOrphan(inode.inode, { unnamed: undefined });
  } else {
    if (inode.type === FileType.SYMLINK) state.tables.removeSymlink(inode.inode);
    removeInode(state, inode);
  }
  return left;
}

/** The caller takes the link of its ".." off the parent. */
export function removeEmptyDirectory(state: MetadataState, inode: Inode, time: Time): Inode {
  removeInode(state, inode);
  return { ...inode, linkCount: 0, ctime: time };
}

/** The row and the attributes of what has no name and is not open. */
export function removeInode(state: MetadataState, inode: Inode): void {
  removeXattrs(state, inode);
  if (inode.type === FileType.REGULAR) removeAppenders(state, inode.inode);
  state.tables.removeInode(inode.inode);
  state.progress.inodeCount -= 1;
}
