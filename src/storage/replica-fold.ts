import { MiB } from '../base/units.ts';
import { INLINE_CHUNK_BYTES_MAX, ReplicaContent, ZERO_SEGMENT_BYTES_MIN } from '../core/replica-content.ts';
import type { Segment } from '../core/replica-map.ts';
import type { ReplicaFiles } from './replica-files.ts';
import { chainSeed, encodeRecord } from './replica-format.ts';

/** A fragmented replica is slow to read. */
const SEGMENTS_MAX = 4096;
const SETTLE_BYTES_MAX = 1 * MiB;
/** So much of the data file, or a quarter of it, is worth a fold that gives its room back. */
const ZEROED_BYTES_MAX = 1 * MiB;

/** Whether the replica had better begin a new log; `failedAtBytes`: how long the old one was when that failed, 0: it did not. */
export function isTimeToFold(
  { map, inlineBytes, zeroedBytes }: ReplicaContent,
  { changeBytes, dataBytes }: ReplicaFiles,
  { logBytesMax, failedAtBytes }: { readonly logBytesMax: number; readonly failedAtBytes: number },
): boolean {
  if (changeBytes - failedAtBytes > logBytesMax) return true;
  if (failedAtBytes > 0) return false;
  if (zeroedBytes > 0 && zeroedBytes >= Math.min(ZEROED_BYTES_MAX, dataBytes / 4)) return true;
  return map.segmentCount > SEGMENTS_MAX && inlineBytes > 0;
}

/**
 * Begins a new log for a replica: overwritten data moves from the log to its place in the data file, and a base takes
 * the place of all records. Whatever moment power is lost at, one of two truths is on disk:
 *
 * 1. the old log, in which all that is moved was synced before (the caller has), so the data file's bytes under it
 *    do not matter;
 * 2. the new log, whose base speaks of bytes that were synced in the data file before it got its name.
 *
 * `switched` gets the content as it is in the new files, when these are in use. A chunk that fits stays in its log. Nobody else writes
 * meanwhile; readers who see bytes change under them find that they do not match, and read again.
 */
export async function foldReplica(
  content: ReplicaContent,
  files: ReplicaFiles,
  {
    switched,
    synced,
  }: { switched: (content: ReplicaContent) => void; synced: (sync: () => Promise<void>) => Promise<void> },
): Promise<void> {
  const { segments } = content.map;
  const inDataFile = segments.some((segment) => segment.source === 'data');
  if (!inDataFile && content.length <= INLINE_CHUNK_BYTES_MAX) {
    const inline = await files.gather(content.map, 0, content.length);
    const all: Segment = { start: 0, end: content.length, source: 'log', at: 0 };
    await begin(content, files, inline.length === 0 ? [] : [all], [inline], switched);
    return;
  }
  const folded: Segment[] = [];
  let run: { start: number; end: number } | undefined;
  for (const segment of segments) {
    const kept = staysZero(segment);
    const moves = segment.source === 'log' || (segment.source === 'zero' && !kept);
    if (run !== undefined && (!moves || segment.end - run.start > SETTLE_BYTES_MAX)) {
      await settle(content, files, run);
      run = undefined;
    }
    if (moves) run = { start: run?.start ?? segment.start, end: segment.end };
    const last = folded.at(-1);
    const source = kept ? 'zero' : 'data';
    if (last !== undefined && last.source === source)
      folded[folded.length - 1] = { ...last, end: segment.end };
    else folded.push({ start: segment.start, end: segment.end, source, at: 0 });
  }
  if (run !== undefined) await settle(content, files, run);
  await synced(() => files.syncData());
  await begin(content, files, folded, [], switched);
  await files.trimData(folded.reduce((end, { source, end: to }) => (source === 'data' ? to : end), 0));
  // The base is durable: nothing speaks of the data file's bytes there any more.
  for (const { source, start, end } of folded) if (source === 'zero') await files.punchData(start, end);
}

async function settle(
  content: ReplicaContent,
  files: ReplicaFiles,
  run: { readonly start: number; readonly end: number },
): Promise<void> {
  for (let start = run.start; start < run.end; start += SETTLE_BYTES_MAX) {
    const end = Math.min(run.end, start + SETTLE_BYTES_MAX);
    await files.settle(start, [await files.gather(content.map, start, end)]);
  }
}

async function begin(
  content: ReplicaContent,
  files: ReplicaFiles,
  segments: readonly Segment[],
  inline: readonly Uint8Array[],
  switched: (content: ReplicaContent) => void,
): Promise<void> {
  const base = content.base(segments);
  const encoded = encodeRecord(base, inline, chainSeed(content.record.chunk));
  const { chain, length: baseBytes, inlineAt } = encoded;
  await files.replaceLog(encoded.buffers, { chain, baseBytes }, () =>
    switched(new ReplicaContent(base, inlineAt)),
  );
}

function staysZero(segment: Segment): boolean {
  return segment.source === 'zero' && segment.end - segment.start >= ZERO_SEGMENT_BYTES_MIN;
}
