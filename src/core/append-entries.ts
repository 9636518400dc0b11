import type { AppendEntry, RecordPlace } from './replica-types.ts';

/** Of so many of a writer's numbered records, the latest, the table of appends keeps the places. A batch has no more. */
export const APPEND_RECORDS_MAX = 64;

/** More writers of numbered records than this in one chunk, and it is sealed: with their places a table has to fit a message. */
export const NUMBERED_WRITERS_MAX = 1_000;

/** Where the records of a batch lie that begins there. */
export function placesOf(chunkOffset: number, lengths: readonly number[]): RecordPlace[] {
  let position = chunkOffset;
  return lengths.map((length) => {
    const place = { chunkOffset: position, length };
    position += length;
    return place;
  });
}

/** The writer's entry once he has appended that: with the places of what he appended right before it. */
export function entryAfter<Entry extends Omit<AppendEntry, 'writer'>>(
  before: Omit<AppendEntry, 'writer'> | undefined,
  appended: Entry,
): Entry {
  const { number, records } = appended;
  if (records === undefined || before?.records === undefined) return appended;
  if (before.number !== number - records.length) return appended;
  return { ...appended, records: [...before.records, ...records].slice(-APPEND_RECORDS_MAX) };
}

/** Where his record of that number lies; undefined: it is not among those that are kept. */
export function placeIn(
  { number: last, records = [] }: Pick<AppendEntry, 'number' | 'records'>,
  number: number,
): RecordPlace | undefined {
  return number > last ? undefined : records.at(number - last - 1);
}

/** Why these are no lengths of records, up to `number`, that make `length` bytes; undefined: they are. */
export function badLengths(
  lengths: readonly number[],
  { number, length }: { readonly number: number; readonly length: number },
): string | undefined {
  if (lengths.length > APPEND_RECORDS_MAX)
    return `a batch of ${lengths.length} records; at most ${APPEND_RECORDS_MAX}`;
  if (lengths.some((one) => one < 1)) return 'a record of nothing';
  if (lengths.reduce((sum, one) => sum + one, 0) !== length) return `the records are not ${length} bytes`;
  return number < lengths.length ? `${lengths.length} records cannot end with number ${number}` : undefined;
}
