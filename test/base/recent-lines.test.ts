import test from 'ava';
import { RecentLines } from '../../src/base/recent-lines.ts';

const texts = (lines: readonly { text: string }[]) => lines.map(({ text }) => text);

test('lines are kept in order, and told from one on', (t) => {
  const recent = new RecentLines();
  recent.add('info', 'one');
  recent.add('debug', 'two');
  recent.add('error', 'three');
  t.deepEqual(texts(recent.since(0)), ['one', 'two', 'three']);
  t.deepEqual(texts(recent.since(2)), ['three']);
  t.deepEqual(texts(recent.since(recent.lastNumber)), []);
});

test('many lines at debug take no other from its place, and are bounded themselves', (t) => {
  const recent = new RecentLines();
  recent.add('warn', 'that matters');
  for (let index = 0; index < 10_000; index += 1) recent.add('debug', `call ${index}`);
  const kept = recent.since(0);
  t.is(kept[0]?.text, 'that matters');
  t.is(kept.length, 2001);
  t.is(kept.at(-1)?.text, 'call 9999');
  t.false(recent.isMissing(0, 'info'));
  t.true(recent.isMissing(0, 'debug'));
  t.false(recent.isMissing(recent.lastNumber, 'debug'));
});

test('long lines are bounded by what they take', (t) => {
  const recent = new RecentLines();
  for (let index = 0; index < 10; index += 1) recent.add('info', `${index}${'x'.repeat(300_000)}`);
  t.deepEqual(
    recent.since(0).map(({ text }) => text[0]),
    ['7', '8', '9'],
  );
});

test('who waits hears of the next line, or that nobody wants it any more', async (t) => {
  const recent = new RecentLines();
  const stop = new AbortController();
  recent.add('info', 'one');
  await recent.after(0, stop.signal);
  const next = recent.after(1, stop.signal);
  recent.add('info', 'two');
  await next;
  const never = recent.after(2, stop.signal);
  stop.abort();
  await never;
  await recent.after(2, stop.signal);
  t.deepEqual(texts(recent.since(1)), ['two']);
});
