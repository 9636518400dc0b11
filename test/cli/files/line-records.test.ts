import test from 'ava';
import fc from 'fast-check';
import { joined } from '../../../src/base/bytes.ts';
import { LineRecords } from '../../../src/cli/files/line-records.ts';

function recordsOf(pieces: readonly string[], bytesMax: number): string[] {
  const records = new LineRecords(bytesMax);
  const made = [...pieces.flatMap((piece) => [...records.take(Buffer.from(piece))]), ...records.rest()];
  return made.map((record) => Buffer.from(joined(record)).toString());
}

test('a record has whole lines, those that came together', (t) => {
  t.deepEqual(recordsOf(['a\nb\n', 'c'], 100), ['a\nb\n', 'c']);
  t.deepEqual(recordsOf(['a', 'b', 'c\nd', '\n'], 100), ['abc\n', 'd\n']);
  t.deepEqual(recordsOf(['aa\nbb\ncc\n'], 6), ['aa\nbb\n', 'cc\n']);
  t.deepEqual(recordsOf([], 6), []);
});

test('a line that is longer than a record is refused', (t) => {
  t.throws(() => recordsOf(['abcdef', 'g\n'], 6), { message: /a line has up to 6 B/ });
  t.throws(() => recordsOf(['abcdef', 'g'], 6), { message: /a line has up to 6 B/ });
});

test('whatever the pieces, records are the text and end where lines end', (t) => {
  const line = fc.string({ maxLength: 7 }).map((text) => `${text.replace(/[^a-z]/g, 'x')}\n`);
  const piece = fc.array(line, { maxLength: 3 }).map((lines) => lines.join('').slice(0, 8));
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const text = pieces.join('');
      fc.pre(text.split('\n').every((each) => each.length < 8));
      const records = recordsOf(pieces, 8);
      t.is(records.join(''), text);
      for (const record of records.slice(0, -1)) t.regex(record, /\n$/);
      t.true(records.every((record) => record.length <= 8));
    }),
  );
});
