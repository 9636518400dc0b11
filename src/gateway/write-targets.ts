import { codeOf, GfsError } from '../base/errors.ts';
import { inodeId } from '../base/ids.ts';
import type { Call, GfsFile, Place } from '../client/api.ts';
import { type Attributes, FilesWriteKind, type FilesWriteStart, FileType } from '../rpc/messages.ts';
import { type FilesParts, opened } from './files-parts.ts';
import { checkMode, find, isDirectory, mustBeRegular, UMASK, walkTo } from './paths.ts';

const MODE_DEFAULT = 0o666;
const MODE_PERMISSIONS = 0o777;

/** Where the bytes of a Write go. */
export interface WriteTarget {
  readonly file: GfsFile;
  /** Nobody sees them before all are there. */
  readonly isAtomic: boolean;
  /** All of them were taken: makes sure of them, and shows them where that was not so before. */
  publish(sync: boolean, call: Call): Promise<Attributes>;
}

export async function openTarget(
  parts: FilesParts,
  start: FilesWriteStart,
  call: Call,
): Promise<WriteTarget> {
  const { kind, offset, exclusive, mode } = start;
  checkMode(mode);
  switch (kind) {
    case FilesWriteKind.FILES_WRITE_KIND_IN_PLACE:
      if (exclusive) throw new GfsError('INVALID_ARGUMENT', '`exclusive` is not for files that are there');
      return await openInPlace(parts, start, call);
    case FilesWriteKind.FILES_WRITE_KIND_TRUNCATE:
      mustBeginAtZero(offset);
      return await openTruncated(parts, start, call);
    case FilesWriteKind.FILES_WRITE_KIND_UNSPECIFIED:
    case FilesWriteKind.FILES_WRITE_KIND_ATOMIC:
      mustBeginAtZero(offset);
      return await openAtomic(parts, start, call);
    default:
      return unknownKind(kind);
  }
}

/** A later version may know more kinds than this one. */
function unknownKind(kind: never): never {
  throw new GfsError('INVALID_ARGUMENT', `${kind} is no kind of a Write`);
}

function mustBeginAtZero(offset: number): void {
  if (offset !== 0) throw new GfsError('INVALID_ARGUMENT', '`offset` is of IN_PLACE alone');
}

async function openInPlace({ client }: FilesParts, start: FilesWriteStart, call: Call): Promise<WriteTarget> {
  const { attributes } = await find(client, start.path, !start.noFollow, call);
  mustBeRegular(attributes);
  const { file } = await opened(call, (patient) =>
    client.open(inodeId(attributes.inode), { write: true }, patient),
  );
  return visibleTarget(file);
}

async function openTruncated(parts: FilesParts, start: FilesWriteStart, call: Call): Promise<WriteTarget> {
  const { client } = parts;
  const { mode, exclusive } = start;
  const { place, attributes } = await placeOf(parts, start, call);
  if (attributes !== undefined) mustBeRegular(attributes);
  const how = { mode: mode ?? MODE_DEFAULT, umask: mode === undefined ? UMASK : 0, write: true };
  const { file } = await opened(call, (patient) =>
    client.create(place.parent, place.name, { ...how, truncate: true, exclusive }, patient),
  );
  return visibleTarget(file);
}

/** Of a file whose readers see it change. */
function visibleTarget(file: GfsFile): WriteTarget {
  return {
    file,
    isAtomic: false,
    publish: (sync, call) => settled(file, sync, call),
  };
}

/** A file without a name, which goes with this process or its session, until it has all its bytes. */
async function openAtomic(parts: FilesParts, start: FilesWriteStart, call: Call): Promise<WriteTarget> {
  const { place, attributes } = await placeOf(parts, start, call);
  const mode = start.mode ?? keptMode(attributes);
  const how = { mode: mode ?? MODE_DEFAULT, umask: mode === undefined ? UMASK : 0 };
  const { file } = await opened(call, (patient) =>
    parts.client.createUnnamed(place.parent, { ...how, write: true, linkable: true }, patient),
  );
  return {
    file,
    isAtomic: true,
    publish: async (sync, waiting) => {
      await settled(file, sync, waiting);
      waiting.signal?.throwIfAborted();
      // From here on it is carried out, whether or not somebody still waits for it: it is a moment's work.
      const { caller } = waiting;
      const isTaken = attributes !== undefined;
      await giveName(parts, file, place, { exclusive: start.exclusive, isTaken }, { caller });
      return await file.attributes();
    },
  };
}

/** Permission bits of the file that is replaced. */
function keptMode(attributes: Attributes | undefined): number | undefined {
  return attributes?.type === FileType.FILE_TYPE_REGULAR ? attributes.mode & MODE_PERMISSIONS : undefined;
}

/** In one step, in place of what has the name, unless it has to be free. */
async function giveName(
  { client, env }: FilesParts,
  { inode }: GfsFile,
  place: Place,
  { exclusive, isTaken }: { exclusive: boolean; isTaken: boolean },
  call: Call,
): Promise<void> {
  if (!isTaken) {
    try {
      await client.makeLink(inode, place.parent, place.name, call);
      return;
    } catch (error) {
      // Somebody was there first: then that is what is replaced.
      if (exclusive || codeOf(error) !== 'EXISTS') throw error;
    }
  }
  // A link replaces nothing: the file comes by way of another name, which lasts as long as two commands.
  const hidden = { parent: place.parent, name: Buffer.from(`.gfs-${env.uniqueId()}`) };
  await client.makeLink(inode, hidden.parent, hidden.name, call);
  try {
    await client.rename(hidden, place, {}, call);
  } catch (error) {
    await client.unlink(hidden.parent, hidden.name, call).catch(() => undefined);
    throw error;
  }
}

/** The name that is to be written, and what has it now. */
async function placeOf(
  { client }: FilesParts,
  { path, noFollow, exclusive }: FilesWriteStart,
  call: Call,
): Promise<{ place: Place; attributes: Attributes | undefined }> {
  const { place, attributes, directoryWanted } = await walkTo(client, path, !noFollow, call);
  if (exclusive && attributes !== undefined) throw new GfsError('EXISTS', 'there is something of that name');
  if (place === undefined || directoryWanted || (attributes !== undefined && isDirectory(attributes))) {
    throw new GfsError('IS_DIRECTORY', 'it is a directory');
  }
  return { place, attributes };
}

async function settled(file: GfsFile, sync: boolean, call: Call): Promise<Attributes> {
  await (sync ? file.sync(call) : file.flush(call));
  return await file.attributes(call);
}
