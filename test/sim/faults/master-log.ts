import type { CommandBody } from '../../../src/core/metadata/commands.ts';
import { decodeCommand } from '../../../src/storage/oplog-codec.ts';
import { decodeBatch, SEGMENT_HEADER_BYTES } from '../../../src/storage/oplog-format.ts';
import type { Cluster } from '../cluster.ts';
import type { SimDisk } from '../sim-disk.ts';

interface LoggedBatch {
  readonly start: number;
  readonly firstPosition: number;
  readonly commands: readonly CommandBody[];
}

/** The newest segment as a process finds it now. */
export function newestSegment(disk: SimDisk): { path: string; batches: LoggedBatch[] } | undefined {
  const path = disk.names
    .filePaths()
    .filter((one) => one.startsWith('/data/oplog/') && one.endsWith('.oplog'))
    .sort()
    .at(-1);
  if (path === undefined) return undefined;
  const file = disk.names.file(path);
  const segment = Buffer.alloc(file.length);
  file.read(segment, 0);
  const batches: LoggedBatch[] = [];
  for (let start = SEGMENT_HEADER_BYTES; ; ) {
    const batch = decodeBatch(segment, start);
    const before = batches.at(-1);
    const expected = before && before.firstPosition + before.commands.length;
    if (batch === undefined || (expected ?? batch.firstPosition) !== batch.firstPosition) break;
    const commands = batch.commands.map((command) => decodeCommand(command).body);
    batches.push({ start, firstPosition: batch.firstPosition, commands });
    start = batch.end;
  }
  return { path, batches };
}

/** The master's machine is off. Removals that were answered and not synced yet may be undone by it. */
export function cutPowerOfMaster({ master, simulation, onLogLost }: Cluster): void {
  const before = newestSegment(master.disk);
  master.powerCut();
  const left = newestSegment(master.disk);
  // A segment begins when all before it is on the disk.
  if (before === undefined || left?.path !== before.path) return;
  const lost = before.batches.slice(left.batches.length).flatMap(({ commands }) => commands);
  if (lost.length === 0) return;
  simulation.trace(`the log loses ${lost.map(({ $case }) => $case).join(', ')}, which were not synced`);
  for (const listener of onLogLost) listener(lost);
}
