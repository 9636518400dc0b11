import { execFile } from 'node:child_process';
import { open, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { messageOf } from '../../base/errors.ts';

const CONTROL = '/proc/sys/vm/drop_caches';
/** Pages, names and inodes. */
const ALL = '3';

/** The kernel's caches of files, which only root may empty, and not everywhere. */
export class KernelCaches {
  /** Undefined: they can be emptied. */
  readonly whyNot: string | undefined;

  static async look(): Promise<KernelCaches> {
    try {
      await (await open(CONTROL, 'w')).close();
      return new KernelCaches(undefined);
    } catch (error) {
      return new KernelCaches(messageOf(error));
    }
  }

  private constructor(whyNot: string | undefined) {
    this.whyNot = whyNot;
  }

  /** What is not on the disk would stay. */
  async empty(): Promise<void> {
    if (this.whyNot !== undefined) return;
    await promisify(execFile)('sync');
    await writeFile(CONTROL, ALL);
  }
}
