import { dirname } from 'node:path';
import type { Disk } from '../base/disk.ts';

/** Makes the directory and the missing ones above it, and their names durable. */
export async function makeDurableDirectory(disk: Disk, path: string): Promise<void> {
  const parent = dirname(path);
  if (parent === path) return;
  const wasThere = await disk.exists(path);
  await makeDurableDirectory(disk, parent);
  if (!wasThere) await disk.makeDirectory(path);
  try {
    // Also if it was there: who made it may have been killed before this.
    await disk.syncDirectory(parent);
  } catch (error) {
    // Not every directory on the way may be opened by everybody, and those were not made by us.
    if (!wasThere) throw error;
  }
}
