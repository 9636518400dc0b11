import { GfsError } from '../src/base/errors.ts';

// The addon trusts its arguments: these checks are the only ones between JavaScript and C++.

export function checkFd(fd: number): number {
  return checkInteger(fd, 'a file descriptor', { min: 0, max: 0x7fffffff });
}

export function checkInteger(value: number, what: string, range: { min: number; max: number }): number {
  if (!Number.isInteger(value) || value < range.min || value > range.max) {
    throw new GfsError('INVALID_ARGUMENT', `${value} is not ${what}`);
  }
  return value;
}

/** Text that C sees to its end. */
export function checkText(text: string, what: string): string {
  if (typeof text !== 'string' || text.includes('\0')) {
    throw new GfsError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not ${what}`);
  }
  return text;
}
