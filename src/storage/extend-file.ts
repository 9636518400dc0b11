import { Buffer } from 'node:buffer';
import type { DiskFile } from '../base/disk.ts';
import { codeOf } from '../base/errors.ts';
import { MiB } from '../base/units.ts';

const ZEROS = Buffer.alloc(1 * MiB);

/**
 * Fills a file with zeros from `from` on, where it holds nothing that counts, so that what is written there later takes
 * no more of the disk: `wantedBytes`, or only `neededBytes` where that is more, or the disk has no room for more. Resolves
 * to where the zeros end. NO_SPACE: nor is there room for those, and the file ends at `from`.
 */
export async function extendFile(
  file: DiskFile,
  from: number,
  { neededBytes, wantedBytes }: { neededBytes: number; wantedBytes: number },
): Promise<number> {
  if (wantedBytes > neededBytes) {
    try {
      return await fill(file, from, wantedBytes);
    } catch (error) {
      if (codeOf(error) !== 'NO_SPACE') throw error;
    }
  }
  return await fill(file, from, neededBytes);
}

async function fill(file: DiskFile, from: number, lengthBytes: number): Promise<number> {
  const end = from + lengthBytes;
  try {
    for (let at = from; at < end; at += ZEROS.length) {
      await file.write([ZEROS.subarray(0, Math.min(ZEROS.length, end - at))], at);
    }
  } catch (error) {
    // Zeros that did not all get there would keep others on this disk from what little is left.
    if (codeOf(error) === 'NO_SPACE') await file.truncate(from);
    throw error;
  }
  return end;
}
