import test from 'ava';
import fc from 'fast-check';
import { joined } from '../../src/base/bytes.ts';
import { GfsError } from '../../src/base/errors.ts';
import { FrameDecoder } from '../../src/rpc/frame-decoder.ts';
import {
  FRAME_BODY_BYTES_MAX,
  type Frame,
  KIND_CREDIT,
  KIND_MESSAGE,
  KIND_OPEN,
  NO_DEADLINE,
} from '../../src/rpc/frame-format.ts';

interface Parts {
  readonly kind: number;
  readonly flags: number;
  readonly call: number;
  readonly method: number;
  readonly deadlineLeftMs: number;
  readonly requestId: string;
  readonly message: Uint8Array;
  readonly payload: Uint8Array;
}

/** Written from the table that opens frame-format.ts, without a line of the writer's. */
function encode(parts: Parts): Buffer {
  const id = Buffer.from(parts.requestId);
  const head = Buffer.alloc(parts.kind === KIND_OPEN ? 24 : 16);
  const extra = parts.kind === KIND_OPEN ? 8 + id.length : 0;
  head.writeUInt32LE(extra + parts.message.length + parts.payload.length, 0);
  head.writeUInt8(parts.kind, 4);
  head.writeUInt8(parts.flags, 5);
  head.writeUInt32LE(parts.call, 8);
  head.writeUInt32LE(parts.message.length, 12);
  if (parts.kind !== KIND_OPEN) return Buffer.concat([head, parts.message, parts.payload]);
  head.writeUInt16LE(id.length, 6);
  head.writeUInt32LE(parts.method, 16);
  head.writeUInt32LE(parts.deadlineLeftMs, 20);
  return Buffer.concat([head, id, parts.message, parts.payload]);
}

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const anyParts: fc.Arbitrary<Parts> = fc.record({
  kind: fc.constantFrom(KIND_OPEN, KIND_MESSAGE),
  flags: fc.integer({ min: 0, max: 3 }),
  call: fc.integer({ min: 1, max: 0xffff_ffff }),
  method: uint32,
  deadlineLeftMs: uint32,
  requestId: fc.string({ unit: 'binary', maxLength: 30 }),
  message: fc.uint8Array({ maxLength: 300 }),
  payload: fc.uint8Array({ maxLength: 10_000 }),
});

function partsOf(frame: Frame): Parts {
  const { kind, call, method, deadlineLeftMs, requestId } = frame;
  const flags = (frame.end ? 1 : 0) + (frame.hasMessage ? 2 : 0);
  return {
    kind,
    flags,
    call,
    method,
    deadlineLeftMs,
    requestId,
    message: new Uint8Array(frame.message),
    payload: new Uint8Array(joined(frame.payload)),
  };
}

/** What the decoder must say of an encoded frame: only an OPEN has a method, a deadline and an id. */
function expected(parts: Parts): Parts {
  if (parts.kind !== KIND_OPEN) return { ...parts, method: 0, deadlineLeftMs: NO_DEADLINE, requestId: '' };
  return { ...parts, requestId: Buffer.from(parts.requestId).toString() };
}

function decodeAll(decoder: FrameDecoder): Frame[] {
  const frames: Frame[] = [];
  for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(frame);
  return frames;
}

test('frames come out as they went in, however the stream was cut', (t) => {
  fc.assert(
    fc.property(
      fc.array(anyParts, { minLength: 1, maxLength: 6 }),
      fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 9000 }))),
      (all, cuts) => {
        const stream = Buffer.concat(all.map(encode));
        const decoder = new FrameDecoder();
        const found: Frame[] = [];
        for (let start = 0; start < stream.length; ) {
          const end = Math.min(stream.length, start + cuts.next().value);
          // A chunk of its own, as the socket gives it.
          decoder.push(Buffer.from(stream.subarray(start, end)));
          found.push(...decodeAll(decoder));
          start = end;
        }
        t.is(decoder.bufferedBytes, 0);
        // Looked at only now: a chunk that came later must not have changed an earlier frame.
        t.deepEqual(found.map(partsOf), all.map(expected));
      },
    ),
    { numRuns: 200 },
  );
});

