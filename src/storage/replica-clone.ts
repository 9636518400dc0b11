import type { BaseRecord } from '../core/replica-records.ts';
import type { VersionRecord } from '../core/replica-types.ts';
import { withFile } from './durable-file.ts';
import type { ReplicaPlace } from './replica-files.ts';
import { chainSeed, encodeRecord } from './replica-format.ts';
import type { Kept } from './replica-keeper.ts';

/**
 * Makes another chunk's replica of what this one holds: bytes, checksums, table of appends. All of it is on disk when it
 * resolves; a crash before that leaves files that are nobody's. Nobody changes the replica meanwhile, and what is in its
 * files was synced.
 *
 * The data file is copied as it is, bad blocks and all: checksums tell of them in the clone as they do here. What the log
 * holds of data goes behind the new log's base.
 */
export async function cloneReplica(
  { content, files }: Kept,
  { disk, names, paths }: ReplicaPlace,
  record: VersionRecord,
): Promise<void> {
  const { segments } = content.map;
  const inline: Uint8Array[] = [];
  for (const { source, start, end } of segments) {
    if (source === 'log') inline.push(await files.gather(content.map, start, end));
  }
  const base: BaseRecord = {
    ...content.base(segments.map((segment) => ({ ...segment, at: 0 }))),
    record,
    reconciledVersion: record.version,
  };
  const { buffers } = encodeRecord(base, inline, chainSeed(record.chunk));
  await names.writable();
  await names.make(paths.directory);
  try {
    if (segments.some(({ source }) => source === 'data')) {
      await disk.copy(files.paths.data, paths.data);
      await withFile(disk, paths.data, 'existing', (file) => file.dataSync());
    }
    await withFile(disk, paths.fold, 'exclusive', async (file) => {
      await file.write(buffers, 0);
      await file.dataSync();
    });
    await disk.rename(paths.fold, paths.log);
  } catch (error) {
    await disk.remove(paths.data);
    await disk.remove(paths.fold);
    throw error;
  }
  await names.syncNames(paths.directory);
}
