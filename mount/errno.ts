import { constants } from 'node:os';
import { unreachable } from '../src/base/assert.ts';
import { codeOf, type ErrorCode } from '../src/base/errors.ts';

export const {
  EILSEQ,
  EINTR,
  EINVAL,
  EIO,
  ENODATA,
  ENODEV,
  ENOENT,
  ENOSYS,
  ENXIO,
  EOPNOTSUPP,
  EPROTO,
  ERANGE,
  ESTALE,
} = constants.errno;

/** An answer that only the kernel understands. */
export class ErrnoError extends Error {
  override name = 'ErrnoError';
  readonly errno: number;

  constructor(errno: number, message: string) {
    super(message);
    this.errno = errno;
  }
}

/** What a program that uses the mount is told of an error. */
export function errnoOf(error: unknown): number {
  return error instanceof ErrnoError ? error.errno : errnoOfCode(codeOf(error));
}

export function errnoOfCode(code: ErrorCode): number {
  const { errno } = constants;
  switch (code) {
    case 'INVALID_ARGUMENT':
      return errno.EINVAL;
    case 'MESSAGE_TOO_LARGE':
      return errno.EMSGSIZE;
    case 'UNIMPLEMENTED':
      // Not ENOSYS: the kernel would never ask for such an operation again, on any file.
      return errno.EOPNOTSUPP;
    case 'NOT_FOUND':
      return errno.ENOENT;
    case 'EXISTS':
      return errno.EEXIST;
    case 'NOT_DIRECTORY':
      return errno.ENOTDIR;
    case 'IS_DIRECTORY':
      return errno.EISDIR;
    case 'NOT_EMPTY':
      return errno.ENOTEMPTY;
    case 'NAME_TOO_LONG':
      return errno.ENAMETOOLONG;
    case 'PERMISSION_DENIED':
      return errno.EACCES;
    case 'NOT_PERMITTED':
      return errno.EPERM;
    case 'READ_ONLY':
      return errno.EROFS;
    case 'TOO_MANY_LINKS':
      return errno.EMLINK;
    case 'CROSS_DEVICE':
      return errno.EXDEV;
    case 'NO_DATA':
      return errno.ENODATA;
    case 'VALUE_TOO_LARGE':
      return errno.E2BIG;
    case 'BAD_FILE':
      return errno.EBADF;
    case 'FILE_TOO_LARGE':
      return errno.EFBIG;
    case 'NO_SPACE':
      return errno.ENOSPC;
    case 'BUSY':
      return errno.EBUSY;
    case 'LOOP':
      return errno.ELOOP;
    case 'LOCKED':
      return errno.EAGAIN;
    case 'DEADLOCK':
      return errno.EDEADLK;
    case 'TOO_MANY_LOCKS':
      return errno.ENOLCK;
    case 'CANCELLED':
      return errno.EINTR;
    // A missing chunk is not a missing file, and a cluster that does not answer has been waited for long enough: to a
    // program all of these are a disk that fails.
    case 'NO_SUCH_CHUNK':
    case 'VERSION_MISMATCH':
    case 'NOT_PRIMARY':
    case 'NOT_READY':
    case 'SERIAL_GAP':
    case 'SEALED':
    case 'TRUNCATED':
    case 'CHECKSUM_MISMATCH':
    case 'NO_SUCH_PUSH':
    case 'TOO_FEW_REPLICAS':
    case 'WRITES_LOST':
    case 'CHUNK_LOST':
    case 'NO_SUCH_SESSION':
    case 'SESSION_EXPIRED':
    case 'WRONG_FILESYSTEM':
    case 'ALREADY_RUNNING':
    case 'WRONG_SERVICE':
    case 'CONFIG_MISMATCH':
    case 'UNAVAILABLE':
    case 'DEADLINE_EXCEEDED':
    case 'IO_ERROR':
    case 'CORRUPT':
    case 'INTERNAL':
      return errno.EIO;
    default:
      return unreachable(code);
  }
}
