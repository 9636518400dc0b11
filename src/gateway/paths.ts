import { NAME_BYTES_MAX, PATH_BYTES_MAX } from '../base/constants.ts';
import { GfsError } from '../base/errors.ts';
import type { Call, GfsClient, Place } from '../client/api.ts';
import { type Walked, walk } from '../client/resolve.ts';
import { type Attributes, FileType } from '../rpc/messages.ts';

/** Of what is made without a word about its mode: what most people's umask leaves. */
export const UMASK = 0o022;
const MODE_ALL = 0o7777;
const SHOWN_BYTES_MAX = 200;
const SLASH = 0x2f;

/** A path as it came in a request, and what it leads to. */
export interface Found extends Walked {
  readonly attributes: Attributes;
}

export async function walkTo(
  client: GfsClient,
  path: Uint8Array,
  follow: boolean,
  call: Call,
): Promise<Walked> {
  checkPath(path);
  return await walk(client, path, follow, call);
}

/** What can be known to be wrong with a path without a look at what is there. */
export function checkPath(path: Uint8Array): void {
  if (path.length === 0) throw new GfsError('INVALID_ARGUMENT', 'there is no path in the request');
  if (path[0] !== SLASH) throw new GfsError('INVALID_ARGUMENT', 'a path begins with a slash');
  if (path.includes(0)) throw new GfsError('INVALID_ARGUMENT', 'a path has no zero bytes');
  if (path.length > PATH_BYTES_MAX) throw new GfsError('NAME_TOO_LONG', 'the path is too long');
  let start = 0;
  for (let end = 0; end <= path.length; end += 1) {
    if (end < path.length && path[end] !== SLASH) continue;
    if (end - start > NAME_BYTES_MAX) {
      throw new GfsError('NAME_TOO_LONG', `a name has ${NAME_BYTES_MAX} bytes at most`);
    }
    start = end + 1;
  }
}

/** What is there. */
export async function find(client: GfsClient, path: Uint8Array, follow: boolean, call: Call): Promise<Found> {
  const { attributes, ...walked } = await walkTo(client, path, follow, call);
  if (attributes === undefined) throw new GfsError('NOT_FOUND', 'no such file or directory');
  return { ...walked, attributes };
}

/** The name that a path ends in, for what changes it. */
export function nameIn({ place }: Walked): Place {
  if (place !== undefined) return place;
  throw new GfsError('INVALID_ARGUMENT', 'the path ends in no name that can be changed');
}

export function isDirectory({ type }: Pick<Attributes, 'type'>): boolean {
  return type === FileType.FILE_TYPE_DIRECTORY;
}

/** Only those have bytes that can be read and written here. */
export function mustBeRegular(attributes: Attributes): void {
  if (attributes.type === FileType.FILE_TYPE_REGULAR) return;
  if (isDirectory(attributes)) throw new GfsError('IS_DIRECTORY', 'it is a directory');
  throw new GfsError('INVALID_ARGUMENT', 'it is no regular file');
}

export function checkMode(mode: number | undefined): void {
  if (mode === undefined || mode <= MODE_ALL) return;
  throw new GfsError('INVALID_ARGUMENT', `${mode.toString(8)} are no permission bits`);
}

/** A failure says which path it is about. */
export async function about<T>(path: Uint8Array, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const text = shown(path);
    if (!(error instanceof GfsError) || text === '' || error.message.includes(text)) throw error;
    const { code, message, fields } = error;
    throw new GfsError(code, `${text}: ${message}`, { cause: error, fields });
  }
}

function shown(path: Uint8Array): string {
  const text = Buffer.from(path.subarray(0, SHOWN_BYTES_MAX)).toString();
  return path.length > SHOWN_BYTES_MAX ? `${text}...` : text;
}
