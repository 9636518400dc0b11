import { type Result, refuse } from '../../base/result.ts';
import { SECOND_MS } from '../../base/units.ts';
import type { Time } from './rows.ts';

const NANOS_PER_MS = 1e6;
const NANOS_PER_MICRO = 1e3;
const NANOS_PER_SECOND = 1e9;
const MICROS_PER_SECOND = 1e6;

/** Of a clock that counts from 1970 on. */
export function timeOf(ms: number): Time {
  const seconds = Math.floor(ms / SECOND_MS);
  return { seconds, nanos: Math.floor((ms - seconds * SECOND_MS) * NANOS_PER_MS) };
}

/** Of a clock that counts whole microseconds from 1970 on. */
export function timeOfMicros(micros: number): Time {
  const seconds = Math.floor(micros / MICROS_PER_SECOND);
  return { seconds, nanos: (micros - seconds * MICROS_PER_SECOND) * NANOS_PER_MICRO };
}

/** The first time that is later. */
export function justAfter({ seconds, nanos }: Time): Time {
  return nanos + 1 < NANOS_PER_SECOND ? { seconds, nanos: nanos + 1 } : { seconds: seconds + 1, nanos: 0 };
}

/** Why times that came from outside are none. */
export function badTimes(times: readonly (Time | undefined)[]): Result<never> | undefined {
  const isBad = times.some((time) => time !== undefined && time.nanos >= NANOS_PER_SECOND);
  return isBad ? refuse('INVALID_ARGUMENT', 'a second has 10^9 nanoseconds') : undefined;
}

export function sameTime(one: Time | undefined, other: Time | undefined): boolean {
  return one === other || (one?.seconds === other?.seconds && one?.nanos === other?.nanos);
}

/** Below zero: the first is earlier. */
export function compareTimes(first: Time, second: Time): number {
  return first.seconds === second.seconds ? first.nanos - second.nanos : first.seconds - second.seconds;
}

/** From the first to the second. */
export function secondsBetween(first: Time, second: Time): number {
  return second.seconds - first.seconds + (second.nanos - first.nanos) / NANOS_PER_SECOND;
}

export function laterTime(first: Time, second: Time): Time {
  return compareTimes(first, second) >= 0 ? first : second;
}
