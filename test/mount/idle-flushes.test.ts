import test from 'ava';
import { IdleFlushes } from '../../mount/idle-flushes.ts';
import { SettledFiles } from '../../native/settled-files.ts';

const COUNT = 8;

function idleFlushes() {
  const memory = new ArrayBuffer(8 + 4 * COUNT);
  const idle = new IdleFlushes(new SettledFiles(memory, 0, COUNT));
  // As a reader looks.
  const entries = new Uint32Array(memory, 8);
  return { idle, isIdle: (openFile: number) => entries[openFile % COUNT] === openFile };
}

test('flushes of what is only read are idle until it is released', (t) => {
  const { idle, isIdle } = idleFlushes();
  t.false(isIdle(3));
  idle.opened(100, 3);
  idle.opened(100, 4);
  t.deepEqual([3, 4].map(isIdle), [true, true]);
  idle.released(100, 3);
  idle.released(100, 3);
  t.deepEqual([3, 4].map(isIdle), [false, true]);
});

test('once bytes of a file are to be locked, no flush of it is idle while the kernel knows it', (t) => {
  const { idle, isIdle } = idleFlushes();
  idle.opened(100, 3);
  idle.opened(200, 4);
  idle.locking(100);
  idle.opened(100, 5);
  t.deepEqual([3, 4, 5].map(isIdle), [false, true, false]);
  idle.released(100, 3);
  idle.released(100, 5);
  idle.forgotten(100);
  idle.opened(100, 6);
  t.true(isIdle(6));
});

test('of two open files that share an entry, one is idle, and the other does not take that away', (t) => {
  const { idle, isIdle } = idleFlushes();
  idle.opened(100, 3);
  idle.opened(200, 3 + COUNT);
  t.deepEqual([3, 3 + COUNT].map(isIdle), [false, true]);
  idle.released(100, 3);
  t.true(isIdle(3 + COUNT));
  idle.opened(100, 2 ** 32 + 1);
  t.false(isIdle(1));
});
