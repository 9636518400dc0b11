import { GfsError } from './errors.ts';

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const MICROS_PER_MS = 1000;

/** Without digits that a clock does not have: for log lines. */
export function wholeMicros(ms: number): number {
  return Math.round(ms * MICROS_PER_MS) / MICROS_PER_MS;
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: KiB,
  kib: KiB,
  kb: 1000,
  m: MiB,
  mib: MiB,
  mb: 1000 ** 2,
  g: GiB,
  gib: GiB,
  gb: 1000 ** 3,
  t: TiB,
  tib: TiB,
  tb: 1000 ** 4,
};
const SPAN_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND_MS,
  m: MINUTE_MS,
  min: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
};

/** Bytes meant by "64MiB", "1g" or "4096". Throws `INVALID_ARGUMENT` for anything else. */
export function parseSize(text: string): number {
  return parseWithUnit(text, SIZE_UNITS, 'a size such as 64MiB or 1GiB');
}

/** Milliseconds meant by "100ms", "5s", "10min", "1h" or "3d"; a bare number is seconds. */
export function parseSpan(text: string): number {
  return parseWithUnit(text, { '': SECOND_MS, ...SPAN_UNITS }, 'a span of time such as 100ms, 5s or 1h');
}

function parseWithUnit(text: string, units: Readonly<Record<string, number>>, wanted: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = match?.[2] === undefined ? undefined : units[match[2].toLowerCase()];
  const value = unit === undefined ? Number.NaN : Math.round(Number(match?.[1]) * unit);
  if (Number.isNaN(value)) throw new GfsError('INVALID_ARGUMENT', `"${text}" is not ${wanted}`);
  if (!Number.isSafeInteger(value)) throw new GfsError('INVALID_ARGUMENT', `"${text}" is too large`);
  return value;
}

/** "64.0 MiB": for people; never parsed again. */
export function formatSize(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let index = 0;
  while (value >= 1024 && index < names.length - 1) {
    value /= 1024;
    index += 1;
  }
  return index === 0 ? `${bytes} B` : `${value.toFixed(1)} ${names[index]}`;
}
