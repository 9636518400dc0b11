import { GfsError } from '../../base/errors.ts';
import type { ChunkHandle, InodeId, ServerId, SessionId } from '../../base/ids.ts';
import type { RowReader, RowWriter } from './codec.ts';
import type {
  Appender,
  Attributes,
  Chunk,
  Cut,
  Dirent,
  Extent,
  Filesystem,
  FileType,
  Garbage,
  Inode,
  LongCommand,
  Orphan,
  Progress,
  Server,
  Session,
  Time,
} from './rows.ts';
import { sameTime } from './times.ts';

/**
 * How each table's value is packed (keys: `tables.ts`). Changing one needs another STORE_FORMAT; the store is then
 * rebuilt or refused, never misread. A small file's four rows (dirent, inode, extent, chunk) take about 100 bytes with their keys.
 */
export const STORE_FORMAT = 2;

/** Type in the low three bits, then which times differ from the birth time: a new file stores one time, not four. */
const ATIME_DIFFERS = 0x08;
const MTIME_DIFFERS = 0x10;
const CTIME_DIFFERS = 0x20;
const HAS_PARENT = 0x40;
const HAS_RDEV = 0x80;
/** Above the mode's bits; nothing was there before files counted their truncations and had extended attributes. */
const MODE_FACTOR = 0o10000;
const HAS_XATTRS = 1;
const HAS_HOLES = 4;
const HAS_TRUNCATIONS = 16;

export function writeInode(row: RowWriter, inode: Attributes & Partial<Pick<Inode, 'parent'>>): RowWriter {
  const { atime, mtime, ctime, btime, parent = 0 } = inode;
  const flags =
    inode.type |
    (sameTime(atime, btime) ? 0 : ATIME_DIFFERS) |
    (sameTime(mtime, btime) ? 0 : MTIME_DIFFERS) |
    (sameTime(ctime, btime) ? 0 : CTIME_DIFFERS) |
    (parent === 0 ? 0 : HAS_PARENT) |
    (inode.rdev === 0 ? 0 : HAS_RDEV);
  const more =
    (inode.hasXattrs ? HAS_XATTRS : 0) |
    (inode.holeBytes > 0 ? HAS_HOLES : 0) |
    (inode.truncations > 0 ? HAS_TRUNCATIONS : 0);
  row.byte(flags).number(inode.mode + more * MODE_FACTOR);
  row.number(inode.linkCount).number(inode.uid).number(inode.gid).number(inode.length).byte(inode.goal);
  if (more & HAS_TRUNCATIONS) row.number(inode.truncations);
  if (more & HAS_HOLES) row.number(inode.holeBytes);
  writeTime(row, btime);
  if (flags & ATIME_DIFFERS) writeTime(row, atime);
  if (flags & MTIME_DIFFERS) writeTime(row, mtime);
  if (flags & CTIME_DIFFERS) writeTime(row, ctime);
  if (flags & HAS_PARENT) row.number(parent);
  if (flags & HAS_RDEV) row.number(inode.rdev);
  return row;
}

export function readInode(row: RowReader, inode: InodeId): Inode {
  const flags = row.byte();
  const modeAndMore = row.number();
  const linkCount = row.number();
  const uid = row.number();
  const gid = row.number();
  const length = row.number();
  const goal = row.byte();
  const more = Math.floor(modeAndMore / MODE_FACTOR);
  const truncations = more & HAS_TRUNCATIONS ? row.number() : 0;
  const holeBytes = more & HAS_HOLES ? row.number() : 0;
  const btime = readTime(row);
  return {
    inode,
    type: (flags & 0x07) as FileType,
    mode: modeAndMore % MODE_FACTOR,
    linkCount,
    uid,
    gid,
    length,
    goal,
    truncations,
    hasXattrs: (more & HAS_XATTRS) !== 0,
    holeBytes,
    btime,
    atime: flags & ATIME_DIFFERS ? readTime(row) : btime,
    mtime: flags & MTIME_DIFFERS ? readTime(row) : btime,
    ctime: flags & CTIME_DIFFERS ? readTime(row) : btime,
    parent: flags & HAS_PARENT ? (row.number() as InodeId) : 0,
    rdev: flags & HAS_RDEV ? row.number() : 0,
  };
}

export function writeDirent(row: RowWriter, dirent: Dirent): RowWriter {
  return row.byte(dirent.type).number(dirent.inode);
}

export function readDirent(row: RowReader): Dirent {
  const type = row.byte() as FileType;
  return { type, inode: row.number() as InodeId };
}

/** An open extent is its chunk alone. */
export function writeExtent(row: RowWriter, extent: Extent): RowWriter {
  row.number(extent.chunk);
  return extent.sealedLength === undefined ? row : row.number(extent.sealedLength);
}

export function readExtent(row: RowReader, start: number): Extent {
  const chunk = row.number() as ChunkHandle;
  return { start, chunk, sealedLength: row.atEnd ? undefined : row.number() };
}

const HAS_CUT = 1;
const HAS_LOSS = 2;
/** More than one: their number comes before them. */
const HAS_CUTS = 4;
const IS_FROZEN = 8;
const IS_CLONE = 16;

