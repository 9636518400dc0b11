import { GfsError } from '../../base/errors.ts';
import { type InodeId, inodeId } from '../../base/ids.ts';
import type { Place } from '../../client/api.ts';
import { type Attributes, FileType } from '../../rpc/messages.ts';
import { UsageError } from '../program.ts';
import { exactBytes } from './exact-text.ts';
import type { Files } from './files.ts';
import { isNotFound, named, refusal } from './named-error.ts';

/** What says in a command line that a path is one in the cluster, where it could be one on this machine. */
export const CLUSTER_PREFIX = 'gfs:';
const SLASH = 0x2f;
const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');
const ROOT = Buffer.from('/');
/** As Linux: more symbolic links on one way are a loop. */
const SYMLINKS_MAX = 40;

/** A path in the cluster, as a person gives it: absolute, or with `gfs:` in front, where the first slash may be missing. */
export function clusterPath(argument: string): Buffer {
  const hasPrefix = argument.startsWith(CLUSTER_PREFIX);
  const path = exactBytes(hasPrefix ? argument.slice(CLUSTER_PREFIX.length) : argument);
  if (path[0] === SLASH) return path;
  if (hasPrefix) return Buffer.concat([ROOT, path]);
  throw new UsageError(`"${argument}" is no path in the cluster: those begin with /`);
}

/** The path without slashes at its end. */
export function trimmed(path: Buffer): Buffer {
  let end = path.length;
  while (end > 1 && path[end - 1] === SLASH) end -= 1;
  return path.subarray(0, end);
}

/** Whether the path says that it is one of a directory. */
export function endsInSlash(path: Buffer): boolean {
  return path.at(-1) === SLASH;
}

/** The last name of a path; empty: it has none, as the root. */
export function baseName(path: Buffer): Buffer {
  const whole = trimmed(path);
  return whole.subarray(whole.lastIndexOf(SLASH) + 1);
}

/** Whether something of that name can be made or removed. */
export function isEntryName(name: Buffer): boolean {
  return name.length > 0 && !name.equals(DOT) && !name.equals(DOT_DOT);
}

export function directoryName(path: Buffer): Buffer {
  const whole = trimmed(path);
  const slash = whole.lastIndexOf(SLASH);
  if (slash < 0) return DOT;
  return slash === 0 ? ROOT : trimmed(whole.subarray(0, slash));
}

export function joinPath(directory: Buffer, name: Buffer): Buffer {
  return directory.at(-1) === SLASH
    ? Buffer.concat([directory, name])
    : Buffer.concat([directory, ROOT, name]);
}

export function isDirectory({ type }: Pick<Attributes, 'type'>): boolean {
  return type === FileType.FILE_TYPE_DIRECTORY;
}

/** What the path means, the target of a symbolic link unless `follow` is false. Failures name it. */
export async function found(files: Files, path: Buffer, { follow = true } = {}): Promise<Attributes> {
  try {
    return await files.client.resolve(path, { followLast: follow }, files.call);
  } catch (error) {
    throw named(path, error);
  }
}

export async function foundIfThere(
  files: Files,
  path: Buffer,
  options: { follow?: boolean } = {},
): Promise<Attributes | undefined> {
  try {
    return await found(files, path, options);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

export async function foundDirectory(files: Files, path: Buffer): Promise<Attributes> {
  const attributes = await found(files, path);
  if (!isDirectory(attributes)) throw named(path, new GfsError('NOT_DIRECTORY', ''));
  return attributes;
}

/** A name that may be there or not, in a directory that is. */
export interface NamedPlace extends Place {
  readonly parent: InodeId;
  readonly name: Buffer;
  readonly path: Buffer;
}

export async function placeOf(files: Files, path: Buffer): Promise<NamedPlace> {
  const name = baseName(path);
  if (!isEntryName(name)) throw refusal(path, 'INVALID_ARGUMENT', 'not a name that can be made or removed');
  const { inode } = await foundDirectory(files, directoryName(path));
  return { parent: inodeId(inode), name, path };
}

/** Where something is written that is given this path: behind symbolic links, which may lead to what is not there yet. */
export async function behindLinks(files: Files, path: Buffer): Promise<Buffer> {
  let at = trimmed(path);
  for (let links = 0; links <= SYMLINKS_MAX; links += 1) {
    const existing = await foundIfThere(files, at, { follow: false });
    if (existing?.type !== FileType.FILE_TYPE_SYMLINK) return at;
    const target = await files.client.readSymlink(inodeId(existing.inode), files.call);
    at = target[0] === SLASH ? trimmed(target) : joinPath(directoryName(at), trimmed(target));
  }
  throw named(path, new GfsError('LOOP', ''));
}

/** The place of a regular file behind symbolic links, or one where it can be. */
export async function filePlace(
  files: Files,
  path: Buffer,
): Promise<{ place: NamedPlace; existing: Attributes | undefined }> {
  const real = await behindLinks(files, path);
  const existing = await foundIfThere(files, real, { follow: false });
  if (existing !== undefined && isDirectory(existing)) throw named(path, new GfsError('IS_DIRECTORY', ''));
  if (endsInSlash(path)) throw refusal(path, 'NOT_DIRECTORY', 'no such directory');
  if (existing !== undefined && existing.type !== FileType.FILE_TYPE_REGULAR) {
    throw refusal(path, 'INVALID_ARGUMENT', 'not a regular file');
  }
  return { place: { ...(await placeOf(files, real)), path }, existing };
}
