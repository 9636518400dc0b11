import { getSystemErrorMap } from 'node:util';
import { codeOf, type ErrorCode, GfsError } from '../../base/errors.ts';
import { shown } from './shown-name.ts';

/** A failure that says of which path it speaks. */
export class NamedError extends GfsError {
  override readonly name = 'NamedError';
}

/** The words that programs use for these; what other codes mean only their messages tell. */
const WORDS: Partial<Record<ErrorCode, string>> = {
  NOT_FOUND: 'no such file or directory',
  EXISTS: 'it exists already',
  NOT_DIRECTORY: 'not a directory',
  IS_DIRECTORY: 'is a directory',
  NOT_EMPTY: 'the directory is not empty',
  NAME_TOO_LONG: 'the name is too long',
  PERMISSION_DENIED: 'permission denied',
  NOT_PERMITTED: 'operation not permitted',
  TOO_MANY_LINKS: 'too many links',
  FILE_TOO_LARGE: 'the file would be too large',
  NO_SPACE: 'no chunkserver has room for it',
  LOOP: 'too many symbolic links',
};

/** What the same fault is called where it happens on this machine. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'NOT_FOUND',
  EEXIST: 'EXISTS',
  ENOTDIR: 'NOT_DIRECTORY',
  EISDIR: 'IS_DIRECTORY',
  ENOTEMPTY: 'NOT_EMPTY',
  ENAMETOOLONG: 'NAME_TOO_LONG',
};

/** What failed, with the path; anything but a fault of the world is what it was. */
export function named(path: Uint8Array, error: unknown): unknown {
  if (error instanceof NamedError) return error;
  const reason = reasonOf(error);
  if (reason === undefined) return error;
  const code = error instanceof GfsError ? error.code : isNotFound(error) ? 'NOT_FOUND' : 'IO_ERROR';
  return new NamedError(code, `${shown(path)}: ${reason}`, { cause: error });
}

/** A refusal of this program's own. */
export function refusal(path: Uint8Array, code: ErrorCode, reason: string): NamedError {
  return new NamedError(code, `${shown(path)}: ${reason}`);
}

export function isNotFound(error: unknown): boolean {
  return codeOf(error) === 'NOT_FOUND' || errnoNameOf(error) === 'ENOENT';
}

/** "ENOENT" and the like, of an error of the operating system. */
export function errnoNameOf(error: unknown): string | undefined {
  const { code, errno } = error as { code?: unknown; errno?: unknown };
  return error instanceof Error && typeof code === 'string' && typeof errno === 'number' ? code : undefined;
}

/** After these nothing else will succeed either. */
export function endsAll(error: unknown): boolean {
  switch (codeOf(error)) {
    case 'CANCELLED':
    case 'UNAVAILABLE':
    case 'DEADLINE_EXCEEDED':
    case 'NO_SUCH_SESSION':
    case 'SESSION_EXPIRED':
    case 'INTERNAL':
      return true;
    default:
      return false;
  }
}

/** In the words that programs use; undefined: a bug, no fault of the world. */
export function reasonOf(error: unknown): string | undefined {
  if (error instanceof GfsError) return WORDS[error.code] ?? error.message;
  const name = errnoNameOf(error);
  if (name === undefined) return undefined;
  const word = WORDS[CODES[name] ?? 'INTERNAL'];
  if (word !== undefined) return word;
  const { errno } = error as { errno: number };
  return getSystemErrorMap().get(errno)?.[1] ?? (error as Error).message;
}
