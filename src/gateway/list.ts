import { PATH_BYTES_MAX } from '../base/constants.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { type InodeId, inodeId } from '../base/ids.ts';
import { KiB } from '../base/units.ts';
import type { Call, GfsClient } from '../client/api.ts';
import { detailOf } from '../rpc/failure.ts';
import type { Attributes, DirectoryEntry, FilesEntry, FilesListFailure } from '../rpc/messages.ts';
import { callOf, type FilesHandlers, type FilesParts, onlyRequest } from './files-parts.ts';
import { about, find, isDirectory } from './paths.ts';

/** Asked of the master at a time. */
const PAGE_ENTRIES = 1000;
/** Of one message, about: with long paths a page becomes several. */
const MESSAGE_BYTES = 256 * KiB;
/** An entry takes so much beside its path, with attributes. */
const ENTRY_BYTES = 128;
const SLASH = Buffer.from('/');
const NOTHING = Buffer.alloc(0);

interface Wanted {
  readonly recursive: boolean;
  readonly withAttributes: boolean;
}

/** A directory on the way to where the list is. */
interface Level {
  readonly inode: InodeId;
  /** Below the directory that was asked for, with a slash at the end; nothing: that one itself. */
  readonly prefix: Buffer;
  after: Buffer;
  isAtEnd: boolean;
  /** Of the page that was told last: whose contents are to follow. */
  directories: DirectoryEntry[];
}

interface Answer {
  readonly entries: FilesEntry[];
  readonly failures: FilesListFailure[];
}

export function listHandler(parts: FilesParts): FilesHandlers['list'] {
  const { client } = parts;
  return async (stream, context) => {
    const { path, noFollow, recursive, withAttributes } = await onlyRequest(stream.requests);
    const call = callOf(parts, context);
    await about(path, async () => {
      const { attributes } = await find(client, path, !noFollow, call);
      if (!isDirectory(attributes)) throw new GfsError('NOT_DIRECTORY', 'it is not a directory');
      const root = inodeId(attributes.inode);
      client.noteRead(root);
      for await (const answer of pages(client, root, { recursive, withAttributes }, call)) {
        await stream.send(answer);
      }
    });
  };
}

/** One page of a directory, then what is in the directories that it names, then the next page: a page for each level is kept. */
async function* pages(client: GfsClient, root: InodeId, wanted: Wanted, call: Call): AsyncGenerator<Answer> {
  const levels: Level[] = [levelOf(root, NOTHING)];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const next = level.directories.shift();
    if (next !== undefined) {
      const prefix = Buffer.concat([level.prefix, next.name, SLASH]);
      if (prefix.length <= PATH_BYTES_MAX) levels.push(levelOf(inodeId(next.inode), prefix));
      else yield failure(prefix, new GfsError('NAME_TOO_LONG', 'no path leads there'));
      continue;
    }
    if (level.isAtEnd) {
      levels.pop();
      continue;
    }
    try {
      yield* messagesOf(await nextPage(client, level, wanted, call));
    } catch (error) {
      level.isAtEnd = true;
      const gone = codeOf(error) === 'NOT_FOUND';
      // Of the directory that was asked for it is the call's failure, and so is what would befall all others, too.
      if (level.inode === root || !(gone || codeOf(error) === 'PERMISSION_DENIED')) throw error;
      if (!gone) yield failure(level.prefix, error as GfsError);
    }
  }
}

function levelOf(inode: InodeId, prefix: Buffer): Level {
  return { inode, prefix, after: NOTHING, isAtEnd: false, directories: [] };
}

function failure(prefix: Buffer, error: GfsError): Answer {
  return { entries: [], failures: [{ path: prefix.subarray(0, -1), error: detailOf(error) }] };
}

async function nextPage(
  client: GfsClient,
  level: Level,
  { recursive, withAttributes }: Wanted,
  call: Call,
): Promise<FilesEntry[]> {
  const { inode, prefix, after } = level;
  const { entries, end } = await client.list(inode, { after, limit: PAGE_ENTRIES, withAttributes }, call);
  level.isAtEnd = end || entries.length === 0;
  level.after = entries.at(-1)?.name ?? after;
  if (recursive) level.directories = entries.filter(isDirectory);
  const shown = withAttributes ? await withAll(client, entries, call) : entries;
  return shown.map(({ name, type, attributes }) => ({
    path: prefix.length === 0 ? name : Buffer.concat([prefix, name]),
    type,
    attributes,
  }));
}

/** Attributes of files that are being written the master leaves to be asked for, and all of them where the caller may not look. */
async function withAll(
  client: GfsClient,
  entries: readonly DirectoryEntry[],
  call: Call,
): Promise<readonly DirectoryEntry[]> {
  const all: DirectoryEntry[] = [];
  let mayLook = true;
  for (const entry of entries) {
    let { attributes } = entry;
    if (attributes === undefined && mayLook) {
      const answer = await attributesOf(client, inodeId(entry.inode), call);
      if (answer === 'gone') continue;
      if (answer === 'denied') mayLook = false;
      else attributes = answer;
    }
    all.push({ ...entry, attributes });
  }
  return all;
}

async function attributesOf(
  client: GfsClient,
  inode: InodeId,
  call: Call,
): Promise<Attributes | 'gone' | 'denied'> {
  try {
    return await client.attributes(inode, call);
  } catch (error) {
    if (codeOf(error) === 'NOT_FOUND') return 'gone';
    if (codeOf(error) === 'PERMISSION_DENIED') return 'denied';
    throw error;
  }
}

function* messagesOf(entries: readonly FilesEntry[]): Generator<Answer> {
  let some: FilesEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    some.push(entry);
    bytes += entry.path.length + ENTRY_BYTES;
    if (bytes < MESSAGE_BYTES) continue;
    yield { entries: some, failures: [] };
    some = [];
    bytes = 0;
  }
  if (some.length > 0) yield { entries: some, failures: [] };
}
