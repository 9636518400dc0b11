import { unreachable } from '../base/assert.ts';
import { type Bytes, lengthOf, NO_BYTES, slice } from '../base/bytes.ts';
import { CHECKSUM_BLOCK_BYTES } from '../base/constants.ts';
import { checksumsMatch, crc32, crc32OfBytes } from '../base/crc.ts';
import { GfsError } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import type { Refusal } from '../base/result.ts';
import { placesOf } from '../core/append-entries.ts';
import { blockCountOf, poisoned } from '../core/replica-checksums.ts';
import type { ReplicaContent } from '../core/replica-content.ts';
import { bytesIn } from '../core/replica-map.ts';
import type { ChangeRecord } from '../core/replica-records.ts';
import type { AppendEntry, LostBlock, Mutation, TableCut, ZeroMutation } from '../core/replica-types.ts';
import type { ReplicaFiles } from './replica-files.ts';
import { corruptBlock, readVerified } from './replica-reads.ts';

export interface ChangeContext {
  readonly chunk: number;
  readonly content: ReplicaContent;
  readonly files: ReplicaFiles;
  readonly nowMs: number;
  /** Throws NO_SPACE unless the disk can take this much. */
  takeSpace(bytes: number): Promise<void> | undefined;
  /** As `takeSpace`, but the reserve is there for it. */
  takeReserve(bytes: number): void;
  onCorrupt(blockIndex: number): void;
}

/** Room for a record without its data. */
const RECORD_BYTES = 256;
/** A record names the checksum of each block that it touches. */
const SUM_BYTES = 4;

/**
 * Plans an ordered mutation: everything is checked first, then the records to write are put behind what is planned,
 * and the content is as if they were written. Whoever refuses here has changed nothing. Resolves to how many bytes were data
 * and are zeros then.
 */
export async function planMutation(context: ChangeContext, mutation: Mutation, data: Bytes): Promise<number> {
  const { chunk, content, nowMs } = context;
  assertTaken(chunk, content.refusalOf(mutation, lengthOf(data)));
  const { serial } = mutation;
  switch (mutation.kind) {
    case 'write': {
      const { chunkOffset, checksums } = mutation;
      await planWrite(context, { serial, chunkOffset, checksums, data });
      break;
    }
    case 'zero':
      return await planZeros(context, mutation);
    case 'append': {
      const { chunkOffset, checksums, writer, number, recordChecksum, recordLengths } = mutation;
      const places = recordLengths === undefined ? {} : { records: placesOf(chunkOffset, recordLengths) };
      const entry = { writer, number, chunkOffset, length: lengthOf(data), checksum: recordChecksum };
      const append = { ...entry, ...places };
      await planWrite(context, { serial, chunkOffset, checksums, data, append });
      break;
    }
    case 'seal':
      plan(context, { kind: 'seal', serial, length: mutation.length, writtenAtMs: nowMs });
      break;
    case 'cut': {
      const length = Math.min(mutation.length, content.length);
      const { lastSum, badBlock } = await sumAfterCut(context, length);
      if (badBlock !== undefined) throw corruptBlock(chunk, badBlock);
      plan(context, { kind: 'cut', serial, length, lastSum, table: undefined, writtenAtMs: nowMs });
      break;
    }
    default:
      unreachable(mutation);
  }
  return 0;
}

export interface PlannedWrite {
  /** Undefined: a step of a reconcile. */
  readonly serial: number | undefined;
  readonly chunkOffset: number;
  readonly data: Bytes;
  readonly checksums: readonly number[];
  readonly append?: AppendEntry;
}

