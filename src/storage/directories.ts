import { dirname } from 'node:path';
import type { Disk } from '../base/disk.ts';

/** Makes the directory and the missing ones above it, and their names durable. */
export async function makeDurableDirectory(disk: Disk, path: string): Promise<void> {
  if (await disk.exists(path)) return;
  const parent = dirname(path);
  await makeDurableDirectory(disk, parent);
  await disk.makeDirectory(path);
  await disk.syncDirectory(parent);
}
