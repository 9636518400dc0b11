import test from 'ava';
import { changedMode } from '../../../src/cli/files/mode-changes.ts';
import { modeText } from '../../../src/cli/files/mode-text.ts';
import { UsageError } from '../../../src/cli/program.ts';
import { FileType } from '../../../src/rpc/messages.ts';

test('modes change as chmod(1) has it', (t) => {
  const check = (text: string, before: number, expected: number, isDirectory = false) =>
    t.is(changedMode(text, { mode: before, isDirectory, umask: 0o022 }), expected, text);
  check('0755', 0, 0o755);
  check('4711', 0, 0o4711);
  check('u+x', 0o644, 0o744);
  check('go-r', 0o644, 0o600);
  check('a=r', 0o777, 0o444);
  check('u=rw,g=u,o=', 0o777, 0o660);
  check('+w', 0o444, 0o644);
  check('a+w', 0o444, 0o666);
  check('+X', 0o644, 0o644);
  check('+X', 0o744, 0o755);
  check('a+X', 0o644, 0o755, true);
  check('u+s,g+s,+t', 0o755, 0o7755);
  check('ug-s', 0o6755, 0o755);
  check('u=rwx', 0o4755, 0o755);
  check('u=rwx', 0o4755, 0o4755, true);
  check('u+r-w', 0o200, 0o400);
});

test('a mode that means nothing is a wrong call', (t) => {
  for (const text of ['', 'u', '999', 'u+y', 'rwx', '07777x', 'u+x,']) {
    t.throws(() => changedMode(text, { mode: 0, isDirectory: false, umask: 0 }), {
      instanceOf: UsageError,
    });
  }
});

test('modes read as ls shows them', (t) => {
  t.is(modeText(FileType.FILE_TYPE_REGULAR, 0o644), '-rw-r--r--');
  t.is(modeText(FileType.FILE_TYPE_DIRECTORY, 0o1777), 'drwxrwxrwt');
  t.is(modeText(FileType.FILE_TYPE_REGULAR, 0o6744), '-rwsr-Sr--');
});
