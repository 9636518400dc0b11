import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { GfsError } from '../../src/base/errors.ts';
import { mountsAt, topmostMount } from '../mount-table.ts';

// Where nothing of the kernel driver can be used, for it is made for Linux, and of an addon that may not be built.

/** The device that is mounted at a path. */
export async function deviceAt(path: string): Promise<string | undefined> {
  if (process.platform === 'linux') return (await topmostMount(path))?.device;
  return String((await stat(path)).dev);
}

/** Whether a device is still mounted there, be it below another one. */
export async function isMountedAt(path: string, device: string): Promise<boolean> {
  if (process.platform !== 'linux') return (await deviceAt(path)) === device;
  return (await mountsAt(path)).some((entry) => entry.device === device);
}

/** Takes a mount out of the tree, also while files are open there: they work until its process ends. */
export async function unmountByCommand(path: string): Promise<void> {
  let failure: unknown;
  for (const [command, ...argv] of commandsFor(path)) {
    try {
      await promisify(execFile)(command, argv);
      return;
    } catch (error) {
      // A command that is not installed says less than one that failed.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') failure = error;
    }
  }
  const { stderr = '' } = (failure ?? {}) as { stderr?: string };
  throw new GfsError('IO_ERROR', `cannot unmount ${path}: ${stderr.trim() || 'no command for it is there'}`);
}

function commandsFor(path: string): [command: string, ...argv: string[]][] {
  if (process.platform !== 'linux') {
    return [
      ['umount', path],
      ['umount', '-f', path],
    ];
  }
  if (process.getuid?.() === 0) {
    // Without looking at the path, if it can: the answer may be as far away as the cluster.
    return [
      ['umount', '-l', '-c', path],
      ['umount', '-l', path],
    ];
  }
  return [
    ['fusermount', '-u', '-z', '--', path],
    ['fusermount3', '-u', '-z', '--', path],
  ];
}
