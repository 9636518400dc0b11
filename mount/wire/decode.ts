import { GfsError } from '../../src/base/errors.ts';
import type { Time } from '../../src/rpc/messages.ts';
import { Cursor } from './cursor.ts';
import { FATTR, FSYNC_FDATASYNC, GETATTR_FH, LK_FLOCK, LOCK, OPCODE, WRITE_KILL_SUIDGID } from './numbers.ts';
import type {
  ForgottenNode,
  Initialise,
  LockRequest,
  Request,
  RequestHeader,
  SetAttributes,
  Write,
} from './requests.ts';

/**
 * struct fuse_in_header:
 *   0 len u32, 4 opcode u32, 8 unique u64, 16 nodeid u64, 24 uid u32, 28 gid u32, 32 pid u32,
 *   36 total_extlen u16 (extensions at the request's end, which we do not ask for), 38 padding
 */
export const IN_HEADER_BYTES = 40;

/** Throws INVALID_ARGUMENT when this is no request at all: then there is nobody to answer. */
export function decodeHeader(bytes: Buffer): RequestHeader {
  const cursor = new Cursor(bytes);
  const length = cursor.uint32();
  if (length !== bytes.length) {
    throw new GfsError('INVALID_ARGUMENT', `a request of ${bytes.length} bytes says it has ${length}`);
  }
  const opcode = cursor.uint32();
  const unique = cursor.opaque();
  const node = cursor.id();
  const header = { opcode, unique, node, uid: cursor.uint32(), gid: cursor.uint32(), pid: cursor.uint32() };
  cursor.skip(4);
  return header;
}

/**
 * The request behind a header. Throws INVALID_ARGUMENT for what is cut short or makes no sense, FILE_TOO_LARGE for offsets
 * beyond 2^53. Everything is copied but the data of a write.
 */
