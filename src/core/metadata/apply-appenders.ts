import type { InodeId } from '../../base/ids.ts';
import { type Result, refuse } from '../../base/result.ts';
import { DAY_MS, SECOND_MS } from '../../base/units.ts';
import { regularFile } from './apply-chunks.ts';
import type { NamedAppender } from './commands.ts';
import { type Prepare, ready } from './prepared.ts';
import type { Appender, Inode, Time } from './rows.ts';
import type { MetadataState } from './state.ts';

export const APPENDER_BYTES_MAX = 64;
export const APPENDERS_MAX = 4096;
/** One that was not named for so long gives its place to another. */
const UNUSED_SECONDS_MAX = DAY_MS / SECOND_MS;

/**
 * A writer under a name that programs choose: whoever names it appends in its turn, and what it appended before is known (P15).
 * Who may do so was decided when the file was opened, as with all commands on its bytes.
 */
export const prepareNameAppender: Prepare<'nameAppender'> = (
  state,
  { inode, appender, writer, from, highest, truncations },
  { time },
) => {
  const file = regularFile(state, inode);
  if (!file.ok) return file;
  const bad = badAppenderName(appender);
  if (bad !== undefined) return bad;
  const before = state.tables.appender(inode, appender);
  if (before !== undefined) {
    const isMoved = from !== undefined && truncations === file.value.truncations;
    const moved = isMoved ? { from: Math.max(before.from, from), truncations } : {};
    const named = { ...before, ...moved, highest: Math.max(before.highest, highest), usedAt: time };
    return ready(() => {
      state.tables.putAppender(inode, appender, named);
      return answerOf(named, file.value);
    });
  }
  if (writer === 0) return refuse('NOT_READY', 'the appender gave its place to another meanwhile');
  const place = placeFor(state, inode, time);
  if (!place.ok) return place;
  return ready(() => {
    const { length, truncations } = file.value;
    const made = { writer, from: length, highest, truncations, usedAt: time };
    if (place.value !== undefined) state.tables.removeAppender(inode, place.value);
    state.tables.putAppender(inode, appender, made);
    return answerOf(made, file.value);
  });
};

export function badAppenderName(appender: Uint8Array): Result<never> | undefined {
  if (appender.length >= 1 && appender.length <= APPENDER_BYTES_MAX) return undefined;
  return refuse('INVALID_ARGUMENT', `an appender's name has 1 to ${APPENDER_BYTES_MAX} bytes`);
}

function answerOf({ writer, from, highest, truncations }: Appender, file: Inode): NamedAppender {
  const truncated = truncations !== file.truncations;
  return { writer, from, highest, truncations: file.truncations, truncated };
}

/** Of a new one: whose it takes over, if the file has no more. */
function placeFor(state: MetadataState, inode: InodeId, time: Time): Result<Buffer | undefined> {
  const there = state.tables.appenders(inode);
  if (there.length < APPENDERS_MAX) return { ok: true, value: undefined };
  const oldest = there.reduce((one, other) => (other.usedAt.seconds < one.usedAt.seconds ? other : one));
  if (time.seconds - oldest.usedAt.seconds > UNUSED_SECONDS_MAX) return { ok: true, value: oldest.appender };
  return refuse('NO_SPACE', `inode ${inode} has ${APPENDERS_MAX} appenders that were used within a day`);
}
