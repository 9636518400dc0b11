import { codeOf, type ErrorCode, GfsError, messageOf } from '../base/errors.ts';

/**
 * What is known of a write or append that failed, in the error's field `applied`. `no`: nothing of it is in the file, nor will
 * be; it may be sent again. `unknown`: it may be there, or appear later, once.
 */
export type Applied = 'no' | 'unknown';

/** The error with that field; what it says already stands. */
export function telling(error: unknown, applied: Applied): GfsError {
  const fields = error instanceof GfsError ? error.fields : {};
  if (error instanceof GfsError && fields.applied !== undefined) return error;
  return new GfsError(codeOf(error), messageOf(error), { cause: error, fields: { ...fields, applied } });
}

/** Of an attempt at one primary: it refused before it ordered anything. Every other error may hide an order. */
export function wasNotOrdered(error: unknown): boolean {
  return REFUSALS.has(codeOf(error));
}

const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INVALID_ARGUMENT',
  'VERSION_MISMATCH',
  'NO_SUCH_CHUNK',
  'NO_SUCH_PUSH',
  'NOT_READY',
  'NO_SPACE',
  'SEALED',
  'CHECKSUM_MISMATCH',
  'CHUNK_LOST',
]);
