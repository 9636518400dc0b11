import { codeOf } from '../base/errors.ts';
import { KiB } from '../base/units.ts';
import type { MetaStoreFile, RoomUse } from '../storage/meta-store-files.ts';
import type { Oplog } from '../storage/oplog.ts';

/** What a command takes of the store at most, with its share of the pages above (measured: a small file takes 300 bytes). */
const STORE_BYTES_PER_COMMAND = 16 * KiB;
const STORE_BYTES_MIN = 64 * KiB;

/**
 * Whether log and store can take these records, asked before anything is written: a command that is in the log and cannot be
 * applied, or is in the log by half, would end the master.
 */
export async function hasRoom(
  { oplog, store }: { oplog: Oplog; store: MetaStoreFile },
  records: readonly Uint8Array[],
  use: RoomUse,
): Promise<boolean> {
  try {
    await oplog.makeRoom(records, use);
    // Long records are long values, which take whole pages.
    const bytes = records.reduce((sum, { length }) => sum + STORE_BYTES_PER_COMMAND + length, 0);
    await store.makeRoom(Math.max(STORE_BYTES_MIN, bytes), use);
    return true;
  } catch (error) {
    if (codeOf(error) !== 'NO_SPACE') throw error;
    return false;
  }
}
