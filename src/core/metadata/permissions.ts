import { type Result, refuse } from '../../base/result.ts';
import type { Caller } from './commands.ts';
import { type Attributes, FileType } from './rows.ts';

/** Bits of a permission triple. */
export const MAY_READ = 4;
export const MAY_WRITE = 2;
export const MAY_EXECUTE = 1;

export const MODE_SETUID = 0o4000;
export const MODE_SETGID = 0o2000;
export const MODE_STICKY = 0o1000;
export const MODE_GROUP_EXECUTE = 0o010;
export const MODE_ALL = 0o7777;

/** Root may read, write and search everything, and execute what anybody may execute. */
export function mayAccess(caller: Caller, inode: Attributes, wanted: number): boolean {
  if (caller.uid === 0) {
    const anyExecute = (inode.mode & 0o111) !== 0 || inode.type === FileType.DIRECTORY;
    return (wanted & MAY_EXECUTE) === 0 || anyExecute;
  }
  const shift = caller.uid === inode.uid ? 6 : isInGroup(caller, inode.gid) ? 3 : 0;
  return ((inode.mode >> shift) & wanted) === wanted;
}

export function isInGroup(caller: Caller, gid: number): boolean {
  return caller.gid === gid || caller.groups.includes(gid);
}

export function isOwner(caller: Caller, inode: Attributes): boolean {
  return caller.uid === 0 || caller.uid === inode.uid;
}

/** In a sticky directory only an entry's owner, the directory's owner and root may take the entry away. */
export function maySteal(caller: Caller, directory: Attributes, entry: Attributes): boolean {
  return (directory.mode & MODE_STICKY) === 0 || isOwner(caller, entry) || isOwner(caller, directory);
}

export function denied(inode: Attributes): Result<never> {
  return refuse('PERMISSION_DENIED', `the mode of inode ${inode.inode} does not allow it`);
}

/** After a change of contents or owner, a file no longer runs with its owner's rights: its mode then. */
export function withoutSetIds(caller: Caller, { mode, gid }: Pick<Attributes, 'mode' | 'gid'>): number {
  const groupRuns = (mode & MODE_GROUP_EXECUTE) !== 0;
  // Without group execution, the bit gives no rights. It stays with those who may set it.
  const keepsSetgid = !groupRuns && (caller.uid === 0 || isInGroup(caller, gid));
  return mode & ~MODE_SETUID & (keepsSetgid ? MODE_ALL : ~MODE_SETGID);
}

/** A mode that lacks set-id bits and nothing else: a kernel takes them itself, for who is about to write. */
export function onlyTakesSetIds(inode: Attributes, mode: number): boolean {
  const taken = inode.mode & ~mode;
  return taken !== 0 && (mode | taken) === inode.mode && (taken & ~(MODE_SETUID | MODE_SETGID)) === 0;
}