/** Data is verified against its checksums, and old bytes that are merged with it against theirs. */
export async function planWrite(context: ChangeContext, write: PlannedWrite): Promise<void> {
  const { content, files } = context;
  const { serial, chunkOffset, data, checksums, append } = write;
  const length = lengthOf(data);
  if (!checksumsMatch(data, chunkOffset, checksums)) {
    throw new GfsError('CHECKSUM_MISMATCH', `data for chunk ${hex(context.chunk)} at ${chunkOffset}`);
  }
  const spaceBytes = length + RECORD_BYTES;
  if (serial === undefined && content.reconciledVersion > 0) {
    // It is made equal to other members: without that, nobody could use the others either.
    context.takeReserve(spaceBytes);
  } else {
    const space = context.takeSpace(spaceBytes);
    if (space !== undefined) await space;
  }
  const old = await mergedBytes(context, chunkOffset, length);
  const place = content.placeOf(chunkOffset, length);
  const sums = content.checksums.afterWrite(chunkOffset, data, checksums, old);
  const record = {
    kind: 'write',
    ...{ serial, chunkOffset, length, place, sums, append },
    writtenAtMs: context.nowMs,
  } as const;
  if (place === 'data') files.planData(chunkOffset, data);
  plan(context, record, place === 'log' ? data : NO_BYTES);
}

/** Of a range that becomes zeros no byte is written: the map of segments says so. */
async function planZeros(
  context: ChangeContext,
  { serial, chunkOffset, length }: Pick<ZeroMutation, 'serial' | 'chunkOffset' | 'length'>,
): Promise<number> {
  const { checksums, map } = context.content;
  const space = context.takeSpace(RECORD_BYTES + SUM_BYTES * blockCountOf(length));
  if (space !== undefined) await space;
  const sums = checksums.afterZeros(chunkOffset, length, await mergedBytes(context, chunkOffset, length));
  const dataBytes = bytesIn(map.within(chunkOffset, chunkOffset + length), (source) => source !== 'zero');
  const record = { kind: 'write', serial, chunkOffset, length, place: 'zero', sums } as const;
  plan(context, { ...record, append: undefined, writtenAtMs: context.nowMs });
  return dataBytes;
}

/** Verified, of the blocks of which a change leaves a part as it is. */
async function mergedBytes(
  context: ChangeContext,
  chunkOffset: number,
  length: number,
): Promise<ReadonlyMap<number, Uint8Array>> {
  const old = new Map<number, Uint8Array>();
  for (const blockIndex of context.content.checksums.mergedBlocks(chunkOffset, length)) {
    old.set(blockIndex, await verifiedBlock(context, blockIndex));
  }
  return old;
}

/** A step of a reconcile: the replica gets shorter, or longer with zeros, whatever its bytes are. */
export async function planLength(context: ChangeContext, length: number): Promise<void> {
  const { content, nowMs: writtenAtMs } = context;
  if (length < content.length) {
    const { lastSum } = await sumAfterCut(context, length);
    plan(context, { kind: 'cut', serial: undefined, length, lastSum, table: undefined, writtenAtMs });
  } else if (length > content.length) {
    const nothing = { length: 0, place: 'log', sums: [], append: undefined } as const;
    plan(context, { kind: 'write', serial: undefined, chunkOffset: length, ...nothing, writtenAtMs });
  }
}

/** A step of a reconcile: bytes and table entries that the primary does not have go together. */
export async function planCut(context: ChangeContext, lengthMax: number, table: TableCut): Promise<void> {
  const { content, nowMs: writtenAtMs } = context;
  const length = Math.min(lengthMax, content.length);
  if (length === content.length && table.lowered.length === 0 && table.dropped.length === 0) return;
  const { lastSum } = await sumAfterCut(context, length);
  plan(context, { kind: 'cut', serial: undefined, length, lastSum, table, writtenAtMs });
}

/**
 * A step of a reconcile: the block has the checksum of bytes that nobody has any more, over zeros that do not match it (or
 * do: then zeros is what it was). In the log: from the data file, a recovery would only take what matches.
 */
