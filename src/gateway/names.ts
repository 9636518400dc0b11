import { codeOf, GfsError } from '../base/errors.ts';
import { inodeId } from '../base/ids.ts';
import type { Call, GfsClient, Place } from '../client/api.ts';
import { type Attributes, FileType } from '../rpc/messages.ts';
import { callOf, type FilesHandlers, type FilesParts } from './files-parts.ts';
import { about, checkMode, checkPath, find, isDirectory, nameIn, UMASK, walkTo } from './paths.ts';

const SLASH = 0x2f;
const NOTHING = Buffer.alloc(0);
const MODE_DEFAULT = 0o777;

export function nameHandlers(parts: FilesParts): Pick<FilesHandlers, 'stat' | 'mkdir' | 'rename'> {
  const { client } = parts;
  return {
    stat: async ({ message: { path, noFollow } }, context) => {
      const call = callOf(parts, context);
      return await about(path, async () => {
        const { attributes } = await find(client, path, !noFollow, call);
        const isLink = attributes.type === FileType.FILE_TYPE_SYMLINK;
        const target = isLink ? await client.readSymlink(inodeId(attributes.inode), call) : NOTHING;
        return { message: { attributes, symlinkTarget: target } };
      });
    },

    mkdir: async ({ message: { path, mode, parents } }, context) => {
      const call = callOf(parts, context);
      return await about(path, async () => {
        checkMode(mode);
        checkPath(path);
        const attributes = parents
          ? await makeAll(client, path, mode, call)
          : await makeOne(client, path, mode, call);
        return { message: { attributes } };
      });
    },

    rename: async ({ message: { path, newPath, noReplace, exchange } }, context) => {
      const call = callOf(parts, context);
      if (noReplace && exchange) {
        throw new GfsError('INVALID_ARGUMENT', 'what is to be exchanged cannot be missing');
      }
      const from = await about(path, () => find(client, path, false, call));
      await about(newPath, async () => {
        const to = await walkTo(client, newPath, false, call);
        if (to.directoryWanted && !isDirectory(from.attributes)) {
          throw new GfsError('NOT_DIRECTORY', 'what is to be there is not a directory');
        }
        await client.rename(nameIn(from), nameIn(to), { noReplace, exchange }, call);
      });
      return { message: {} };
    },
  };
}

async function makeOne(
  client: GfsClient,
  path: Uint8Array,
  mode: number | undefined,
  call: Call,
): Promise<Attributes> {
  const { place, attributes } = await walkTo(client, path, false, call);
  if (attributes !== undefined || place === undefined) throw new GfsError('EXISTS', 'it is there already');
  return await make(client, place, mode, call);
}

/** As `mkdir -p`; what it made goes again when it cannot make all. */
async function makeAll(
  client: GfsClient,
  path: Uint8Array,
  mode: number | undefined,
  call: Call,
): Promise<Attributes> {
  const made: Place[] = [];
  const ends = endsOfNames(path);
  try {
    let at = (await find(client, path.subarray(0, 1), true, call)).attributes;
    for (const end of ends) {
      const isLast = end === ends.at(-1);
      const walked = await walkTo(client, path.subarray(0, end), true, call);
      at =
        walked.attributes ??
        (await makeMissing(client, nameIn(walked), isLast ? mode : undefined, made, call));
      if (isDirectory(at)) continue;
      if (isLast) throw new GfsError('EXISTS', 'it is there, and is not a directory');
      throw new GfsError('NOT_DIRECTORY', 'part of the path is not a directory');
    }
    return at;
  } catch (error) {
    for (const { parent, name } of made.reverse()) {
      await client.removeDirectory(parent, name, { caller: call.caller }).catch(() => undefined);
    }
    throw error;
  }
}

async function makeMissing(
  client: GfsClient,
  place: Place,
  mode: number | undefined,
  made: Place[],
  call: Call,
): Promise<Attributes> {
  try {
    const attributes = await make(client, place, mode, call);
    made.push(place);
    return attributes;
  } catch (error) {
    // Somebody else was making it, too.
    if (codeOf(error) !== 'EXISTS') throw error;
    return await client.lookup(place.parent, place.name, call);
  }
}

async function make(
  client: GfsClient,
  { parent, name }: Place,
  mode: number | undefined,
  call: Call,
): Promise<Attributes> {
  const type = FileType.FILE_TYPE_DIRECTORY;
  const umask = mode === undefined ? UMASK : 0;
  return await client.makeNode(parent, name, { type, mode: mode ?? MODE_DEFAULT, umask }, call);
}

/** Where each name of a path ends. */
function endsOfNames(path: Uint8Array): number[] {
  const ends: number[] = [];
  for (let at = 1; at <= path.length; at += 1) {
    if (path[at - 1] !== SLASH && (at === path.length || path[at] === SLASH)) ends.push(at);
  }
  return ends;
}