export function decodeRequest({ opcode, node }: RequestHeader, bytes: Buffer): Request {
  const cursor = new Cursor(bytes, IN_HEADER_BYTES);
  switch (opcode) {
    case OPCODE.LOOKUP:
      return { kind: 'lookup', parent: node, name: cursor.name() };
    case OPCODE.FORGET:
      return { kind: 'forget', nodes: [{ node, count: cursor.size() }] };
    case OPCODE.BATCH_FORGET:
      return { kind: 'forget', nodes: forgottenNodes(cursor) };
    case OPCODE.GETATTR: {
      const flags = cursor.uint32();
      cursor.skip(4);
      // Without the flag the field means nothing.
      return { kind: 'getAttributes', node, openFile: flags & GETATTR_FH ? cursor.id() : undefined };
    }
    case OPCODE.STATX: {
      const flags = cursor.uint32();
      cursor.skip(4);
      const openFile = cursor.id();
      // What is wanted and may be old does not matter: all of it is answered, as it is now.
      return {
        ...{ kind: 'getAttributes', node, extended: true },
        openFile: flags & GETATTR_FH ? openFile : undefined,
      };
    }
    case OPCODE.SETATTR:
      return setAttributes(cursor, node);
    case OPCODE.READLINK:
      return { kind: 'readSymlink', node };
    case OPCODE.SYMLINK:
      return { kind: 'makeSymlink', parent: node, name: cursor.name(), target: cursor.name() };
    case OPCODE.MKNOD: {
      const mode = cursor.uint32();
      const rdev = cursor.uint32();
      const umask = cursor.uint32();
      cursor.skip(4);
      return { kind: 'makeNode', parent: node, mode, umask, rdev, name: cursor.name() };
    }
    case OPCODE.MKDIR: {
      const mode = cursor.uint32();
      const umask = cursor.uint32();
      return { kind: 'makeDirectory', parent: node, mode, umask, name: cursor.name() };
    }
    case OPCODE.UNLINK:
      return { kind: 'unlink', parent: node, name: cursor.name() };
    case OPCODE.RMDIR:
      return { kind: 'removeDirectory', parent: node, name: cursor.name() };
    case OPCODE.RENAME: {
      const newParent = cursor.id();
      const name = cursor.name();
      return { kind: 'rename', parent: node, name, newParent, newName: cursor.name(), flags: 0 };
    }
    case OPCODE.RENAME2: {
      const newParent = cursor.id();
      const flags = cursor.uint32();
      cursor.skip(4);
      const name = cursor.name();
      return { kind: 'rename', parent: node, name, newParent, newName: cursor.name(), flags };
    }
    case OPCODE.LINK: {
      const linked = cursor.id();
      return { kind: 'makeLink', node: linked, newParent: node, newName: cursor.name() };
    }
    case OPCODE.SETXATTR: {
      // struct fuse_setxattr_in: size u32, flags u32; more only where SETXATTR_EXT was agreed on.
      const size = cursor.uint32();
      const flags = cursor.uint32();
      const name = cursor.name();
      return { kind: 'setXattr', node, name, value: Buffer.from(cursor.view(size)), flags };
    }
    case OPCODE.GETXATTR: {
      const size = cursor.uint32();
      cursor.skip(4);
      return { kind: 'getXattr', node, name: cursor.name(), size };
    }
    case OPCODE.LISTXATTR:
      return { kind: 'listXattrs', node, size: cursor.uint32() };
    case OPCODE.REMOVEXATTR:
      return { kind: 'removeXattr', node, name: cursor.name() };
    case OPCODE.OPEN:
      return { kind: 'open', node, flags: cursor.uint32() };
    case OPCODE.CREATE: {
      const how = createFlags(cursor);
      return { kind: 'create', parent: node, ...how, name: cursor.name() };
    }
    // A name comes with it that nobody means.
    case OPCODE.TMPFILE:
      return { kind: 'createUnnamed', directory: node, ...createFlags(cursor) };
    case OPCODE.READ: {
      const openFile = cursor.id();
      const offset = cursor.size();
      const size = cursor.uint32();
      return { kind: 'read', node, openFile, offset, size, flags: readFlags(cursor) };
    }
    case OPCODE.WRITE:
      return write(cursor, node);
    case OPCODE.STATFS:
      return { kind: 'statFilesystem' };
    case OPCODE.RELEASE:
      return { kind: 'release', node, openFile: cursor.id() };
    case OPCODE.FLUSH: {
      const openFile = cursor.id();
      cursor.skip(8);
      return { kind: 'flush', node, openFile, lockOwner: lockOwner(cursor) };
    }
    case OPCODE.GETLK: {
      const openFile = cursor.id();
      return { kind: 'getLock', node, openFile, lock: lockRequest(cursor) };
    }
    case OPCODE.SETLK:
    case OPCODE.SETLKW: {
      const openFile = cursor.id();
      const lock = lockRequest(cursor);
      return { kind: 'setLock', node, openFile, lock, wait: opcode === OPCODE.SETLKW };
    }
    case OPCODE.FSYNC: {
      const openFile = cursor.id();
      return { kind: 'sync', node, openFile, dataOnly: (cursor.uint32() & FSYNC_FDATASYNC) !== 0 };
    }
    case OPCODE.FALLOCATE: {
      const openFile = cursor.id();
      const offset = cursor.size();
      const length = cursor.size();
      return { kind: 'allocate', node, openFile, offset, length, mode: cursor.uint32() };
    }
    case OPCODE.COPY_FILE_RANGE:
    case OPCODE.COPY_FILE_RANGE_64: {
      // struct fuse_copy_file_range_in: fh_in u64, off_in u64, nodeid_out u64, fh_out u64, off_out u64, len u64, flags u64
      const openFile = cursor.id();
      const offset = cursor.size();
      const target = { node: cursor.id(), openFile: cursor.id(), offset: cursor.size() };
      const length = Math.min(Number(cursor.opaque()), Number.MAX_SAFE_INTEGER);
      return { kind: 'copyRange', node, openFile, offset, target, length };
    }
    case OPCODE.LSEEK: {
      const openFile = cursor.id();
      const offset = Math.min(Number(cursor.opaque()), Number.MAX_SAFE_INTEGER);
      return { kind: 'seek', node, openFile, offset, whence: cursor.uint32() };
    }
    case OPCODE.OPENDIR:
      return { kind: 'openDirectory', node };
    case OPCODE.READDIR:
    case OPCODE.READDIRPLUS: {
      const openFile = cursor.id();
      const offset = cursor.size();
      const size = cursor.uint32();
      const withAttributes = opcode === OPCODE.READDIRPLUS;
      return {
        kind: 'readDirectory',
        node,
        openFile,
        offset,
        size,
        flags: readFlags(cursor),
        withAttributes,
      };
    }
    case OPCODE.RELEASEDIR:
      return { kind: 'releaseDirectory', node, openFile: cursor.id() };
    case OPCODE.FSYNCDIR:
      return { kind: 'syncDirectory', node };
    case OPCODE.INIT:
      return initialise(cursor);
    case OPCODE.INTERRUPT:
      return { kind: 'interrupt', unique: cursor.opaque() };
    case OPCODE.DESTROY:
      return { kind: 'destroy' };
    default:
      return { kind: 'unsupported' };
  }
}

/** struct fuse_create_in: flags u32, mode u32, umask u32, open_flags u32: who truncates without privileges, the master knows. */
function createFlags(cursor: Cursor): { flags: number; mode: number; umask: number } {
  const flags = cursor.uint32();
  const mode = cursor.uint32();
  const umask = cursor.uint32();
  cursor.skip(4);
  return { flags, mode, umask };
}

/** struct fuse_batch_forget_in: count u32, dummy u32; then count times nodeid u64, nlookup u64. */
function forgottenNodes(cursor: Cursor): ForgottenNode[] {
  const count = cursor.uint32();
  cursor.skip(4);
  if (count * 16 > cursor.left) throw new GfsError('INVALID_ARGUMENT', `${count} forgets in too few bytes`);
  return Array.from({ length: count }, () => ({ node: cursor.id(), count: cursor.size() }));
}

