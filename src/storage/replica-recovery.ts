import { assert } from '../base/assert.ts';
import { checksumsOf } from '../base/crc.ts';
import type { Disk, DiskFile } from '../base/disk.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { KiB } from '../base/units.ts';
import { ReplicaContent } from '../core/replica-content.ts';
import type { BaseRecord, ChangeRecord, ReplicaRecord, WriteRecord } from '../core/replica-records.ts';
import type { Rules } from '../core/rules.ts';
import { ReplicaFiles, type ReplicaPlace } from './replica-files.ts';
import { chainSeed, encodeRecord, scanRecord } from './replica-format.ts';

/**
 * What opening a replica's files finds, and what becomes of it. (Tests name these letters.)
 *
 *         log            its tail         power     data behind the      replica            files
 *                                         lost      last mark
 *     A   missing        -                -         -                    none               data removed
 *     B   ends in base,  -                -         -                    none               all removed
 *         or unwritten
 *     C   base damaged   -                -         -                    lost: CORRUPT      kept for people
 *     D   base whole     whole            no        not looked at        as recorded        -
 *     E   base whole     torn             no        not looked at        as recorded        tail cut
 *     F   base whole     damaged          no        not looked at        prefix, not whole  log rewritten
 *     G   base whole     whole            yes       matches              all, not whole     -
 *     H   base whole     whole            yes       differs or missing   prefix, not whole  log rewritten
 *     I   base whole     torn or damaged  yes       any                  prefix, not whole  log rewritten
 *     J   any of D to I, and the data file is missing or short           not whole          -
 *
 * *Torn*: the file ends within a record whose header is right; only the last write before a kill looks so, and nobody
 * was told of it (B likewise: a log gets its name durably only after its base). *Unwritten*: it begins with a sector of
 * zeros; the name and a length reached the disk before the first sync, the base did not. *Damaged*: anything else that is not a
 * record. *Power lost*: the epoch of the last mark is not the store's: what was written since may be there in any
 * part. Then bytes in the data file are taken only as far as they match the checksums of the records; without a loss
 * of power the OS kept them all, and reads verify them. After a loss of power the last records may also be gone without
 * a trace, so nothing is whole (P7). Rewritten logs carry `not whole`; in D, E and G nothing needs to be written. A log is
 * rewritten beside the old one, or in place where a full disk leaves no room for that.
 */
export type RecoveryCase = 'A' | 'B' | 'C' | 'D' | 'E' | 'F' | 'G' | 'H' | 'I';

export interface RecoveredReplica {
  readonly content: ReplicaContent;
  readonly files: ReplicaFiles;
  readonly found: RecoveryCase;
}

export interface RecoveryOptions {
  readonly place: ReplicaPlace;
  readonly chunk: number;
  /** The store's: another one in the log means that power was lost since. */
  readonly epoch: string;
  /** This process synced all of it already. */
  readonly synced: boolean;
  readonly withoutRules?: Rules;
}

/** Undefined in the cases A and B; CORRUPT in case C. */
export async function recoverReplica(options: RecoveryOptions): Promise<RecoveredReplica | undefined> {
  const { disk, paths } = options.place;
  const log = await openUnlessMissing(disk, paths.log);
  if (log === undefined) {
    await disk.remove(paths.data);
    return undefined;
  }
  const opened: DiskFile[] = [log];
  try {
    return await recoverFromLog(options, log, opened);
  } catch (error) {
    await Promise.all(opened.map((file) => file.close()));
    throw error;
  }
}

async function recoverFromLog(
  options: RecoveryOptions,
  log: DiskFile,
  opened: DiskFile[],
): Promise<RecoveredReplica | undefined> {
  const { chunk, epoch } = options;
  const { disk, paths } = options.place;
  const bytes = await readAll(log);
  const scan = scanLog(bytes, chunk);
  if (scan === undefined) {
    await log.close();
    await disk.remove(paths.data);
    await disk.remove(paths.log);
    return undefined;
  }
  const content = new ReplicaContent(scan.base, scan.baseInlineAt);
  const powerLost = scan.epoch !== epoch;
  const dataHeld = scan.base.segments.some((segment) => segment.source === 'data');
  const wantsData = dataHeld || scan.changes.some(({ record }) => isInDataFile(record));
  const data = wantsData ? await openUnlessMissing(disk, paths.data) : undefined;
  if (data !== undefined) opened.push(data);

  const applied = await replay(content, scan, powerLost ? data : 'trusted');
  const cut = applied.count < scan.changes.length;
  const found = caseOf({ tail: scan.tail, powerLost, cut });
  const dataBytes = data === undefined ? 0 : await data.size();
  const isWhole = !powerLost || options.withoutRules?.has('P7') === true;
  if (!isWhole || dataBytes < lastDataEnd(content)) content.noteDamage();

  const files = new ReplicaFiles(options.place, chunk);
  const { end, chain } = applied;
  files.adopt(log, data, { end, chain, baseBytes: scan.baseEnd, dataBytes, synced: options.synced });
  if (found === 'E') await log.truncate(applied.end);
  if (found === 'F' || found === 'H' || found === 'I') {
    content.noteDamage();
    const mark = { kind: 'mark', epoch, whole: false } as const;
    const encoded = encodeRecord(mark, [], applied.chain);
    await files.syncData();
    const state = { chain: encoded.chain, baseBytes: scan.baseEnd };
    const apply = () => content.apply(mark, 0);
    try {
      await files.replaceLog([bytes.subarray(0, applied.end), ...encoded.buffers], state, apply);
    } catch (error) {
      const hasRoom = bytes.length - applied.end >= encoded.length;
      if (codeOf(error) !== 'NO_SPACE' || !hasRoom) throw error;
      // On a full disk the mark takes the place of what does not count. Until the rest is cut off, the log has a damaged tail.
      await log.write(encoded.buffers, applied.end);
      await log.dataSync();
      await log.truncate(applied.end + encoded.length);
      const rewritten = { ...state, end: applied.end + encoded.length, dataBytes, synced: false };
      files.adopt(log, data, rewritten);
      apply();
    }
  }
  return { content, files, found };
}