export function writeChunk(row: RowWriter, chunk: Chunk): RowWriter {
  const { cuts } = chunk;
  const cutFlag = cuts.length > 1 ? HAS_CUTS : cuts.length;
  const isClone = chunk.firstVersion > 1;
  const loss = chunk.loss > 0 ? HAS_LOSS : 0;
  row.byte(cutFlag | loss | (chunk.frozen ? IS_FROZEN : 0) | (isClone ? IS_CLONE : 0));
  row.number(chunk.version).number(chunk.primary).number(chunk.referenceCount).byte(chunk.goal);
  writeIds(row, chunk.members);
  if (cuts.length > 1) row.number(cuts.length);
  for (const { version, length } of cuts) row.number(version).number(length);
  if (chunk.loss > 0) row.number(chunk.loss);
  return isClone ? row.number(chunk.firstVersion) : row;
}

export function readChunk(row: RowReader): Chunk {
  const flags = row.byte();
  return {
    version: row.number(),
    primary: row.number() as ServerId | 0,
    referenceCount: row.number(),
    goal: row.byte(),
    members: readIds<ServerId>(row),
    cuts: readCuts(row, flags & HAS_CUTS ? row.number() : flags & HAS_CUT),
    loss: flags & HAS_LOSS ? row.number() : 0,
    frozen: (flags & IS_FROZEN) !== 0,
    firstVersion: flags & IS_CLONE ? row.number() : 1,
  };
}

function readCuts(row: RowReader, count: number): Cut[] {
  return Array.from({ length: count }, () => ({ version: row.number(), length: row.number() }));
}

export function writeGarbage(row: RowWriter, garbage: Garbage): RowWriter {
  return writeIds(row, garbage.members);
}

export function readGarbage(row: RowReader): Garbage {
  return { members: readIds<ServerId>(row) };
}

export function writeAppender(row: RowWriter, appender: Appender): RowWriter {
  const { writer, from, highest, truncations, usedAt } = appender;
  return writeTime(row.number(writer).number(from).number(highest).number(truncations), usedAt);
}

export function readAppender(row: RowReader): Appender {
  const writer = row.number();
  const from = row.number();
  return { writer, from, highest: row.number(), truncations: row.number(), usedAt: readTime(row) };
}

/** Nothing at all is a file that lost its last name. */
export function writeOrphan(row: RowWriter, { unnamed }: Orphan): RowWriter {
  if (unnamed === undefined) return row;
  return row
    .byte(unnamed.linkable ? 1 : 0)
    .number(unnamed.session)
    .number(unnamed.number);
}

export function readOrphan(row: RowReader): Orphan {
  if (row.atEnd) return { unnamed: undefined };
  const linkable = row.byte() === 1;
  return { unnamed: { linkable, session: row.number() as SessionId | 0, number: row.number() } };
}

/** The kind first: others have other values behind it. */
const REMOVAL = 1;

export function writeLongCommand(row: RowWriter, command: LongCommand): RowWriter {
  const { at, doneCount, startedAt, uid } = command;
  writeTime(row.byte(REMOVAL).number(at).number(doneCount), startedAt);
  return row.number(uid);
}

export function readLongCommand(row: RowReader, id: InodeId): LongCommand {
  const kind = row.byte();
  if (kind !== REMOVAL) throw new GfsError('CORRUPT', `long command ${id} has the unknown kind ${kind}`);
  const at = row.number() as InodeId;
  const doneCount = row.number();
  const startedAt = readTime(row);
  return { kind: 'removal', id, at, doneCount, startedAt, uid: row.number() };
}

export function writeSession(row: RowWriter, session: Session): RowWriter {
  row
    .text(session.host)
    .text(session.program)
    .byte(session.kernelWalksPaths ? 1 : 0);
  return writeTime(row, session.openedAt);
}

export function readSession(row: RowReader, session: SessionId): Session {
  return {
    session,
    host: row.text(),
    program: row.text(),
    kernelWalksPaths: row.byte() === 1,
    openedAt: readTime(row),
  };
}

export function writeServer(row: RowWriter, server: Server): RowWriter {
  return writeTime(row.text(server.host), server.addedAt);
}

export function readServer(row: RowReader, server: ServerId): Server {
  return { server, host: row.text(), addedAt: readTime(row) };
}

export function writeFilesystem(row: RowWriter, filesystem: Filesystem): RowWriter {
  return row.text(filesystem.id).number(filesystem.chunkSizeBytes).number(filesystem.replication);
}

export function readFilesystem(row: RowReader): Filesystem {
  return { id: row.text(), chunkSizeBytes: row.number(), replication: row.number() };
}

export function writeProgress(row: RowWriter, progress: Progress): RowWriter {
  row.number(progress.position).number(progress.nextInode).number(progress.nextChunk);
  row.number(progress.nextServer).number(progress.nextSession);
  return row.number(progress.inodeCount).number(progress.chunkCount);
}

export function readProgress(row: RowReader): Progress {
  return {
    position: row.number(),
    nextInode: row.number(),
    nextChunk: row.number(),
    nextServer: row.number(),
    nextSession: row.number(),
    inodeCount: row.number(),
    chunkCount: row.number(),
  };
}

export function writeTime(row: RowWriter, time: Time): RowWriter {
  return row.signed(time.seconds).fixed32(time.nanos);
}

export function readTime(row: RowReader): Time {
  return { seconds: row.signed(), nanos: row.fixed32() };
}

function writeIds(row: RowWriter, ids: readonly number[]): RowWriter {
  row.number(ids.length);
  for (const id of ids) row.number(id);
  return row;
}

function readIds<Id extends number>(row: RowReader): Id[] {
  return Array.from({ length: row.number() }, () => row.number() as Id);
}
