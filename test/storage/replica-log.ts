// A log of a chunk with every kind of record in it, and what the replica is after each of them.
import { checksumsOf, crc32 } from '../../src/base/crc.ts';
import { ReplicaContent } from '../../src/core/replica-content.ts';
import type { BaseRecord, ChangeRecord } from '../../src/core/replica-records.ts';
import { chainSeed, encodeRecord } from '../../src/storage/replica-format.ts';
import { versionRecord } from './replica-world.ts';

export const CHUNK = 0x1234;
export const EPOCH = 'epoch-1';

export interface LogStep {
  readonly record: BaseRecord | ChangeRecord;
  readonly data: Buffer;
}

const small = Buffer.from('small data of a chunk');
const over = Buffer.from('OVER');
const merged = Buffer.concat([Buffer.from('small'), over, small.subarray(9)]);
const zeroed = Buffer.concat([merged.subarray(0, 7), Buffer.alloc(3), merged.subarray(10), over]);
const entry = { writer: 2 ** 40, number: 3, chunkOffset: 21, length: 4, checksum: crc32(over) };

export const BASE: BaseRecord = {
  kind: 'base',
  record: versionRecord(CHUNK, 4, 1000),
  reconciledVersion: 4,
  whole: true,
  lesson: undefined,
  epoch: EPOCH,
  stream: { version: 4, nextSerial: 0 },
  sealed: false,
  writtenAtMs: 1_700_000_000_000,
  readAtMs: 5,
  length: small.length,
  settledLength: small.length,
  sums: checksumsOf([small], 0),
  segments: [{ start: 0, end: small.length, source: 'log', at: 0 }],
  table: [entry],
};

const times = { writtenAtMs: 1_700_000_000_001 };

export const STEPS: readonly LogStep[] = [
  { record: BASE, data: small },
  {
    record: {
      kind: 'write',
      ...{ serial: 0, chunkOffset: 5, length: 4, place: 'log', append: undefined, ...times },
      sums: checksumsOf([merged], 0),
    },
    data: over,
  },
  {
    record: {
      kind: 'write',
      ...{ serial: 1, chunkOffset: 21, length: 4, place: 'log', append: entry, ...times },
      sums: [crc32(over, crc32(merged))],
    },
    data: over,
  },
  {
    record: {
      kind: 'write',
      ...{ serial: 2, chunkOffset: 7, length: 3, place: 'zero', append: undefined, ...times },
      sums: [crc32(zeroed)],
    },
    data: none(),
  },
  { record: { kind: 'mend', chunkOffset: 0, length: zeroed.length }, data: zeroed },
  {
    record: {
      kind: 'cut',
      ...{ serial: 3, length: 5, lastSum: crc32(small.subarray(0, 5)), table: undefined, ...times },
    },
    data: none(),
  },
  { record: { kind: 'seal', serial: 4, length: 1, ...times }, data: none() },
  { record: { kind: 'mark', epoch: EPOCH, whole: true }, data: none() },
  {
    record: {
      kind: 'version',
      record: versionRecord(CHUNK, 6),
      epoch: EPOCH,
      whole: true,
      cut: { length: 3, lastSum: crc32(small.subarray(0, 3)) },
    },
    data: none(),
  },
  {
    record: {
      kind: 'cut',
      ...{ serial: undefined, length: 2, lastSum: crc32(small.subarray(0, 2)), ...times },
      table: { lowered: [{ ...entry, number: 2 }], dropped: [9, 2 ** 41] },
    },
    data: none(),
  },
  {
    record: {
      kind: 'write',
      ...{ serial: undefined, chunkOffset: 0, length: 4, place: 'log', append: undefined, ...times },
      sums: [crc32(over)],
    },
    data: over,
  },
  { record: { kind: 'finish', version: 6, epoch: EPOCH, sealed: false, table: [entry] }, data: none() },
  { record: { kind: 'read', readAtMs: 77 }, data: none() },
];

/** Not among them, since nothing that it is the last of is whole. */
export const LEARN: LogStep = {
  record: {
    ...{ kind: 'learn', record: versionRecord(CHUNK, 7), lesson: 'lesson', epoch: EPOCH, serial: 40 },
    ...{ sealed: true, table: [entry] },
  },
  data: none(),
};

export interface BuiltLog {
  readonly bytes: Buffer;
  /** Positions where records end. */
  readonly ends: readonly number[];
  /** The replica after each record, as text. */
  readonly states: readonly string[];
}

export function buildLog(steps: readonly LogStep[] = STEPS): BuiltLog {
  const parts: Uint8Array[] = [];
  const ends: number[] = [];
  const states: string[] = [];
  let chain = chainSeed(CHUNK);
  let end = 0;
  let content: ReplicaContent | undefined;
  for (const { record, data } of steps) {
    const encoded = encodeRecord(record, data.length > 0 ? [data] : [], chain);
    if (record.kind === 'base') content = new ReplicaContent(record, encoded.inlineAt);
    else content?.apply(record, end + encoded.inlineAt);
    parts.push(...encoded.buffers);
    end += encoded.length;
    ({ chain } = encoded);
    ends.push(end);
    if (content !== undefined) states.push(textOf(content));
  }
  return { bytes: Buffer.concat(parts), ends, states };
}

/** All of a replica but whether it is whole. */
export function textOf(content: ReplicaContent): string {
  const { record, reconciledVersion, lesson, stream, sealed, length, settledLength } = content;
  const { writtenAtMs, readAtMs, epoch } = content;
  const { segments } = content.map;
  const all = { record, reconciledVersion, lesson, stream, sealed, length, settledLength, segments };
  return JSON.stringify({ ...all, writtenAtMs, readAtMs, epoch, ...content.sums() });
}

function none(): Buffer {
  return Buffer.alloc(0);
}
