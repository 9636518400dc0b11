import test from 'ava';
import { firstNumber } from '../../src/core/session-numbers.ts';

const NOW_MS = 1_800_000_000_000;
const HOUR_MS = 3_600_000;
/** In some seconds. */
const DEALT = 100 * 16_384;

test('P25: a start of which the log knows nothing is no reason to deal its numbers again', (t) => {
  const lost = firstNumber({ next: 1, nowMs: NOW_MS, random: 0.5 });
  t.true(firstNumber({ next: 1, nowMs: NOW_MS + 1000, random: 0.5 }) > lost + DEALT);
  t.true(firstNumber({ next: 1, nowMs: NOW_MS + 20 * 365 * 24 * HOUR_MS, random: 0.5 }) > lost + DEALT);
});

test('P25: nor is one before the clock was set back', (t) => {
  const next = firstNumber({ next: 1, nowMs: NOW_MS, random: 0.5 });
  const lost = firstNumber({ next, nowMs: NOW_MS - HOUR_MS, random: 0.25 });
  const first = firstNumber({ next, nowMs: NOW_MS - HOUR_MS + 1000, random: 0.5 });
  t.true(first > lost + DEALT);
  t.true(lost > next + DEALT, 'what was dealt since the last number that is logged is skipped');
});

test('numbers are never below those that the log has, and a wrong clock does not use them up', (t) => {
  const clocks = [0, NOW_MS - HOUR_MS, NOW_MS + HOUR_MS / 1000, NOW_MS * 2, Number.MAX_SAFE_INTEGER];
  for (const nowMs of clocks) {
    for (const next of [1, 2 ** 40, 2 ** 52]) {
      let first = next;
      for (let start = 0; start < 1000; start += 1) {
        const before = first;
        first = firstNumber({ next: before, nowMs, random: 0.999 });
        t.true(first >= before);
      }
      t.true(first < 2 ** 52 + 2 ** 36, `${nowMs}, ${next}`);
      t.true(Number.isSafeInteger(first));
    }
  }
});

test('a clock with fractions of milliseconds gives whole numbers', (t) => {
  t.true(Number.isSafeInteger(firstNumber({ next: 1, nowMs: NOW_MS + 1 / 3, random: 1 / 3 })));
});
