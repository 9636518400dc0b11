import test from 'ava';
import { HELD_ORDERS_MAX, SerialQueue } from '../../src/core/serial-queue.ts';

function queueAt(next: number): SerialQueue<string> {
  return new SerialQueue({ chunk: 1, next });
}

function offered(queue: SerialQueue<string>, serial: number, nowMs = 0): readonly string[] | string {
  const result = queue.offer(serial, `order ${serial}`, nowMs);
  return result.ok ? result.value : result.error.code;
}

test('P11: orders that come early wait for the ones before them', (t) => {
  const queue = queueAt(5);
  t.deepEqual(offered(queue, 7), []);
  t.deepEqual(offered(queue, 6), []);
  t.deepEqual(offered(queue, 9), []);
  t.deepEqual(offered(queue, 5), ['order 5', 'order 6', 'order 7']);
  t.is(queue.next, 8);
  t.is(queue.heldCount, 1);
});

test('P11: orders from the past and those that came before are refused', (t) => {
  const queue = queueAt(5);
  t.is(offered(queue, 4), 'SERIAL_GAP');
  offered(queue, 6);
  t.is(offered(queue, 6), 'SERIAL_GAP');
  t.deepEqual(offered(queue, 5), ['order 5', 'order 6']);
});

test('a gap that is not filled in time gives up everything behind it', (t) => {
  const queue = queueAt(0);
  offered(queue, 2, 100);
  offered(queue, 1, 200);
  t.deepEqual(queue.expire(100), []);
  t.deepEqual(queue.expire(101), ['order 2', 'order 1']);
  t.is(queue.heldCount, 0);
});

test('no more orders wait than the bound', (t) => {
  const queue = queueAt(0);
  for (let serial = 1; serial <= HELD_ORDERS_MAX; serial += 1) t.deepEqual(offered(queue, serial), []);
  t.is(offered(queue, HELD_ORDERS_MAX + 1), 'SERIAL_GAP');
});
