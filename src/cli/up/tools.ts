import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { GfsError } from '../../base/errors.ts';

const isRoot = () => process.getuid?.() === 0;

/** Which mounts for users other than root, and where it comes from. */
const MOUNTERS = {
  fusermount3: 'Debian, Ubuntu: apt install fuse3; Fedora: dnf install fuse3',
  fusermount: 'Debian, Ubuntu: apt install fuse3; Fedora: dnf install fuse',
} as const;

/** Refuses, in one line that says how to get it, when something that a mount needs of the system is missing. */
export function checkTools(mounter: keyof typeof MOUNTERS = 'fusermount3'): void {
  if (!existsSync('/dev/fuse')) {
    throw new GfsError(
      'UNAVAILABLE',
      '/dev/fuse is missing: load the kernel module with "modprobe fuse" as root',
    );
  }
  if (!isRoot() && !onPath(mounter)) {
    throw new GfsError(
      'UNAVAILABLE',
      `${mounter} is missing, which mounts for users other than root: install it (${MOUNTERS[mounter]})`,
    );
  }
}

export function defaultDataDirectory(): string {
  return isRoot() ? '/var/lib/gfs' : join(homedir(), '.local/share/gfs');
}

/** /mnt/gfs, or ~/gfs for a user who may not create that. */
export function defaultMountPoint(): string {
  const wanted = '/mnt/gfs';
  try {
    if (!existsSync(wanted)) mkdirSync(wanted);
    accessSync(wanted, constants.W_OK);
    return wanted;
  } catch (error) {
    // A dead mount is not an obstacle: it is replaced. Only root has one there.
    return isRoot() && (error as NodeJS.ErrnoException).code !== 'EROFS' ? wanted : join(homedir(), 'gfs');
  }
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => existsSync(join(directory, program)));
}
