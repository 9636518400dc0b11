import { GfsError } from '../src/base/errors.ts';

/** The addon trusts its arguments: these checks are the only ones between JavaScript and C++. */
export function checkFd(fd: number): number {
  if (!Number.isInteger(fd) || fd < 0 || fd > 0x7fffffff) {
    throw new GfsError('INVALID_ARGUMENT', `${fd} is not a file descriptor`);
  }
  return fd;
}
