import { checkFd } from './arguments.ts';
import { binding } from './binding.ts';

/**
 * Takes the exclusive lock of an open file without waiting: true when it is ours now, false when another open file (of this
 * process or another) has it. The lock ends when the descriptor and all its copies are closed, at the latest with the
 * process.
 */
export function flock(fd: number): boolean {
  return binding().flock(checkFd(fd));
}
