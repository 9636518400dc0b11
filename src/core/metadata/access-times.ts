import type { InodeId } from '../../base/ids.ts';
import { DAY_MS, SECOND_MS } from '../../base/units.ts';
import type { Attributes, Time } from './rows.ts';
import { compareTimes, laterTime } from './times.ts';

/** Reading moves a time of access that is so old, whatever else became of the file. */
const AGE_SECONDS_MAX = DAY_MS / SECOND_MS;

type Times = { readonly [K in 'atime' | 'mtime' | 'ctime']: Time | undefined };

/** That somebody read an inode. */
export interface InodeRead {
  readonly inode: InodeId;
  /** When he did. */
  readonly atime: Time | undefined;
  /** What the time of access was before, for all that he knew. */
  readonly knownAtime: Time | undefined;
}

/**
 * The time of access after a read now, as `relatime` has it; undefined: it stays. It moves with the first read after a change, and
 * once a day: so what is read all the time costs nothing.
 *
 * What was changed has the master's time, or a writer's; `now` is the reader's. It comes behind them whatever the clocks say, or
 * each read would be the first one.
 */
export function accessTimeOfRead({ atime, mtime, ctime }: Times, now: Time): Time | undefined {
  if (atime === undefined || mtime === undefined || ctime === undefined) return undefined;
  // A time in the future was set by somebody, and says nothing of when the bytes were written.
  const changed = compareTimes(mtime, now) > 0 ? ctime : laterTime(mtime, ctime);
  const isOld = now.seconds - atime.seconds >= AGE_SECONDS_MAX;
  if (!isOld && compareTimes(atime, changed) > 0) return undefined;
  const moved = laterTime(now, justBehind(changed));
  return compareTimes(moved, atime) > 0 ? moved : undefined;
}

/**
 * Whether a read that was told later still counts: not if the time of access was set meanwhile, by another reader or by utimensat.
 */
export function countsAsRead(
  { atime: old }: Pick<Attributes, 'atime'>,
  { atime, knownAtime }: InodeRead,
): boolean {
  if (atime === undefined || knownAtime === undefined) return false;
  return compareTimes(old, knownAtime) === 0 && compareTimes(atime, old) > 0;
}

function justBehind({ seconds, nanos }: Time): Time {
  return nanos === 999_999_999 ? { seconds: seconds + 1, nanos: 0 } : { seconds, nanos: nanos + 1 };
}
