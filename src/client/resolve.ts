import { PATH_BYTES_MAX } from '../base/constants.ts';
import { GfsError } from '../base/errors.ts';
import type { InodeId } from '../base/ids.ts';
import { type Attributes, FileType } from '../rpc/messages.ts';
import type { Call, GfsClient } from './api.ts';

/** As Linux: more symbolic links on one way are a loop. */
const SYMLINKS_MAX = 40;
const SLASH = 0x2f;

/** Walks an absolute path from the root; a relative symbolic link continues in its directory. */
export async function resolve(
  client: Pick<GfsClient, 'rootInode' | 'lookup' | 'attributes' | 'readSymlink'>,
  path: Uint8Array,
  followLast: boolean,
  call: Call,
): Promise<Attributes> {
  if (path[0] !== SLASH) throw new GfsError('INVALID_ARGUMENT', `${textOf(path)} is not an absolute path`);
  if (path.length > PATH_BYTES_MAX) throw new GfsError('NAME_TOO_LONG', 'the path is too long');
  const root = await client.attributes(client.rootInode, call);
  let links = 0;
  let names = namesOf(path);
  // A slash at the end asks for a directory, also behind a link.
  let directoryWanted = path.at(-1) === SLASH;
  let at = root;
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const directory = at;
    if (directory.type !== FileType.FILE_TYPE_DIRECTORY) {
      throw new GfsError('NOT_DIRECTORY', `part of ${textOf(path)} is not a directory`);
    }
    at = await client.lookup(directory.inode as InodeId, name, call);
    if (at.type !== FileType.FILE_TYPE_SYMLINK) continue;
    if (names.length === 0 && !followLast && !directoryWanted) return at;
    links += 1;
    if (links > SYMLINKS_MAX) throw new GfsError('LOOP', `too many symbolic links in ${textOf(path)}`);
    const target = await client.readSymlink(at.inode as InodeId, call);
    if (names.length === 0 && target.at(-1) === SLASH) directoryWanted = true;
    names = [...namesOf(target), ...names];
    at = target[0] === SLASH ? root : directory;
  }
  if (directoryWanted && at.type !== FileType.FILE_TYPE_DIRECTORY) {
    throw new GfsError('NOT_DIRECTORY', `${textOf(path)} is not a directory`);
  }
  return at;
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
