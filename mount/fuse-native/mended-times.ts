import type { NativeHandler } from './package.ts';

/** The package's number of this operation. */
export const UTIMENS = 12;
/** Where a thread's record holds the time of the last access in milliseconds; that of the last change comes next. */
const ATIME_OFFSET = process.platform === 'darwin' ? 96 : 104;
const WORD = 2n ** 32n;

/**
 * The binding of fuse-native 2.2.6 passes the time of the last access twice. Both are in the calling thread's record, where this
 * reads them for the package's own handler, as whole numbers (which may be negative) in place of low and high halves. A
 * binary that keeps its records otherwise gives NaN.
 */
export function withBothTimes(handler: NativeHandler): NativeHandler {
  return (record, operation, path, low = 0, high = 0) => {
    const atimeMs = record.readBigInt64LE(ATIME_OFFSET);
    const mtimeMs = record.readBigInt64LE(ATIME_OFFSET + 8);
    if (BigInt.asUintN(64, atimeMs) === BigInt(high) * WORD + BigInt(low)) {
      handler(record, operation, path, Number(atimeMs), 0, Number(mtimeMs), 0);
    } else {
      handler(record, operation, path, Number.NaN, 0, Number.NaN, 0);
    }
  };
}
