import { AssertionError } from '../base/assert.ts';
import { GfsError, isErrorCode, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ErrorDetail } from './messages.ts';

/** The error as it crosses the wire. */
export function detailOf(error: GfsError): ErrorDetail {
  return { code: error.code, message: error.message, fields: { ...error.fields } };
}

export function errorOfDetail(detail: ErrorDetail): GfsError {
  const { code, message, fields } = detail;
  // A later version may know more codes: what we can't branch on is told in words.
  if (!isErrorCode(code)) return new GfsError('INTERNAL', `${code}: ${message}`, { fields });
  return new GfsError(code, message, { fields });
}

export interface FailureReport {
  readonly log: Logger;
  readonly requestId: string;
  readonly method: string;
  readonly onBug: (error: unknown) => void;
}

/** What the caller is told of whatever a handler threw. What is not a `GfsError` is a bug of ours, and is logged. */
export function failureOf(error: unknown, report: FailureReport): GfsError {
  if (error instanceof GfsError) return error;
  const { log, requestId, method } = report;
  log.error({ requestId, method, error }, 'a call failed by a bug');
  if (error instanceof AssertionError) report.onBug(error);
  return new GfsError('INTERNAL', `${messageOf(error)} (request ${requestId})`, { cause: error });
}

/** "cannot reach 127.0.0.1:7400: connection refused". */
export function unreachableError(address: string, cause: unknown): GfsError {
  return new GfsError('UNAVAILABLE', `cannot reach ${address}: ${wordsOf(cause)}`, { cause });
}

export function silenceWords(ms: number): string {
  return `no answer within ${Math.round(ms / 100) / 10} s`;
}

export function lostError(address: string, cause: unknown): GfsError {
  return new GfsError('UNAVAILABLE', `connection to ${address} lost: ${wordsOf(cause)}`, { cause });
}

/** What went wrong with a socket, in words a person understands. */
export function wordsOf(error: unknown): string {
  // All addresses of a name failed: the first is as good as any.
  if (error instanceof AggregateError) return wordsOf(error.errors[0]);
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'closed by the other side';
    case 'ENOTFOUND':
      return 'no host of that name';
    case 'EAI_AGAIN':
      return 'the host name cannot be resolved at the moment';
    case 'ETIMEDOUT':
      return 'no answer';
    case 'EHOSTUNREACH':
      return 'no route to the host';
    case 'ENETUNREACH':
      return 'the network is unreachable';
    case 'EADDRINUSE':
      return 'the port is in use';
    case 'EACCES':
      return 'not permitted';
    default:
      return messageOf(error);
  }
}
