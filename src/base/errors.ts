/**
 * What went wrong, as callers branch on it. A code is for programs, the message for people.
 * Codes become gRPC status in `rpc/status.ts` and errno in `mount/errno.ts`, and nowhere else.
 */
export const ERROR_CODES = [
  // The request itself.
  'INVALID_ARGUMENT',
  'MESSAGE_TOO_LARGE',
  'UNIMPLEMENTED',
  // The namespace; each has its errno.
  'NOT_FOUND',
  'EXISTS',
  'NOT_DIRECTORY',
  'IS_DIRECTORY',
  'NOT_EMPTY',
  'NAME_TOO_LONG',
  'PERMISSION_DENIED', // EACCES: the mode forbids it
  'NOT_PERMITTED', // EPERM: only the owner or root may
  'READ_ONLY',
  'TOO_MANY_LINKS',
  'CROSS_DEVICE',
  'NO_DATA',
  'VALUE_TOO_LARGE', // E2BIG: of an extended attribute
  'BAD_FILE', // the open file is not (or no longer) known
  'FILE_TOO_LARGE',
  'NO_SPACE',
  'BUSY',
  'LOOP',
  // Locks; each has its errno.
  'LOCKED', // EAGAIN: somebody else has a lock that conflicts
  'DEADLOCK', // EDEADLK
  'TOO_MANY_LOCKS', // ENOLCK
  // Chunks and replicas.
  'NO_SUCH_CHUNK',
  'VERSION_MISMATCH', // the replica carries another version: ask the master again (P10)
  'NOT_PRIMARY', // not this server, or not any more: ask the master again
  'NOT_READY', // recorded, but not reconciled or not active yet (P4, P6): try again
  'SERIAL_GAP', // a mutation before this one is missing (P11)
  'SEALED',
  'TRUNCATED', // the file was, since what is told of it was so: ask how long it is
  'CHECKSUM_MISMATCH',
  'NO_SUCH_PUSH', // pushed data expired or never came: push again
  'TOO_FEW_REPLICAS', // fewer members than the minimum can be reached
  'WRITES_LOST', // power was lost before writes that had been acknowledged were synced: told once, by sync (P14)
  'CHUNK_LOST', // no replica is left that could be read, or none of a block of it
  // Sessions, servers, file systems.
  'NO_SUCH_SESSION',
  'SESSION_EXPIRED', // silent for too long: what it held is not its any more; what got no answer may be done
  'WRONG_FILESYSTEM', // ids differ: this server or client belongs to another file system
  'ALREADY_RUNNING', // the data directory, or the server's identity, is in use
  'WRONG_SERVICE', // what answers at this address is not what was asked for
  'CONFIG_MISMATCH', // a key that is fixed at first start has another value now
  // The world.
  'UNAVAILABLE', // not reached, connection lost; whether a request was carried out is not known
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'IO_ERROR',
  'CORRUPT', // a file of ours holds what we did not write
  'INTERNAL', // a bug, as seen from another process
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

const KNOWN: ReadonlySet<string> = new Set(ERROR_CODES);

export function isErrorCode(text: string): text is ErrorCode {
  return KNOWN.has(text);
}

export type ErrorFields = Readonly<Record<string, string>>;

/**
 * A fault of the world, or a refusal. (A bug is a failed `assert`.) It has no stack: it is an answer like others, given for every
 * look-up of a name that is not there, and to walk the stack for it would cost more than the look-up.
 */
export class GfsError extends Error {
  readonly code: ErrorCode;
  readonly fields: ErrorFields;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; fields?: ErrorFields } = {}) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'GfsError';
    this.code = code;
    this.fields = options.fields ?? {};
  }
}

/** The code of any thrown value; what is not ours is `INTERNAL`. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof GfsError) return error.code;
  if (error instanceof Error && error.name === 'AbortError') return 'CANCELLED';
  return 'INTERNAL';
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
