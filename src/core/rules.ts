/**
 * Rules of the chunk protocol (P), of named appenders (A), long commands (T), and of locks (L), that can be left out, one at a time. For the simulator alone, which has to notice: each is
 * there because of an accident that follows without it. No program has a key for it; absent, all rules hold.
 *
 *     P2   a replica records a version only if it is above its own
 *     P3   the primary is any whole member, whatever version it has recorded
 *     P5   a restarted server is primary of nothing
 *     P6   a restarted replica takes no orders before it is reconciled under a new version
 *     P7   a replica that lost power is not whole
 *     P9   a repaired copy is admitted when it has all that clients were told
 *     P10  a mutation is answered when all members applied it
 *     P13  nobody is shown appended bytes that are not committed on all members
 *     P15  an append that was taken before is not applied again
 *     P17  a record is pursued in its chunk until that is known not to have it
 *     P18  the table of appends is handed on when members are made equal
 *     P19  a replica that has missed a truncation makes up for it with the next version
 *     P20  a chunk is shared when nobody can mutate it any more
 *     P21  after a restart of the master, any file may be under the pen of who has not told yet
 *     A1   a named appender goes on behind extents that are sealed, and whose tables were read
 *     T1   a restarted master goes on with the long commands that it finds
 *     L1   after a restart of the master, nothing is locked before all have told what they hold
 *     L2   what a session that ended has locked and was writing passes on when nothing of it can arrive any more
 */
export type Rule =
  | 'P2'
  | 'P3'
  | 'P5'
  | 'P6'
  | 'P7'
  | 'P9'
  | 'P10'
  | 'P13'
  | 'P15'
  | 'P17'
  | 'P18'
  | 'P19'
  | 'P20'
  | 'P21'
  | 'A1'
  | 'T1'
  | 'L1'
  | 'L2';

export type Rules = ReadonlySet<Rule>;

/** Nothing is left out. */
export const NO_RULES: Rules = new Set();
