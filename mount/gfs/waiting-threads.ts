// What the kernel does not say of a request: the system call of the thread that waits for our answer. It shows that in /proc, to
// whom may look.
import { readFile } from 'node:fs/promises';

/** fcntl(2)'s F_OFD_SETLKW. */
const WAIT_FOR_OPEN_FILE_LOCK = 38;

/** chown, fchown, lchown, fchownat; newer architectures have no more than the last and the second. */
const CHANGES_OF_OWNER: Readonly<Partial<Record<NodeJS.Architecture, readonly number[]>>> = {
  x64: [92, 93, 94, 260],
  arm64: [54, 55],
  riscv64: [54, 55],
};

/** Whether it asked for the lock of an open file. To the kernel such a lock is like that of a process, with another owner. */
export async function waitsForOpenFileLock(thread: number): Promise<boolean> {
  const [, , command] = await systemCallOf(thread);
  return command === WAIT_FOR_OPEN_FILE_LOCK;
}

/** Whether it gives a file to somebody, or to nobody; undefined: who knows. */
export async function waitsForChangeOfOwner(thread: number): Promise<boolean | undefined> {
  const [call] = await systemCallOf(thread);
  return call === undefined ? undefined : CHANGES_OF_OWNER[process.arch]?.includes(call);
}

/** The call's number, then its arguments; nothing: who knows. */
async function systemCallOf(thread: number): Promise<readonly number[]> {
  if (thread === 0) return [];
  try {
    // "72 0x3 0x26 0x7ffd..."
    return (await readFile(`/proc/${thread}/syscall`, 'latin1')).split(' ').map(Number);
  } catch {
    return [];
  }
}
