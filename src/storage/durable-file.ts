import type { Disk, DiskFile, OpenMode } from '../base/disk.ts';
import { codeOf } from '../base/errors.ts';

/** A small file that is replaced as a whole: after a crash it is the old or the new one. Durable when it resolves. */
export async function writeDurably(disk: Disk, path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  await withFile(disk, temporary, 'create', async (file) => {
    await file.truncate(0);
    await file.write([Buffer.from(text)], 0);
    await file.dataSync();
  });
  await disk.rename(temporary, path);
  await disk.syncDirectory(parentOf(path));
}

/** With the parents that are missing; the names of all that it makes are durable when it resolves. */
export async function makeDirectoryDurably(disk: Disk, path: string): Promise<void> {
  const parent = parentOf(path);
  if (parent !== path && !(await disk.exists(parent))) await makeDirectoryDurably(disk, parent);
  await disk.makeDirectory(path);
  await disk.syncDirectory(parent);
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

/** The file is open while `work` goes on. */
export async function withFile<T>(
  disk: Disk,
  path: string,
  mode: OpenMode,
  work: (file: DiskFile) => Promise<T>,
): Promise<T> {
  const file = await disk.open(path, mode);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** Undefined: there is none. */
export async function readWhole(disk: Disk, path: string): Promise<string | undefined> {
  try {
    return await withFile(disk, path, 'read', async (file) => {
      const bytes = Buffer.alloc(await file.size());
      const count = await file.read(bytes, 0);
      return bytes.toString('utf8', 0, count);
    });
  } catch (error) {
    if (codeOf(error) === 'NOT_FOUND') return undefined;
    throw error;
  }
}