/**
 * struct fuse_setattr_in: valid u32, padding u32, fh u64, size u64, lock_owner u64, atime u64, mtime u64, ctime u64,
 * atimensec u32, mtimensec u32, ctimensec u32, mode u32, unused u32, uid u32, gid u32, unused u32
 */
function setAttributes(cursor: Cursor, node: number): SetAttributes {
  const valid = cursor.uint32();
  cursor.skip(4);
  // A field whose bit is not set may hold anything.
  const given = (bit: number) => (valid & bit) !== 0;
  const take = <T>(isGiven: boolean, read: () => T, bytes: number): T | undefined => {
    if (isGiven) return read();
    cursor.skip(bytes);
    return undefined;
  };
  const openFile = take(given(FATTR.FH), () => cursor.id(), 8);
  const size = take(given(FATTR.SIZE), () => cursor.size(), 8);
  cursor.skip(8); // lock owner
  const atimeSeconds = take(given(FATTR.ATIME) && !given(FATTR.ATIME_NOW), () => cursor.seconds(), 8);
  const mtimeSeconds = take(given(FATTR.MTIME) && !given(FATTR.MTIME_NOW), () => cursor.seconds(), 8);
  cursor.skip(8); // ctime is ours to set
  const atimeNanos = cursor.uint32();
  const mtimeNanos = cursor.uint32();
  cursor.skip(4);
  const mode = take(given(FATTR.MODE), () => cursor.uint32(), 4);
  cursor.skip(4);
  const uid = take(given(FATTR.UID), () => cursor.uint32(), 4);
  const gid = take(given(FATTR.GID), () => cursor.uint32(), 4);
  cursor.skip(4);
  const time = (nowBit: number, seconds: number | undefined, nanos: number): Time | 'now' | undefined => {
    if (given(nowBit)) return 'now';
    return seconds === undefined ? undefined : { seconds, nanos };
  };
  return {
    kind: 'setAttributes',
    node,
    openFile,
    size,
    mode,
    uid,
    gid,
    atime: time(FATTR.ATIME_NOW, atimeSeconds, atimeNanos),
    mtime: time(FATTR.MTIME_NOW, mtimeSeconds, mtimeNanos),
  };
}

/** The end of struct fuse_read_in: read_flags u32, lock_owner u64, flags u32, padding u32. */
function readFlags(cursor: Cursor): number {
  cursor.skip(12);
  return cursor.uint32();
}

/** struct fuse_write_in: fh u64, offset u64, size u32, write_flags u32, lock_owner u64, flags u32, padding u32; then data. */
function write(cursor: Cursor, node: number): Write {
  const openFile = cursor.id();
  const offset = cursor.size();
  const size = cursor.uint32();
  const dropsSetIds = (cursor.uint32() & WRITE_KILL_SUIDGID) !== 0;
  cursor.skip(8);
  const flags = cursor.uint32();
  cursor.skip(4);
  return { kind: 'write', node, openFile, offset, flags, dropsSetIds, data: cursor.view(size) };
}

/** struct fuse_lk_in, behind fh u64: owner u64; start u64, end u64, type u32, pid u32; lk_flags u32, padding u32. */
function lockRequest(cursor: Cursor): LockRequest {
  const owner = lockOwner(cursor);
  const start = cursor.size();
  const end = cursor.lastByte();
  const type = lockType(cursor.uint32());
  const pid = cursor.uint32();
  if (end < start) throw new GfsError('INVALID_ARGUMENT', `a lock of bytes ${start} to ${end}`);
  return { owner, flock: (cursor.uint32() & LK_FLOCK) !== 0, start, end, type, pid };
}

function lockType(type: number): LockRequest['type'] {
  switch (type) {
    case LOCK.READ:
      return 'shared';
    case LOCK.WRITE:
      return 'exclusive';
    case LOCK.NONE:
      return 'none';
    default:
      throw new GfsError('INVALID_ARGUMENT', `a lock of type ${type}`);
  }
}

function lockOwner(cursor: Cursor): string {
  return cursor.opaque().toString(16);
}

/** struct fuse_init_in: major u32, minor u32, max_readahead u32, flags u32; since 7.36 flags2 u32, unused u32[11]. */
function initialise(cursor: Cursor): Initialise {
  const major = cursor.uint32();
  const minor = cursor.uint32();
  const readaheadBytesMax = cursor.left >= 4 ? cursor.uint32() : 0;
  const flags = cursor.left >= 4 ? cursor.uint32() : 0;
  const flags2 = cursor.left >= 4 ? cursor.uint32() : 0;
  return { kind: 'initialise', major, minor, readaheadBytesMax, flags, flags2 };
}
