import { codeOf } from '../base/errors.ts';
import { KiB } from '../base/units.ts';
import type { Command } from '../core/metadata/commands.ts';
import type { MetaStoreFile, RoomUse } from '../storage/meta-store-files.ts';
import type { Oplog } from '../storage/oplog.ts';

/** What a command takes of the store at most, with its share of the pages above (measured: a small file takes 300 bytes). */
const STORE_BYTES_PER_COMMAND = 16 * KiB;
/** Each further row that it changes may lie on a page of its own. */
const STORE_PAGE_BYTES = 4 * KiB;
const STORE_BYTES_MIN = 64 * KiB;

/** A command, and how it is logged. */
export interface LogEntry {
  readonly command: Command;
  readonly record: Uint8Array;
}

/**
 * Whether log and store can take these records, asked before anything is written: a command that is in the log and cannot be
 * applied, or is in the log by half, would end the master.
 */
export async function hasRoom(
  { oplog, store }: { oplog: Oplog; store: MetaStoreFile },
  entries: readonly LogEntry[],
  use: RoomUse,
): Promise<boolean> {
  try {
    await oplog.makeRoom(
      entries.map(({ record }) => record),
      use,
    );
    // Long records are long values, which take whole pages.
    const bytes = entries.reduce((sum, entry) => sum + storeBytes(entry), 0);
    await store.makeRoom(Math.max(STORE_BYTES_MIN, bytes), use);
    return true;
  } catch (error) {
    if (codeOf(error) !== 'NO_SPACE') throw error;
    return false;
  }
}

function storeBytes({ command: { body }, record }: LogEntry): number {
  const furtherRows = body.$case === 'setAccessTimes' ? body.value.reads.length - 1 : 0;
  return STORE_BYTES_PER_COMMAND + furtherRows * STORE_PAGE_BYTES + record.length;
}
