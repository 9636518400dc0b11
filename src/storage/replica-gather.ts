import { must } from '../base/assert.ts';
import type { Bytes } from '../base/bytes.ts';
import type { DiskFile } from '../base/disk.ts';
import { GfsError } from '../base/errors.ts';
import { KiB } from '../base/units.ts';
import type { Segment, SegmentMap } from '../core/replica-map.ts';

/** Inline data this close together in the log is read in one call. */
const LOG_GAP_BYTES_MAX = 8 * KiB;

/** What is being written right now: readers take it from memory. */
export interface Pending {
  readonly at: number;
  readonly end: number;
  readonly bytes: Bytes;
}

/** Where the bytes of a replica are at this moment. */
export interface GatherSources {
  readonly log: DiskFile | undefined;
  /** What lies behind it is still being written. */
  readonly logEnd: number;
  readonly data: DiskFile | undefined;
  readonly pendingLog: readonly Pending[];
  readonly pendingData: readonly Pending[];
  /** For people. */
  readonly paths: { readonly log: string; readonly data: string };
}

/**
 * The bytes [start, end) of a chunk, unverified, in a fresh buffer. What is being written is taken from memory.
 * All reads are begun before this returns its promise, so files may be closed and maps changed meanwhile; where
 * bytes are overwritten in place meanwhile, the checksums tell.
 */
export async function gatherBytes(
  sources: GatherSources,
  map: SegmentMap,
  start: number,
  end: number,
): Promise<Buffer> {
  const into = Buffer.allocUnsafeSlow(end - start);
  const reads: Promise<void>[] = [];
  const late: (() => void)[] = [];
  const data: Segment[] = [];
  const inline: Segment[] = [];
  for (const segment of map.within(start, end)) {
    if (segment.source === 'data') data.push(segment);
    else if (segment.source === 'log') inline.push(segment);
    else late.push(() => into.fill(0, segment.start - start, segment.end - start));
  }
  const firstData = data[0];
  const lastData = data.at(-1);
  if (firstData !== undefined && lastData !== undefined) {
    // One call for all, over what lies between them; that is put right when all has been read.
    const target = into.subarray(firstData.start - start, lastData.end - start);
    reads.push(readData(sources, target, firstData.start));
  }
  for (const group of nearby(inline, sources.logEnd)) {
    reads.push(readInline(sources, group, into, start, late));
  }
  await Promise.all(reads);
  for (const copy of late) copy();
  return into;
}

async function readData(
  { data, pendingData, paths }: GatherSources,
  into: Buffer,
  at: number,
): Promise<void> {
  const pending = pendingData.filter((write) => write.at < at + into.length && write.end > at);
  const copies = pending.map((write) => ({ at: write.at, bytes: Buffer.concat(write.bytes) }));
  const whole = copies.find((write) => write.at <= at && write.at + write.bytes.length >= at + into.length);
  if (whole === undefined) {
    // Before the first write to it is done there may be no data file yet.
    if (data === undefined && copies.length === 0) {
      throw new GfsError('IO_ERROR', `${paths.data} is missing`);
    }
    const count = data === undefined ? 0 : await data.read(into, at);
    into.fill(0, count);
  }
  for (const { at: from, bytes } of copies) {
    const start = Math.max(from, at);
    bytes.copy(into, start - at, start - from, Math.min(bytes.length, at + into.length - from));
  }
}

async function readInline(
  { log, logEnd, pendingLog, paths }: GatherSources,
  group: readonly Segment[],
  into: Buffer,
  start: number,
  late: (() => void)[],
): Promise<void> {
  const from = must(group[0], 'a group is not empty').at;
  const to = Math.max(...group.map(logEndOf));
  let bytes: Buffer = Buffer.allocUnsafeSlow(0);
  late.push(() => {
    for (const segment of group) {
      bytes.copy(into, segment.start - start, segment.at - from, logEndOf(segment) - from);
    }
  });
  if (from >= logEnd || to > logEnd) {
    bytes = pendingInline(pendingLog, group, from, to);
    return;
  }
  const found = Buffer.allocUnsafeSlow(to - from);
  if (log === undefined) throw new GfsError('IO_ERROR', `${paths.log} is not open`);
  found.fill(0, await log.read(found, from));
  bytes = found;
}

/** A group of which all is still being written. */
function pendingInline(
  pendingLog: readonly Pending[],
  group: readonly Segment[],
  from: number,
  to: number,
): Buffer {
  const bytes = Buffer.alloc(to - from);
  for (const segment of group) {
    const pending = must(
      pendingLog.find((write) => write.at <= segment.at && segment.at < write.end),
      'what is not in the log yet is being written',
    );
    const whole = Buffer.concat(pending.bytes);
    whole.copy(bytes, segment.at - from, segment.at - pending.at, logEndOf(segment) - pending.at);
  }
  return bytes;
}

/** Segments in the order of the log, in groups that are worth one read each; none spans the log's end. */
function nearby(segments: readonly Segment[], logEnd: number): Segment[][] {
  const groups: Segment[][] = [];
  let end = Number.NEGATIVE_INFINITY;
  for (const segment of [...segments].sort((a, b) => a.at - b.at)) {
    const group = groups.at(-1);
    const far = segment.at - end > LOG_GAP_BYTES_MAX || (segment.at >= logEnd && end <= logEnd);
    if (group !== undefined && !far) group.push(segment);
    else groups.push([segment]);
    end = logEndOf(segment);
  }
  return groups;
}

function logEndOf({ at, start, end }: Segment): number {
  return at + end - start;
}
