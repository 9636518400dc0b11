import test from 'ava';
import fc from 'fast-check';
import { argumentsIn, exactBytes, exactText } from '../../../src/cli/files/exact-text.ts';
import { jsonName, shown } from '../../../src/cli/files/shown-name.ts';

test('text says all bytes, and valid UTF-8 as it is', (t) => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      t.deepEqual(exactBytes(exactText(bytes)), Buffer.from(bytes));
    }),
  );
  t.is(exactText(Buffer.from('grüße 🐘')), 'grüße 🐘');
  t.is(exactText(Buffer.from([0x61, 0xff, 0xc3, 0x28])), 'a\udcff\udcc3(');
  // A surrogate that somebody encoded as if it were a character.
  t.deepEqual(exactBytes(exactText(Buffer.from([0xed, 0xb2, 0x80]))), Buffer.from([0xed, 0xb2, 0x80]));
});

test('arguments are what comes last in a command line, as bytes', (t) => {
  const cmdline = Buffer.from('node\0--flag\0gfs.js\0ls\0/a\xff\0\0', 'latin1');
  t.deepEqual(argumentsIn(cmdline, 3), ['ls', '/a\udcff', '']);
});

test('names are shown as they are, unless something of them would not be seen', (t) => {
  const check = (name: string, expected: string) => t.is(shown(Buffer.from(name, 'latin1')), expected);
  check('plain name', 'plain name');
  check("it's", "it's");
  check('back\\slash', 'back\\slash');
  check('line\nbreak', "$'line\\nbreak'");
  check("\x1b[31m'\\", "$'\\x1b[31m\\'\\\\'");
  check('a\xffb', "$'a\\xffb'");
  check("$'x", "$'$\\'x'");
  t.is(shown(Buffer.from('exe\u202egnp')), "$'exe\\xe2\\x80\\xaegnp'");
  t.is(shown(Buffer.from('grüße')), 'grüße');
});

test('JSON has the bytes of a name that text cannot say', (t) => {
  t.deepEqual(jsonName('name', Buffer.from('a\nb')), { name: 'a\nb' });
  const told = jsonName('path', Buffer.from([0x61, 0xff])) as Record<string, string>;
  t.deepEqual(told, { path: 'a\ufffd', pathBase64: 'Yf8=' });
});
