import { checkFd, checkInteger, checkText } from './arguments.ts';
import { binding } from './binding.ts';

/** From <sys/mount.h>: what options such as "ro" mean to mount(2). */
export const MOUNT_FLAGS = {
  readOnly: 1,
  noSetuid: 2,
  noDevices: 4,
  noExecute: 8,
  synchronous: 16,
  dirSync: 128,
  noAtime: 1024,
  noDirAtime: 2048,
} as const;

export interface MountArguments {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly flags: number;
  readonly data: string;
}

/** mount(2). Rejects with the errno's name as `code`. */
export function mount({ source, target, type, flags, data }: MountArguments): Promise<void> {
  return binding().mount(
    checkText(source, 'a source'),
    checkText(target, 'a path'),
    checkText(type, 'a type of file system'),
    checkInteger(flags, 'flags of a mount', { min: 0, max: 0xffffffff }),
    checkText(data, 'options of a mount'),
  );
}

/**
 * umount2(2). Rejects with EBUSY while files are open there; `lazily` takes it out of the tree at once and ends it when
 * they are closed.
 */
export function unmount(target: string, { lazily = false }: { lazily?: boolean } = {}): Promise<void> {
  return binding().unmount(checkText(target, 'a path'), lazily);
}

/** Two connected sockets; `theirs` is for a child process. Both are the caller's to close. */
export function socketPair(): { ours: number; theirs: number } {
  const [ours, theirs] = binding().socketPair();
  return { ours, theirs };
}

/** The descriptor that a process which has ended sent over the socket (SCM_RIGHTS); undefined: it sent none. */
export function receiveDescriptor(socket: number): number | undefined {
  const fd = binding().receiveDescriptor(checkFd(socket));
  return fd < 0 ? undefined : fd;
}
