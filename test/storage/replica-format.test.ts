import test from 'ava';
import { crc32 } from '../../src/base/crc.ts';
import { codeOf } from '../../src/base/errors.ts';
import type { AppendEntry } from '../../src/core/replica-types.ts';
import {
  chainSeed,
  encodeRecord,
  RECORD_HEADER_BYTES,
  scanRecord,
} from '../../src/storage/replica-format.ts';
import { Random } from '../sim/random.ts';
import { BASE, buildLog, CHUNK, LEARN, STEPS } from './replica-log.ts';

test('every kind of record is read as it was written, and its data lies where it is said to', (t) => {
  const steps = [...STEPS, LEARN];
  const { bytes } = buildLog(steps);
  let position = 0;
  let chain = chainSeed(CHUNK);
  for (const { record, data } of steps) {
    const scanned = scanRecord(bytes, position, chain);
    if (scanned.kind !== 'record') return t.fail(`${record.kind} is ${scanned.kind}`);
    if (record.kind === 'base') t.deepEqual({ ...scanned.record, segments: [] }, { ...BASE, segments: [] });
    else t.deepEqual(scanned.record, record);
    const dataAt = position + scanned.inlineAt;
    t.deepEqual(bytes.subarray(dataAt, dataAt + data.length), data);
    position += scanned.length;
    ({ chain } = scanned);
  }
  t.is(scanRecord(bytes, position, chain).kind, 'end');
});

test('the base of a learner keeps its lesson', (t) => {
  for (const lesson of ['lesson', '', undefined]) {
    const encoded = encodeRecord({ ...BASE, lesson }, [], 0);
    const scanned = scanRecord(Buffer.concat(encoded.buffers), 0, 0);
    t.like(scanned, { record: { lesson, epoch: BASE.epoch, reconciledVersion: 4 } });
  }
});

test('the base keeps its segments', (t) => {
  const segments = [
    { start: 0, end: 70_000, source: 'zero', at: 0 },
    { start: 70_000, end: 70_021, source: 'log', at: 0 },
    { start: 70_021, end: 2 ** 29, source: 'data', at: 0 },
  ] as const;
  const encoded = encodeRecord({ ...BASE, segments }, [], 0);
  const scanned = scanRecord(Buffer.concat(encoded.buffers), 0, 0);
  t.deepEqual(
    scanned.kind === 'record' && scanned.record.kind === 'base' && scanned.record.segments,
    segments,
  );
});

test('the base of a replica in the middle of a reconcile keeps where its content ends', (t) => {
  const base = { ...BASE, settledLength: 5, segments: [] };
  const scanned = scanRecord(Buffer.concat(encodeRecord(base, [], 0).buffers), 0, 0);
  t.deepEqual(scanned.kind === 'record' && scanned.record, base);
});

test('a record counts only behind the one it was written behind', (t) => {
  const { bytes, ends } = buildLog();
  const [first, second, third] = ends;
  if (first === undefined || second === undefined || third === undefined) return t.fail();
  const swapped = Buffer.concat([
    bytes.subarray(0, first),
    bytes.subarray(second, third),
    bytes.subarray(first, second),
  ]);
  const base = scanRecord(swapped, 0, chainSeed(CHUNK));
  t.is(base.kind === 'record' ? scanRecord(swapped, first, base.chain).kind : '', 'damaged');
});

test('a log counts only under its own name', (t) => {
  t.is(scanRecord(buildLog().bytes, 0, chainSeed(CHUNK + 1)).kind, 'damaged');
});

test('random bytes with right checksums are refused, and nothing is read past their end', (t) => {
  const dice = new Random('format');
  for (let round = 0; round < 3000; round += 1) {
    const body = dice.bytes(1 + dice.below(80));
    body[0] = dice.below(10);
    const forged = framed(body);
    try {
      const scanned = scanRecord(forged, 0, 0);
      t.true(scanned.kind === 'record' && scanned.inlineAt <= forged.length);
    } catch (error) {
      t.is(codeOf(error), 'CORRUPT');
    }
  }
});

/** A record with right checksums around any body. */
function framed(body: Buffer): Buffer {
  const header = Buffer.alloc(RECORD_HEADER_BYTES);
  header.writeUInt32LE(body.length, 0);
  const headerSum = crc32(header.subarray(0, 4), 0);
  header.writeUInt32LE(headerSum, 4);
  header.writeUInt32LE(crc32(body, headerSum), 8);
  return Buffer.concat([header, body]);
}

test('a table entry has the places of numbered records, and without them the bytes that it always had', (t) => {
  const plain = { writer: 1, number: 2, chunkOffset: 3, length: 4, checksum: 5 };
  const records = [
    { chunkOffset: 2 ** 40, length: 7 },
    { chunkOffset: 2 ** 40 + 7, length: 8 },
    { chunkOffset: 5, length: 2 ** 31 - 1 },
    { chunkOffset: 0, length: 1 },
  ];
  const numbered = { ...plain, length: 2 ** 31 - 1, records };
  const finish = (table: AppendEntry[]) =>
    encodeRecord({ kind: 'finish', version: 7, epoch: '', sealed: false, table }, [], 0);
  const scanned = scanRecord(Buffer.concat(finish([plain, numbered, plain]).buffers), 0, 0);
  t.deepEqual(scanned.kind === 'record' && scanned.record.kind === 'finish' && scanned.record.table, [
    plain,
    numbered,
    plain,
  ]);
  const body = Buffer.concat(finish([plain]).buffers).subarray(RECORD_HEADER_BYTES);
  const entryBytes = '01000000000000000200000000000000030000000000000004000000' + '05000000';
  t.is(body.subarray(-32).toString('hex'), entryBytes);
});
