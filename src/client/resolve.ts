import { PATH_BYTES_MAX } from '../base/constants.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { type InodeId, inodeId } from '../base/ids.ts';
import { type Attributes, FileType } from '../rpc/messages.ts';
import type { Call, GfsClient, Place } from './api.ts';

/** As Linux: more symbolic links on one way are a loop. */
const SYMLINKS_MAX = 40;
const SLASH = 0x2f;
const DOT = 0x2e;

/** As much of a client as it takes to walk. */
export type Walker = Pick<GfsClient, 'rootInode' | 'lookup' | 'attributes' | 'readSymlink'>;

/** Where a path leads. */
export interface Walked {
  /** The name that it ends in; undefined: it ends in none, as the root, or in "." or "..". */
  readonly place: Place | undefined;
  /** What is there; undefined: nothing, but the directory that the name would be in is. */
  readonly attributes: Attributes | undefined;
  /** The path ends in a slash: nothing but a directory may be there, or be put there. */
  readonly directoryWanted: boolean;
}

/** Walks an absolute path from the root; a relative symbolic link continues in its directory. */
export async function resolve(
  client: Walker,
  path: Uint8Array,
  followLast: boolean,
  call: Call,
): Promise<Attributes> {
  // A slash at the end asks for a directory, also behind a link.
  const { attributes } = await walk(client, path, followLast || path.at(-1) === SLASH, call);
  if (attributes === undefined) throw new GfsError('NOT_FOUND', 'no such name');
  return attributes;
}

/** As `resolve`, to a name that need not be there. */
export async function walk(
  client: Walker,
  path: Uint8Array,
  followLast: boolean,
  call: Call,
): Promise<Walked> {
  if (path[0] !== SLASH) throw new GfsError('INVALID_ARGUMENT', `${textOf(path)} is not an absolute path`);
  if (path.length > PATH_BYTES_MAX) throw new GfsError('NAME_TOO_LONG', 'the path is too long');
  const root = await client.attributes(client.rootInode, call);
  let links = 0;
  let names = namesOf(path);
  let directoryWanted = path.at(-1) === SLASH;
  let at = root;
  let place: Place | undefined;
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const directory = at;
    if (directory.type !== FileType.FILE_TYPE_DIRECTORY) {
      throw new GfsError('NOT_DIRECTORY', `part of ${textOf(path)} is not a directory`);
    }
    const parent = inodeId(directory.inode);
    const isLast = names.length === 0;
    place = isDots(name) ? undefined : { parent, name };
    const found = await lookup(client, { parent, name }, isLast, call);
    if (found === undefined) return { place, attributes: undefined, directoryWanted };
    at = found;
    if (at.type !== FileType.FILE_TYPE_SYMLINK || (isLast && !followLast)) continue;
    links += 1;
    if (links > SYMLINKS_MAX) throw new GfsError('LOOP', `too many symbolic links in ${textOf(path)}`);
    const target = await client.readSymlink(at.inode as InodeId, call);
    if (isLast && target.at(-1) === SLASH) directoryWanted = true;
    names = [...namesOf(target), ...names];
    at = target[0] === SLASH ? root : directory;
    place = undefined;
  }
  if (directoryWanted && at.type !== FileType.FILE_TYPE_DIRECTORY) {
    throw new GfsError('NOT_DIRECTORY', `${textOf(path)} is not a directory`);
  }
  return { place, attributes: at, directoryWanted };
}

/** What a name means; undefined: nothing, which is all right for the last one. */
async function lookup(
  client: Walker,
  { parent, name }: Place,
  isLast: boolean,
  call: Call,
): Promise<Attributes | undefined> {
  try {
    return await client.lookup(parent, name, call);
  } catch (error) {
    if (isLast && codeOf(error) === 'NOT_FOUND') return undefined;
    throw error;
  }
}

function isDots(name: Uint8Array): boolean {
  return name.length <= 2 && name.every((byte) => byte === DOT);
}

function namesOf(path: Uint8Array): Buffer[] {
  const names: Buffer[] = [];
  let start = 0;
  for (let end = 0; end <= path.length; end += 1) {
    if (end < path.length && path[end] !== SLASH) continue;
    if (end > start) names.push(Buffer.from(path.subarray(start, end)));
    start = end + 1;
  }
  return names;
}

function textOf(path: Uint8Array): string {
  return Buffer.from(path).toString();
}
