import { readFile } from 'node:fs/promises';

/** fcntl(2)'s F_OFD_SETLKW. */
const WAIT_FOR_OPEN_FILE_LOCK = 38;

/**
 * Whether the thread, which waits for our answer, asked for the lock of an open file. The kernel does not say: to it such a lock
 * is like that of a process, with another owner. But it shows the system call that a thread waits in, to whom may look.
 */
export async function waitsForOpenFileLock(thread: number): Promise<boolean> {
  if (thread === 0) return false;
  try {
    // "72 0x3 0x26 0x7ffd...": the call's number, then its arguments.
    const [, , command] = (await readFile(`/proc/${thread}/syscall`, 'latin1')).split(' ');
    return Number(command) === WAIT_FOR_OPEN_FILE_LOCK;
  } catch {
    return false;
  }
}
