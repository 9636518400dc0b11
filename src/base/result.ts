import { type ErrorCode, type ErrorFields, GfsError } from './errors.ts';

/** The core's answer where it expects to refuse: failures are values, thrown only by the shells. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: Refusal };

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly fields?: ErrorFields;
}

export function ok<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function refuse(
  code: ErrorCode,
  message: string,
  fields?: ErrorFields,
): { ok: false; error: Refusal } {
  return { ok: false, error: fields === undefined ? { code, message } : { code, message, fields } };
}

/** The value, or the refusal thrown as a `GfsError`. */
export function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  const { code, message, fields } = result.error;
  throw new GfsError(code, message, fields === undefined ? {} : { fields });
}
