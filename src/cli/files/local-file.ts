import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { GfsError } from '../../base/errors.ts';
import type { Time } from '../../rpc/messages.ts';
import { passingName } from './atomic-file.ts';
import type { Files } from './files.ts';
import { named } from './named-error.ts';
import { directoryName, joinPath } from './places.ts';

export interface NewLocalFile {
  /** Permission bits. */
  readonly mode: number;
  readonly mtime: Time;
}

/**
 * Makes a local file that appears under its name when it is whole, in the place of what is there. Until then it is a hidden
 * file beside it, which goes when this fails or is ended.
 */
export async function writeLocalAtomically(
  files: Files,
  path: Buffer,
  { mode, mtime }: NewLocalFile,
  write: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  const passing = joinPath(directoryName(path), passingName(files));
  try {
    const handle = await open(passing, 'wx', 0o600);
    try {
      await write(handle);
      await handle.chmod(mode);
      await setLocalTimes(handle, mtime);
    } finally {
      await handle.close();
    }
    files.signal.throwIfAborted();
    await rename(passing, path);
  } catch (error) {
    await unlink(passing).catch(() => undefined);
    // What the cluster says is about the source.
    throw error instanceof GfsError ? error : named(path, error);
  }
}

export async function setLocalTimes(
  target: { utimes(atime: number, mtime: number): Promise<void> },
  mtime: Time,
): Promise<void> {
  const seconds = mtime.seconds + mtime.nanos / 1e9;
  await target.utimes(seconds, seconds);
}