test('random bytes are refused with a typed error, or still lack their end', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 5000 }), (bytes) => {
      const decoder = new FrameDecoder();
      decoder.push(Buffer.from(bytes));
      try {
        decodeAll(decoder);
      } catch (error) {
        t.true(error instanceof GfsError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test('a flipped bit in a header is refused, or changes that frame alone', (t) => {
  fc.assert(
    fc.property(anyParts, fc.integer({ min: 0, max: 127 }), (parts, bit) => {
      const bytes = encode(parts);
      const position = bit >> 3;
      bytes[position] = (bytes[position] ?? 0) ^ (1 << (bit & 7));
      const decoder = new FrameDecoder();
      decoder.push(bytes);
      try {
        for (const frame of decodeAll(decoder)) t.true(frame.sizeBytes <= FRAME_BODY_BYTES_MAX + 16);
      } catch (error) {
        t.true(error instanceof GfsError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

function refused(change: (bytes: Buffer) => void): string {
  const bytes = encode({
    kind: KIND_OPEN,
    flags: 3,
    call: 1,
    method: 1,
    deadlineLeftMs: 1,
    requestId: 'r',
    message: Buffer.from('message'),
    payload: Buffer.from('payload'),
  });
  change(bytes);
  const decoder = new FrameDecoder();
  decoder.push(bytes);
  try {
    decoder.next();
  } catch (error) {
    if (error instanceof GfsError) return error.code;
    throw error;
  }
  return 'accepted';
}

test('each part of a header is checked before anything is believed', (t) => {
  t.is(
    refused(() => undefined),
    'accepted',
  );
  t.is(
    refused((bytes) => bytes.writeUInt32LE(FRAME_BODY_BYTES_MAX + 1, 0)),
    'MESSAGE_TOO_LARGE',
  );
  t.is(
    refused((bytes) => bytes.writeUInt32LE(10, 0)),
    'INVALID_ARGUMENT',
  );
  t.is(
    refused((bytes) => bytes.writeUInt8(0, 4)),
    'INVALID_ARGUMENT',
  );
  t.is(
    refused((bytes) => bytes.writeUInt8(8, 4)),
    'INVALID_ARGUMENT',
  );
  t.is(
    refused((bytes) => bytes.writeUInt8(4, 5)),
    'INVALID_ARGUMENT',
  );
  t.is(
    refused((bytes) => bytes.writeUInt16LE(129, 6)),
    'INVALID_ARGUMENT',
  );
  t.is(
    refused((bytes) => bytes.writeUInt32LE(0, 8)),
    'INVALID_ARGUMENT',
  );
  t.is(
    refused((bytes) => bytes.writeUInt32LE(0xffff_ffff, 12)),
    'INVALID_ARGUMENT',
  );
  t.is(
    refused((bytes) => bytes.writeUInt8(KIND_CREDIT, 4)),
    'INVALID_ARGUMENT',
  );
});

test('an oversized length is refused before its bytes are waited for', (t) => {
  const decoder = new FrameDecoder();
  const header = Buffer.alloc(16);
  header.writeUInt32LE(0xffff_ffff, 0);
  header.writeUInt8(KIND_MESSAGE, 4);
  decoder.push(header);
  t.throws(() => decoder.next(), { instanceOf: GfsError, code: 'MESSAGE_TOO_LARGE' });
});

test('payload is given out as views of what arrived', (t) => {
  const bytes = encode({
    kind: KIND_MESSAGE,
    flags: 2,
    call: 1,
    method: 0,
    deadlineLeftMs: 0,
    requestId: '',
    message: Buffer.from('m'),
    payload: Buffer.alloc(200_000, 5),
  });
  const decoder = new FrameDecoder();
  const chunks = [bytes.subarray(0, 65_536), bytes.subarray(65_536, 131_072), bytes.subarray(131_072)];
  for (const chunk of chunks) decoder.push(chunk);
  const frame = decoder.next();
  t.is(frame?.payload.length, 3);
  t.true(frame?.payload.every((view) => view.buffer === bytes.buffer));
});
