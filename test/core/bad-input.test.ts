// What cannot be meant, case by case, where it is decided: a code, and nothing has changed.
import test from 'ava';
import type { ErrorCode } from '../../src/base/errors.ts';
import { KiB } from '../../src/base/units.ts';
import { type MutationRequest, Primary } from '../../src/core/primary.ts';
import { PushBuffer } from '../../src/core/push-buffer.ts';
import { ReplicaContent } from '../../src/core/replica-content.ts';
import type { Mutation } from '../../src/core/replica-types.ts';
import { SerialQueue } from '../../src/core/serial-queue.ts';

const CHUNK_SIZE_BYTES = 256 * KiB;
const VERSION = 4;

interface Sent extends Partial<MutationRequest> {
  readonly version?: number;
}

/** Of a primary with a chunk of 100 bytes, to which writer 1 has appended number 5. */
function primaryRefuses(title: string, code: ErrorCode, { version = VERSION, ...change }: Sent): void {
  test(`a primary refuses ${title}`, (t) => {
    const options = { chunk: 1, version: VERSION, memberCount: 3, chunkSizeBytes: CHUNK_SIZE_BYTES };
    const entry = { writer: 1, number: 5, chunkOffset: 80, length: 20, checksum: 7 };
    const primary = new Primary({ ...options, length: 100, sealed: false, table: [entry] });
    const good = { kind: 'append', writer: 1, number: 6, chunkOffset: 0, length: 10 } as const;

    const refused = primary.admit({ ...good, recordChecksum: 8, ...change }, version);

    t.is(refused.ok ? 'ok' : refused.error.code, code);
    t.like(primary, { nextSerial: 0, committedSerial: 0, idle: true, sealed: false });
    const admitted = primary.admit({ ...good, recordChecksum: 8 }, VERSION);
    t.like(admitted.ok ? admitted.value : undefined, { order: { serial: 0, chunkOffset: 100, length: 10 } });
  });
}

for (const [name, kind] of [
  ['a write', 'write'],
  ['an append', 'append'],
  ['a seal', 'seal'],
] as const) {
  primaryRefuses(`${name} at a lower version`, 'VERSION_MISMATCH', { kind, version: VERSION - 1 });
  primaryRefuses(`${name} at a higher version`, 'VERSION_MISMATCH', { kind, version: VERSION + 1 });
  const chunkOffset = CHUNK_SIZE_BYTES + 1;
  primaryRefuses(`${name} behind the end of its chunk`, 'INVALID_ARGUMENT', { kind, chunkOffset });
}
primaryRefuses('an append of zero bytes', 'INVALID_ARGUMENT', { length: 0 });
primaryRefuses('an append of more than a quarter chunk', 'INVALID_ARGUMENT', {
  length: CHUNK_SIZE_BYTES / 4 + 1,
});
primaryRefuses('an append with a number from the past', 'INVALID_ARGUMENT', { number: 4 });
primaryRefuses('an append whose number was another record', 'INVALID_ARGUMENT', { number: 5, length: 20 });
primaryRefuses('an append whose number was a longer record', 'INVALID_ARGUMENT', {
  number: 5,
  recordChecksum: 7,
});
primaryRefuses('a write of zero bytes', 'INVALID_ARGUMENT', { kind: 'write', length: 0 });
primaryRefuses('a write at no offset', 'INVALID_ARGUMENT', { kind: 'write', chunkOffset: -1 });

/** Of a member with a chunk of 100 bytes that has applied two orders. */
function memberRefuses(title: string, code: ErrorCode, change: Partial<Mutation>, dataLength = 10): void {
  test(`a member refuses ${title}`, (t) => {
    const content = contentOf(100);
    const good = { kind: 'append', version: VERSION, serial: 2, chunkOffset: 100, checksums: [1] } as const;
    const mutation = { ...good, writer: 1, number: 6, recordChecksum: 1 };
    const before = content.sums();
    t.is(content.refusalOf({ ...mutation, ...change } as Mutation, dataLength)?.code, code);
    t.deepEqual(content.sums(), before);
    t.is(content.refusalOf(mutation, 10), undefined);
  });
}

function contentOf(length: number): ReplicaContent {
  const members = [1, 2].map((server) => ({ server, address: `host:${server}`, rack: '' }));
  const record = { chunk: 1, version: VERSION, members, primary: 1, loss: 0 };
  const standing = { reconciledVersion: VERSION, whole: true, lesson: undefined, epoch: 'e', sealed: false };
  const times = { writtenAtMs: 0, readAtMs: 0 };
  const segments = [{ start: 0, end: length, source: 'data', at: 0 }] as const;
  const stream = { version: VERSION, nextSerial: 2 };
  const bytes = { length, settledLength: length, sums: [1], segments, table: [] };
  return new ReplicaContent({ kind: 'base', record, stream, ...standing, ...times, ...bytes }, 0);
}

memberRefuses('an order of a lower version', 'VERSION_MISMATCH', { version: VERSION - 1 });
memberRefuses('an order of a higher version', 'VERSION_MISMATCH', { version: VERSION + 1 });
memberRefuses('a serial from the past', 'SERIAL_GAP', { serial: 1 });
memberRefuses('a serial that is not the next', 'SERIAL_GAP', { serial: 3 });
memberRefuses('an order to append nothing', 'INVALID_ARGUMENT', {}, 0);
memberRefuses('an order to write nothing', 'INVALID_ARGUMENT', { kind: 'write' }, 0);
memberRefuses('an order behind the end of any chunk', 'INVALID_ARGUMENT', { chunkOffset: 2 ** 40 });
memberRefuses('a seal that would cut it', 'INVALID_ARGUMENT', { kind: 'seal', length: 99 });

test('an order from the past takes no place in the queue of a member', (t) => {
  const queue = new SerialQueue<string>({ chunk: 1, next: 2 });
  const past = queue.offer(1, 'past', 0);
  t.is(past.ok ? 'ok' : past.error.code, 'SERIAL_GAP');
  t.like(queue, { next: 2, heldCount: 0 });
  t.deepEqual(queue.offer(2, 'next', 0), { ok: true, value: ['next'] });
});

test("what nobody pushed is not there, and another chunk's push stays where it is", (t) => {
  const pushes = new PushBuffer({ limitBytes: 100 });
  const data = { chunk: 1, chunkOffset: 0, bytes: [Buffer.alloc(40)], length: 40, checksums: [] };
  pushes.reserve(40)?.keep(7, 1, data, 0);
  for (const [chunk, writer, number] of [
    [1, 7, 2],
    [1, 8, 1],
    [2, 7, 1],
  ] as const) {
    t.is(pushes.take(chunk, writer, number), undefined);
    t.like(pushes, { usedBytes: 40, size: 1 });
  }
  t.is(pushes.take(1, 7, 1)?.data, data);
});
