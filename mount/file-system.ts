import type { Bytes } from '../src/base/bytes.ts';
import type { DirectoryItem } from './wire/directory.ts';
import type { Entry, FilesystemStatistics, LockReply, OpenReply, TimedAttributes } from './wire/replies.ts';
import type {
  Allocate,
  CopyRange,
  Create,
  CreateUnnamed,
  Flush,
  GetAttributes,
  GetLock,
  GetXattr,
  ListXattrs,
  Lookup,
  MakeDirectory,
  MakeLink,
  MakeNode,
  MakeSymlink,
  Open,
  OpenDirectory,
  Read,
  ReadDirectory,
  ReadSymlink,
  Release,
  ReleaseDirectory,
  RemoveDirectory,
  RemoveXattr,
  Rename,
  Seek,
  SetAttributes,
  SetLock,
  SetXattr,
  Sync,
  SyncDirectory,
  Unlink,
  Write,
} from './wire/requests.ts';

/** An operation of the kernel, by its name in all logs, which is made when that is asked for. */
export interface Asked {
  readonly requestId?: string | undefined;
}

/** Who asks, as the kernel says. */
export interface Caller extends Asked {
  readonly uid: number;
  readonly gid: number;
  /** The calling thread; 0: unknown. */
  readonly pid: number;
}

/** A writer may keep the buffer that the kernel's data lies in, rather than copy it. */
export interface WriteBuffer {
  /**
   * The data then stays valid until the returned function is called, which must happen once. Undefined: buffers are
   * scarce, the data is only borrowed until the operation's promise settles.
   */
  keep(): (() => void) | undefined;
}

/**
 * What a mounted file system does, one method for each operation of the kernel. A rejection is answered with `errnoOf` the
 * error. Operations run side by side; the kernel orders what it wants ordered.
 */
export interface FileSystem extends Namespace, Xattrs, Files, Directories {}

/** Names, and what they name. */
export interface Namespace {
  lookup(operation: Lookup, caller: Caller): Promise<Entry>;
  getAttributes(operation: GetAttributes, caller: Caller): Promise<TimedAttributes>;
  setAttributes(operation: SetAttributes, caller: Caller): Promise<TimedAttributes>;
  readSymlink(operation: ReadSymlink, caller: Caller): Promise<Uint8Array>;
  makeSymlink(operation: MakeSymlink, caller: Caller): Promise<Entry>;
  makeNode(operation: MakeNode, caller: Caller): Promise<Entry>;
  makeDirectory(operation: MakeDirectory, caller: Caller): Promise<Entry>;
  unlink(operation: Unlink, caller: Caller): Promise<void>;
  removeDirectory(operation: RemoveDirectory, caller: Caller): Promise<void>;
  rename(operation: Rename, caller: Caller): Promise<void>;
  makeLink(operation: MakeLink, caller: Caller): Promise<Entry>;
  statFilesystem(asked?: Asked): Promise<FilesystemStatistics>;
}

/** Extended attributes. */
export interface Xattrs {
  /** The error, if it is known without asking anybody that there is none of that name, whoever asks: it is answered at once. */
  absentXattr(operation: GetXattr): number | undefined;
  getXattr(operation: GetXattr, caller: Caller): Promise<Uint8Array>;
  /** All names, each with a zero byte behind it. */
  listXattrs(operation: ListXattrs, caller: Caller): Promise<Uint8Array>;
  setXattr(operation: SetXattr, caller: Caller): Promise<void>;
  removeXattr(operation: RemoveXattr, caller: Caller): Promise<void>;
}

/** Open files. */
export interface Files {
  /** The kernel knows nothing of the node any more. */
  forgotten(node: number): void;
  create(operation: Create, caller: Caller): Promise<Entry & OpenReply>;
  /** A file that has no name, and may be given one unless it is made with OPEN.EXCLUSIVE. */
  createUnnamed(operation: CreateUnnamed, caller: Caller): Promise<Entry & OpenReply>;
  open(operation: Open, caller: Caller): Promise<OpenReply>;
  /** The buffers stay as they are until the reply was sent, at once after the promise settled. */
  read(operation: Read, asked?: Asked): Promise<Bytes>;
  /** Resolves to the number of bytes taken. `operation.data` is borrowed, but see `WriteBuffer`. */
  write(operation: Write, buffer: WriteBuffer, asked?: Asked): Promise<number>;
  /** Whether a flush has nothing to do: then it is not called. Programs wait in it, each time they close a file. */
  isSettled(operation: Flush): boolean;
  /**
   * Somebody closes a descriptor of the open file: the last chance to report what went wrong with its writes. What that
   * owner has locked of the file's bytes is unlocked.
   */
  flush(operation: Flush, asked?: Asked): Promise<void>;
  sync(operation: Sync, asked?: Asked): Promise<void>;
  /** lseek(2) to data or to a hole. */
  seek(operation: Seek, asked?: Asked): Promise<number>;
  /** fallocate(2). */
  allocate(operation: Allocate, asked?: Asked): Promise<void>;
  /** copy_file_range(2). Resolves to the number of bytes copied, less than 2^32. */
  copyRange(operation: CopyRange, asked?: Asked): Promise<number>;
  /** A lock that is in the way; undefined: none is. */
  getLock(operation: GetLock, asked?: Asked): Promise<LockReply | undefined>;
  /**
   * Resolves when it is locked, or unlocked. `signal`: the caller does not wait any more; a lock that was not granted before
   * is not wanted then.
   */
  setLock(operation: SetLock, caller: Caller, signal: AbortSignal): Promise<void>;
  /** The last descriptor is closed; nobody waits for this. What was locked by the open file is unlocked. */
  release(operation: Release, asked?: Asked): Promise<void>;
}

/** Listings. */
export interface Directories {
  openDirectory(operation: OpenDirectory, caller: Caller): Promise<OpenReply>;
  /** Some of the items from `operation.offset` on; none only at the end. Those that do not fit are asked for again. */
  readDirectory(operation: ReadDirectory, asked?: Asked): Promise<readonly DirectoryItem[]>;
  syncDirectory(operation: SyncDirectory, asked?: Asked): Promise<void>;
  releaseDirectory(operation: ReleaseDirectory): Promise<void>;
}