export async function planLostBlock(
  context: ChangeContext,
  { blockIndex, length, checksum }: LostBlock,
): Promise<void> {
  const { content, nowMs: writtenAtMs } = context;
  if (length < 1 || length > CHECKSUM_BLOCK_BYTES || length < content.checksums.blockLength(blockIndex)) {
    throw new GfsError('INVALID_ARGUMENT', `${length} lost bytes do not replace block ${blockIndex}`);
  }
  const space = context.takeSpace(length + RECORD_BYTES);
  if (space !== undefined) await space;
  const chunkOffset = blockIndex * CHECKSUM_BLOCK_BYTES;
  const record = { kind: 'write', serial: undefined, chunkOffset, length, place: 'log' } as const;
  plan(context, { ...record, sums: [checksum], append: undefined, writtenAtMs }, [Buffer.alloc(length)]);
}

/**
 * Bytes of a block that is bad here come from another replica: what it has of the block from its start on. They are taken when
 * the block, with what this replica has behind them, then matches its checksum; so changes since they were read there do not
 * matter, unless they are to these very bytes. Whether the block is good now; one that is already stays as it is.
 */
export async function planMend(context: ChangeContext, blockIndex: number, data: Bytes): Promise<boolean> {
  const { content, files } = context;
  const { checksums, map } = content;
  const chunkOffset = blockIndex * CHECKSUM_BLOCK_BYTES;
  const end = chunkOffset + checksums.blockLength(blockIndex);
  if (end === chunkOffset || 'bytes' in (await readVerified(content, files, chunkOffset, end))) return true;
  const taken = slice(data, 0, end - chunkOffset);
  const length = lengthOf(taken);
  const rest = await files.gather(map, chunkOffset + length, end);
  if (length === 0 || crc32OfBytes([...taken, rest]) !== checksums.at(blockIndex)) return false;
  // The room is given back when the log is begun anew.
  context.takeReserve(length + RECORD_BYTES);
  plan(context, { kind: 'mend', chunkOffset, length }, taken);
  return true;
}

/** Puts a record behind what is planned. A replica that is not on disk yet begins with its base. */
export function plan(
  { content, files }: Pick<ChangeContext, 'content' | 'files'>,
  record: ChangeRecord,
  inline: Bytes = NO_BYTES,
): void {
  if (!files.created && files.planned.logBytes === 0) files.plan(content.base([]), NO_BYTES);
  content.apply(record, files.plan(record, inline));
}

/**
 * The checksum of the last block after a cut, from bytes that matched theirs. Where they do not match, it is one that
 * the bytes left do not match either: so a replica can be fenced and cut though a block is bad, and the block stays
 * bad until somebody replaces it.
 */
export async function sumAfterCut(
  context: ChangeContext,
  length: number,
): Promise<{ readonly lastSum: number; readonly badBlock?: number }> {
  const { content, files } = context;
  const left = length % CHECKSUM_BLOCK_BYTES;
  if (left === 0) return { lastSum: 0 };
  const blockIndex = Math.floor(length / CHECKSUM_BLOCK_BYTES);
  const sum = content.checksums.at(blockIndex);
  if (length === content.length) return { lastSum: sum };
  const start = blockIndex * CHECKSUM_BLOCK_BYTES;
  const bytes = await files.gather(content.map, start, start + content.checksums.blockLength(blockIndex));
  const kept = bytes.subarray(0, left);
  if (crc32(bytes) === sum) return { lastSum: crc32(kept) };
  context.onCorrupt(blockIndex);
  return { lastSum: poisoned(kept), badBlock: blockIndex };
}

/** Throws the refusal, if there is one. */
export function assertTaken(chunk: number, refusal: Refusal | undefined): void {
  if (refusal === undefined) return;
  const { code, message, fields } = refusal;
  throw new GfsError(code, `chunk ${hex(chunk)}: ${message}`, fields === undefined ? {} : { fields });
}

async function verifiedBlock(context: ChangeContext, blockIndex: number): Promise<Uint8Array> {
  const start = blockIndex * CHECKSUM_BLOCK_BYTES;
  const end = start + context.content.checksums.blockLength(blockIndex);
  const found = await readVerified(context.content, context.files, start, end);
  if ('bytes' in found) return found.bytes;
  context.onCorrupt(found.badBlock);
  throw corruptBlock(context.chunk, found.badBlock);
}
