/**
 * Sessions and writers are numbered by one counter, and the log keeps it. A log that lost its end (P25) has an earlier one, and what
 * was dealt from there on would be dealt again, with nothing to show it: one session would get the answers to the other's
 * commands, and one writer's records would count as the other's (P15).
 *
 * So what the log says is a lower bound only, and each start of a master begins where the clock says: no start can lose that. It is
 * also above all that earlier starts dealt, for nobody deals as fast as the clock goes.
 */

/** 2020-01-01. */
const EPOCH_MS = 1_577_836_800_000;
/** Four million a second: some hundreds of reservations, each synced, without a pause since the last start. */
const NUMBERS_PER_MS = 2 ** 12;
/** The clock gets there in 2054. One that is past it by mistake shall not use up what there is below 2^53. */
const BY_CLOCK_END = 2 ** 52;
/** More than were dealt in any tail of a log that a disk can lose, and seldom used up: for a hundred million starts. */
const NUMBERS_SKIPPED = 2 ** 24;

/**
 * The first number of a master's start. `next`: the log's. `random`, in [0, 1), makes it unlikely that a number comes again where
 * the clock does not do it, because it was set back: a lost start may have skipped as far.
 */
export function firstNumber({
  next,
  nowMs,
  random,
}: {
  next: number;
  nowMs: number;
  random: number;
}): number {
  const byClock = Math.floor(nowMs - EPOCH_MS) * NUMBERS_PER_MS;
  if (byClock >= next && byClock < BY_CLOCK_END) return byClock;
  return next + NUMBERS_SKIPPED + Math.floor(random * NUMBERS_SKIPPED);
}
