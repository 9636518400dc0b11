import test from 'ava';
import { lineOf } from '../../src/cli/commands/event-lines.ts';

const TIME_MS = new Date(2026, 1, 3, 14, 5, 6, 78).getTime();
const event = (message: string, fields: object) => ({
  ...{ number: 1, timeMs: TIME_MS, level: 'warn', component: 'raise', message },
  fields: JSON.stringify(fields),
});

test('an event is a line: when, how bad, who, which part, what, and values', (t) => {
  t.is(
    lineOf(
      'server 3',
      event('a bad block was put right', { chunk: '1f', block: 2, why: 'no match' }),
      undefined,
    ),
    '14:05:06.078 warn  server 3  raise    a bad block was put right chunk=1f block=2 why="no match"',
  );
  t.is(
    lineOf('master', { ...event('stopping', {}), fields: '' }, 80),
    '14:05:06.078 warn  master    raise    stopping',
  );
});

test('on a terminal a line ends where the window ends', (t) => {
  const line = lineOf('server 3', event('a replica is bad', { reason: 'x'.repeat(100) }), 80);
  t.is(line.length, 80);
  t.regex(line, /x…$/);
});

test('what a terminal would take for orders is shown, not sent', (t) => {
  const line = lineOf('master', event('bad \x1b[2J name', { name: 'a\n\x9b31m\u2028' }), undefined);
  t.false(/[\p{Cc}\u2028]/u.test(line), JSON.stringify(line));
  t.true(line.includes('bad \\u001b[2J name name="a\\n\\u009b31m\\u2028"'), line);
});
