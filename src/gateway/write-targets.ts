import { REPLICATION_MAX } from '../base/constants.ts';
import { GfsError } from '../base/errors.ts';
import { inodeId } from '../base/ids.ts';
import type { Call, GfsFile, Place } from '../client/api.ts';
import { type Attributes, FilesWriteKind, type FilesWriteStart, FileType } from '../rpc/messages.ts';
import type { FilesParts } from './files-parts.ts';
import { checkMode, find, isDirectory, mustBeRegular, UMASK, walkTo } from './paths.ts';

const MODE_DEFAULT = 0o666;
const MODE_PERMISSIONS = 0o777;

/** Has `take` write the bytes of a Write; `isAtomic`: nobody sees them before all are there. */
export type Take = (file: GfsFile, isAtomic: boolean) => Promise<void>;

/** Makes sure of what `take` wrote, and answers what the file is like then. */
export async function writeTarget(
  parts: FilesParts,
  start: FilesWriteStart,
  take: Take,
  call: Call,
): Promise<Attributes> {
  const { kind, offset, exclusive, mode, goal } = start;
  checkMode(mode);
  checkGoal(goal);
  switch (kind) {
    case FilesWriteKind.FILES_WRITE_KIND_IN_PLACE:
      if (exclusive) throw new GfsError('INVALID_ARGUMENT', '`exclusive` is not for files that are there');
      return await writeVisibly(await openInPlace(parts, start, call), start, take, call);
    case FilesWriteKind.FILES_WRITE_KIND_TRUNCATE:
      mustBeginAtZero(offset);
      return await writeVisibly(await openTruncated(parts, start, call), start, take, call);
    case FilesWriteKind.FILES_WRITE_KIND_UNSPECIFIED:
    case FilesWriteKind.FILES_WRITE_KIND_ATOMIC:
      mustBeginAtZero(offset);
      return await writeAtomically(parts, start, take, call);
    default:
      return unknownKind(kind);
  }
}

/** A later version may know more kinds than this one. */
function unknownKind(kind: never): never {
  throw new GfsError('INVALID_ARGUMENT', `${kind} is no kind of a Write`);
}

function checkGoal(goal: number | undefined): void {
  if (goal === undefined || (goal >= 1 && goal <= REPLICATION_MAX)) return;
  throw new GfsError('INVALID_ARGUMENT', `${goal} copies are not possible: 1 to ${REPLICATION_MAX} are`);
}

function mustBeginAtZero(offset: number): void {
  if (offset !== 0) throw new GfsError('INVALID_ARGUMENT', '`offset` is of IN_PLACE alone');
}

async function openInPlace({ client }: FilesParts, start: FilesWriteStart, call: Call): Promise<GfsFile> {
  const { attributes } = await find(client, start.path, !start.noFollow, call);
  mustBeRegular(attributes);
  return (await client.open(inodeId(attributes.inode), { write: true }, call)).file;
}

async function openTruncated(parts: FilesParts, start: FilesWriteStart, call: Call): Promise<GfsFile> {
  const { exclusive, goal } = start;
  const { place, attributes } = await placeOf(parts, start, call);
  if (attributes !== undefined) mustBeRegular(attributes);
  const how = { ...rightsOf(start.mode), goal, write: true, truncate: true, exclusive };
  return (await parts.client.create(place.parent, place.name, how, call)).file;
}

/** To a file whose readers see it change. */
async function writeVisibly(
  file: GfsFile,
  { sync }: FilesWriteStart,
  take: Take,
  call: Call,
): Promise<Attributes> {
  try {
    await take(file, false);
    await (sync ? file.sync(call) : file.flush(call));
    return await file.attributes(call);
  } finally {
    // What became of the bytes is told by now, and this would say it again.
    await file.close({ requestId: call.requestId }).catch(() => undefined);
  }
}

async function writeAtomically(
  parts: FilesParts,
  start: FilesWriteStart,
  take: Take,
  call: Call,
): Promise<Attributes> {
  const { exclusive, sync } = start;
  const { place, attributes } = await placeOf(parts, start, call);
  const replaced = attributes?.type === FileType.FILE_TYPE_REGULAR ? attributes : undefined;
  const keptMode = replaced && replaced.mode & MODE_PERMISSIONS;
  const goal = start.goal ?? replaced?.goal;
  const how = { ...rightsOf(start.mode ?? keptMode), goal, exclusive, sync };
  return await parts.client.writeAtomically(place, how, (file) => take(file, true), call);
}

/** A mode that was asked for is as it should be. */
function rightsOf(mode: number | undefined): { mode: number; umask: number } {
  return mode === undefined ? { mode: MODE_DEFAULT, umask: UMASK } : { mode, umask: 0 };
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
