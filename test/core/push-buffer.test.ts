import test from 'ava';
import { PUSH_LIFETIME_MS, PushBuffer } from '../../src/core/push-buffer.ts';

function dataOf(length: number) {
  return { chunk: 1, chunkOffset: 0, bytes: [Buffer.alloc(length)], length, checksums: [] };
}

function put(buffer: PushBuffer, number: number, length: number, nowMs = 0): boolean {
  const room = buffer.reserve(length);
  room?.keep(1, number, dataOf(length), nowMs);
  return room !== undefined;
}

test('data is taken once, and counts until it is released', (t) => {
  const buffer = new PushBuffer({ limitBytes: 100 });
  t.true(put(buffer, 1, 60));
  const taken = buffer.take(1, 1, 1);
  t.is(taken?.data.length, 60);
  t.is(buffer.take(1, 1, 1), undefined);
  t.false(put(buffer, 2, 50));
  taken?.release();
  taken?.release();
  t.is(buffer.usedBytes, 0);
  t.true(put(buffer, 2, 50));
});

test('room is promised before the data comes, and given back if it does not', (t) => {
  const buffer = new PushBuffer({ limitBytes: 100 });
  const room = buffer.reserve(80);
  t.is(buffer.reserve(21), undefined);
  room?.release();
  room?.release();
  t.is(buffer.usedBytes, 0);
  t.not(buffer.reserve(100), undefined);
});

test('what nobody asks for expires; what is in use does not', (t) => {
  const buffer = new PushBuffer({ limitBytes: 100 });
  put(buffer, 1, 10, 0);
  put(buffer, 2, 10, 1000);
  const taken = buffer.take(1, 1, 1);
  t.is(buffer.expire(PUSH_LIFETIME_MS + 999), 0);
  t.is(buffer.expire(PUSH_LIFETIME_MS + 1000), 1);
  t.is(buffer.usedBytes, 10);
  taken?.release();
  t.is(buffer.usedBytes, 0);
});

test('a repeated push replaces the first one', (t) => {
  const buffer = new PushBuffer({ limitBytes: 100 });
  put(buffer, 1, 40);
  put(buffer, 1, 40);
  t.is(buffer.usedBytes, 40);
  t.is(buffer.size, 1);
});