export interface ScannedChange {
  readonly record: ChangeRecord;
  readonly inlineAt: number;
  /** Log position and chain behind it. */
  readonly end: number;
  readonly chain: number;
}

export interface Scan {
  readonly base: BaseRecord;
  readonly baseInlineAt: number;
  readonly baseEnd: number;
  readonly baseChain: number;
  readonly changes: readonly ScannedChange[];
  readonly tail: 'end' | 'torn' | 'damaged';
  /** Of the last mark, and how many changes there are up to it. */
  readonly epoch: string;
  readonly markedCount: number;
}

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512;

/** The first sector never reached the disk: a log that nobody synced, since a sync covers its base. */
function beginsUnwritten(log: Uint8Array): boolean {
  return log.subarray(0, SECTOR_BYTES).every((byte) => byte === 0);
}

/** What a log holds as far as it is whole. Undefined: the log ends within its base, or its base never reached the disk. */
export function scanLog(log: Uint8Array, chunk: number): Scan | undefined {
  const first = scanRecord(log, 0, chainSeed(chunk));
  if (first.kind === 'end' || first.kind === 'torn' || beginsUnwritten(log)) return undefined;
  if (first.kind === 'damaged' || first.record.kind !== 'base' || first.record.record.chunk !== chunk) {
    throw new GfsError('CORRUPT', `the log of chunk ${hex(chunk)} does not begin with its base`);
  }
  const changes: ScannedChange[] = [];
  let { epoch } = first.record;
  let markedCount = 0;
  let end = first.length;
  let { chain } = first;
  for (;;) {
    const next = scanRecord(log, end, chain);
    if (next.kind !== 'record') {
      const base = first.record;
      const baseAt = { baseInlineAt: first.inlineAt, baseEnd: first.length, baseChain: first.chain };
      return { base, ...baseAt, changes, tail: next.kind, epoch, markedCount };
    }
    assert(next.record.kind !== 'base', 'a log has one base');
    const inlineAt = end + next.inlineAt;
    end += next.length;
    chain = next.chain;
    changes.push({ record: next.record, inlineAt, end, chain });
    if ('epoch' in next.record) {
      epoch = next.record.epoch;
      markedCount = changes.length;
    }
  }
}

/** Applies the changes, after a loss of power only as far as the data file holds what they say. */
async function replay(
  content: ReplicaContent,
  scan: Scan,
  data: DiskFile | undefined | 'trusted',
): Promise<{ count: number; end: number; chain: number }> {
  let count = 0;
  let end = scan.baseEnd;
  let chain = scan.baseChain;
  for (const change of scan.changes) {
    const { record } = change;
    if (data !== 'trusted' && count >= scan.markedCount && isInDataFile(record)) {
      if (data === undefined || !(await dataMatches(content, record, data))) break;
    }
    content.apply(record, change.inlineAt);
    ({ end, chain } = change);
    count += 1;
  }
  return { count, end, chain };
}

async function dataMatches(content: ReplicaContent, record: WriteRecord, data: DiskFile): Promise<boolean> {
  const bytes = Buffer.allocUnsafeSlow(record.length);
  if ((await data.read(bytes, record.chunkOffset)) < record.length) return false;
  const pieces = checksumsOf([bytes], record.chunkOffset);
  const sums = content.checksums.afterWrite(record.chunkOffset, [bytes], pieces, new Map());
  return sums.every((sum, index) => sum === record.sums[index]);
}

function caseOf(seen: { tail: Scan['tail']; powerLost: boolean; cut: boolean }): RecoveryCase {
  if (seen.powerLost) {
    if (seen.tail !== 'end') return 'I';
    return seen.cut ? 'H' : 'G';
  }
  if (seen.tail === 'damaged') return 'F';
  return seen.tail === 'torn' ? 'E' : 'D';
}

function isInDataFile(record: ReplicaRecord): record is WriteRecord {
  return record.kind === 'write' && record.place === 'data';
}

function lastDataEnd(content: ReplicaContent): number {
  return content.map.segments.reduce((end, { source, end: to }) => (source === 'data' ? to : end), 0);
}

/** The log of a small file is not longer; it is read in one call. */
const FIRST_READ_BYTES = 16 * KiB;

async function readAll(file: DiskFile): Promise<Buffer> {
  const first = Buffer.allocUnsafeSlow(FIRST_READ_BYTES);
  const count = await file.read(first, 0);
  if (count < first.length) return first.subarray(0, count);
  const size = await file.size();
  const all = Buffer.allocUnsafeSlow(size);
  first.copy(all);
  const rest = await file.read(all.subarray(count), count);
  return all.subarray(0, count + rest);
}

async function openUnlessMissing(disk: Disk, path: string): Promise<DiskFile | undefined> {
  try {
    return await disk.open(path, 'existing');
  } catch (error) {
    if (codeOf(error) === 'NOT_FOUND') return undefined;
    throw error;
  }
}
