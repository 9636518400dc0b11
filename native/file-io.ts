import { GfsError } from '../src/base/errors.ts';
import { checkFd } from './arguments.ts';
import { binding } from './binding.ts';

/** Of one call, so that its count fits the addon's integers with room to spare. */
const READ_BYTES_MAX = 1 << 30;

/**
 * Fills `into` from `position` with what is in memory already: the bytes read, 0 at the end of the file, or undefined
 * when only waiting for the disk would give any (or the file system cannot tell). Never waits.
 */
export function preadNowait(fd: number, into: Uint8Array, position: number): number | undefined {
  if (into.length > READ_BYTES_MAX || !Number.isSafeInteger(position) || position < 0) {
    throw new GfsError('INVALID_ARGUMENT', `cannot read ${into.length} bytes at ${position}`);
  }
  const count = binding().preadNowait(checkFd(fd), into, position);
  return count < 0 ? undefined : count;
}

/**
 * The room of a range is given back, and the range reads as zeros; the file stays as long as it is. Rejects with EOPNOTSUPP
 * as `code` where the file system cannot do that.
 */
export function punchHole(fd: number, start: number, length: number): Promise<void> {
  const isRange = [start, length, start + length].every(Number.isSafeInteger) && start >= 0 && length > 0;
  if (!isRange) throw new GfsError('INVALID_ARGUMENT', `cannot punch ${length} bytes at ${start}`);
  return binding().punchHole(checkFd(fd), start, length);
}
