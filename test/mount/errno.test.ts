import { constants } from 'node:os';
import test from 'ava';
import { ErrnoError, errnoOf, errnoOfCode } from '../../mount/errno.ts';
import { ERROR_CODES, GfsError } from '../../src/base/errors.ts';

test('every error has an errno, and none makes the kernel believe that an operation does not exist', (t) => {
  for (const code of ERROR_CODES) {
    const errno = errnoOfCode(code);
    t.true(errno > 0, code);
    t.not(errno, constants.errno.ENOSYS, code);
  }
});

test('a missing chunk is not a missing file, and only a cancelled wait is EINTR', (t) => {
  t.is(errnoOfCode('NO_SUCH_CHUNK'), constants.errno.EIO);
  t.deepEqual(
    ERROR_CODES.filter((code) => errnoOfCode(code) === constants.errno.EINTR),
    ['CANCELLED'],
  );
});

test('errors are told by their code, unknown ones are EIO', (t) => {
  t.is(errnoOf(new GfsError('NO_SPACE', 'full')), constants.errno.ENOSPC);
  t.is(errnoOf(new ErrnoError(constants.errno.ESTALE, 'gone')), constants.errno.ESTALE);
  t.is(errnoOf(new TypeError('oops')), constants.errno.EIO);
});
