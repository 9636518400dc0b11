import { stat } from 'node:fs/promises';
import type { Logger } from '../src/base/log.ts';

/** The mount of a process that died stays, and answers everything with ENOTCONN: this takes it away. */
export async function detachDeadMount(
  path: string,
  detach: (path: string) => Promise<void>,
  log: Logger,
): Promise<void> {
  // Several may lie on top of each other.
  while (await isDead(path)) {
    log.warn({ path }, 'a dead mount is in the way: detached');
    await detach(path);
  }
}

async function isDead(path: string): Promise<boolean> {
  try {
    await stat(path);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOTCONN';
  }
}
