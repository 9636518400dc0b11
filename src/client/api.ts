import type { Bytes } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import type { InodeId, SessionId } from '../base/ids.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Rules } from '../core/rules.ts';
import type {
  Attributes,
  DirectoryEntry,
  ExtentLocation,
  FileType,
  ListServersResponse,
  LongCommandProgress,
  ReportBadReplicaRequest,
  StatFilesystemResponse,
  StatusResponse,
  Time,
} from '../rpc/messages.ts';
import type { Network } from '../rpc/network.ts';
import type { XattrsListener } from './known-xattrs.ts';
import type { RecentChanges } from './recent-changes.ts';

/** Who asks: the master checks owner, mode and groups by it. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/**
 * How long a call may take. `deadlineMs` is absolute, on `Env.monotonicMs`; absent: now + `ioTimeoutMs`. A call that
 * ends by `signal` or deadline may have been carried out nevertheless.
 */
export interface Waiting {
  readonly signal?: AbortSignal | undefined;
  readonly deadlineMs?: number | undefined;
  /**
   * What the operation is called in the log lines of all processes that work on it: visible ASCII, up to 128 characters.
   * Absent, or something else: it is given a name.
   */
  readonly requestId?: string | undefined;
}

/** Who asks, and how long it may take. */
export interface Call extends Waiting {
  readonly caller: Identity;
}

/** How a file is opened. `append`: its writer will use `GfsFile.append`. `execute`: `read` is for running it. */
export interface OpenMode {
  readonly read?: boolean;
  readonly write?: boolean;
  readonly truncate?: boolean;
  readonly append?: boolean;
  readonly execute?: boolean;
}

export interface CreateMode extends OpenMode {
  readonly mode: number;
  /** Taken off the mode, unless the directory has a default ACL. Absent: the mode is as it should be. */
  readonly umask?: number;
  /** An existing file is EXISTS; otherwise it is opened. */
  readonly exclusive?: boolean;
  /** Copies wanted of each chunk of a new file, 1 to 9. Absent: as many as the file system has by default. */
  readonly goal?: number | undefined;
}

/** Of a file without a name. */
export interface UnnamedMode extends Pick<OpenMode, 'read' | 'write' | 'append'> {
  readonly mode: number;
  readonly umask: number;
  /** As in `CreateMode`. */
  readonly goal?: number | undefined;
  /** `makeLink` may give it a name, from when on it is a file like others; otherwise it never has one. */
  readonly linkable: boolean;
}

/** Of a file that appears when it is whole. */
export interface AtomicMode extends Pick<UnnamedMode, 'mode' | 'umask' | 'goal'> {
  /** A name that is taken is EXISTS. Default: whatever has it, but a directory, is replaced. */
  readonly exclusive?: boolean;
  /** Its bytes are on the disks of all copies before it appears. */
  readonly sync?: boolean;
  /** To be set once it is written. */
  readonly changes?: AttributeChanges;
}

export interface OpenedFile {
  readonly file: GfsFile;
  readonly attributes: Attributes;
  /** Nobody changed the contents since this client last knew them: pages cached from it are still good. */
  readonly unchanged: boolean;
  /** Another session has it open for writing. */
  readonly beingWritten: boolean;
}

export interface CreatedFile extends OpenedFile {
  readonly created: boolean;
}

/** What `setAttributes` changes; what is absent stays. */
export interface AttributeChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Shortens a regular file, or extends it with zeros. */
  readonly length?: number;
  readonly atime?: Time | 'now';
  readonly mtime?: Time | 'now';
  /** As a write by somebody without privileges does. */
  readonly dropSetIds?: boolean;
}

/** Of an extended attribute that is set. */
export interface XattrOptions {
  /** EXISTS: it is there. */
  readonly create?: boolean;
  /** NO_DATA: it is not there. */
  readonly replace?: boolean;
}

export interface NodeDescription {
  /** Anything but a regular file. */
  readonly type: FileType;
  readonly mode: number;
  /** As in `CreateMode`. */
  readonly umask?: number;
  readonly rdev?: number;
  readonly symlinkTarget?: Uint8Array;
}

export interface ListOptions {
  /** Only entries whose names come after this one, in byte order; absent: from the start. */
  readonly after?: Uint8Array;
  readonly limit: number;
  readonly withAttributes?: boolean;
}

export interface DirectoryPage {
  readonly entries: readonly DirectoryEntry[];
  /** Nothing comes after these. */
  readonly end: boolean;
  readonly parent: InodeId;
}

export interface EntriesOptions {
  /**
   * `all`: also those of files that somebody is writing; PERMISSION_DENIED where the caller may not search the directory. `allowed`:
   * there he gets names alone. Absent: names and types.
   */
  readonly attributes?: 'all' | 'allowed' | undefined;
}

export interface WalkOptions extends EntriesOptions {
  /** Whether what is in a directory is wanted, too, when it has been told of. Absent: always. */
  readonly enters?: (directory: WalkedEntry) => boolean;
}

export interface WalkedEntry extends DirectoryEntry {
  /** The path that the walk began with, and the names below it. */
  readonly path: Buffer;
}

/** `depth`: 0 for the directory that the walk begins with, which is left, too. */
export type WalkStep = { readonly entry: WalkedEntry; readonly depth: number } & (
  | { readonly kind: 'entry' }
  /** All below this directory has been told of. */
  | { readonly kind: 'left' }
  /** The entries of this directory, or those that are missing yet, cannot be told; it is left next, and the walk goes on. */
  | { readonly kind: 'failed'; readonly error: unknown }
);

export interface FileStatus {
  readonly attributes: Attributes;
  readonly extents: readonly ExtentLocation[];
}

/**
 * A file system as programs on one machine use it: the mount, the command line, the gateway. Made by
 * `GfsClient.connect`. Names and paths are bytes. Failures are `GfsError`s; what is worth retrying has been retried
 * until the deadline. Attributes of files that are written here already show what is still on its way.
 */
export interface GfsClient {
  readonly filesystemId: string;
  readonly session: SessionId;
  readonly rootInode: InodeId;
  readonly chunkSizeBytes: number;
  /** Why nothing can be done now: the session has ended, or the master is silent; undefined: nothing is wrong. */
  readonly missing: string | undefined;
  /**
   * What may be believed of answers for longer than it takes to give them on: what has not changed since it was asked. Of
   * the rest the listeners hear.
   */
  readonly changes: RecentChanges;
  /** As it was connected: a kernel checks the rights of those who ask, when they come to a node and when they open it. */
  readonly kernelWalksPaths: boolean;
  onChange(listener: ChangeListener): void;

  /** What `attributes` would answer without asking anybody; undefined: it would ask. */
  known(inode: InodeId): Attributes | undefined;
  /** For how long that is so at most, unless `changes` tells that it is not, or the master is heard again. */
  readonly knownForMs: number;
  /** What a name is known to mean, likewise. */
  knownName(place: Place): InodeId | undefined;

  lookup(parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes>;
  attributes(inode: InodeId, call: Call): Promise<Attributes>;
  readSymlink(inode: InodeId, call: Call): Promise<Buffer>;
  list(directory: InodeId, options: ListOptions, call: Call): Promise<DirectoryPage>;
  /** All that is in a directory, in the order of the names' bytes, page by page: the next one is on its way meanwhile. */
  entries(directory: InodeId, options: EntriesOptions, call: Call): AsyncGenerator<DirectoryEntry>;
  /**
   * All that is below a directory, each directory before what is in it; `entries` says in which order. One that is removed meanwhile
   * is passed over. Symbolic links are not followed.
   */
  walk(root: WalkedEntry, options: WalkOptions, call: Call): AsyncGenerator<WalkStep>;
  statFilesystem(waiting?: Waiting): Promise<StatFilesystemResponse>;

  setAttributes(inode: InodeId, changes: AttributeChanges, call: Call): Promise<Attributes>;
  /**
   * Extended attributes (xattr(7)): in user., trusted. and security., and ACLs in Linux's binary form, as
   * system.posix_acl_access and system.posix_acl_default. NO_DATA: there is none of that name, or not for this caller.
   */
  getXattr(inode: InodeId, name: Uint8Array, call: Call): Promise<Buffer>;
  /** It is known here, now and of every caller, that `getXattr` would say NO_DATA. */
  hasNoXattr(inode: InodeId, name: Uint8Array): boolean;
  /** Tells which inodes have none at all, so long as it is known for: `knownForMs` from then on. */
  onXattrsKnown(listener: XattrsListener): void;
  /** The names, in the order of their bytes. */
  listXattrs(inode: InodeId, call: Call): Promise<readonly Buffer[]>;
  setXattr(
    inode: InodeId,
    name: Uint8Array,
    value: Uint8Array,
    options: XattrOptions,
    call: Call,
  ): Promise<Attributes>;
  removeXattr(inode: InodeId, name: Uint8Array, call: Call): Promise<Attributes>;
  /**
   * Somebody read the inode, a file, a directory or a link: its time of access moves, as `relatime` has it. The master is told
   * within a second, and by `close`. True: it has moved, attributes that are answered from now on are others.
   */
  noteRead(inode: InodeId): boolean;
  /** Whether `noteRead` would move it. */
  wouldMoveAccessTime(inode: InodeId): boolean;
  makeNode(parent: InodeId, name: Uint8Array, node: NodeDescription, call: Call): Promise<Attributes>;
  /** Gives anything but a directory a further name, or its first one to a file that was made without. */
  makeLink(inode: InodeId, place: Place, options: LinkOptions, call: Call): Promise<Attributes>;
  /** These three answer what is gone by it, unless it is a regular file, which stays while somebody has it open. */
  unlink(parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes | undefined>;
  removeDirectory(parent: InodeId, name: Uint8Array, call: Call): Promise<Attributes | undefined>;
  /**
   * Takes a name away, of a directory with all that is below. That is out of sight when this resolves, for everybody, or nothing of
   * it is: also if the call fails, or is given up. PERMISSION_DENIED, NOT_PERMITTED: the caller may not remove something in there
   * (see `RemoveTree` in `master.proto`); the error's field `below` is its path from the directory on, in latin1. The space
   * comes back behind it, by a long command.
   */
  removeTree(parent: InodeId, name: Uint8Array, call: Call): Promise<RemovedTree>;
  /** How far a long command is; undefined: it has ended. */
  longCommand(id: number, waiting?: Waiting): Promise<LongCommandProgress | undefined>;
  rename(from: Place, to: Place, options: RenameOptions, call: Call): Promise<Attributes | undefined>;
  /** Resolves when no loss of power can undo a removal that was answered before. All else is on disk when it is answered. */
  syncNames(waiting?: Waiting): Promise<void>;

  create(parent: InodeId, name: Uint8Array, mode: CreateMode, call: Call): Promise<CreatedFile>;
  /** A file that goes with its last close, or with this client, as one does that lost its last name. */
  createUnnamed(directory: InodeId, mode: UnnamedMode, call: Call): Promise<OpenedFile>;
  open(inode: InodeId, mode: OpenMode, call: Call): Promise<OpenedFile>;
  /**
   * Makes a file that `write` fills, and that has its name when it is whole, or not at all. Until then it has no name and goes with
   * this client; what has the name by then is replaced in one step. What `write` throws is thrown, and the file is gone.
   */
  writeAtomically(
    place: Place,
    how: AtomicMode,
    write: (file: GfsFile) => Promise<void>,
    call: Call,
  ): Promise<Attributes>;

  /**
   * Walks an absolute path and follows symbolic links (the last one too unless `followLast` is false), for programs;
   * the mount looks up name by name.
   */
  resolve(path: Uint8Array, options: { followLast?: boolean }, call: Call): Promise<Attributes>;

  status(waiting?: Waiting): Promise<StatusResponse>;
  listServers(waiting?: Waiting): Promise<ListServersResponse>;
  /** All extents of a file with versions, primaries and replicas. */
  statFile(inode: InodeId, call: Call): Promise<FileStatus>;
  reportBadReplica(report: ReportBadReplicaRequest, waiting?: Waiting): Promise<void>;

  /** Sends what is still on its way, closes all open files and ends the session; safe to call twice. */
  close(): Promise<void>;
}

/** Hears of what others changed, so that what is kept of it outside this library can be dropped. */
export interface ChangeListener {
  /** Attributes or contents may be others now. */
  inodeChanged(inode: InodeId): void;
  /**
   * `removed`: what the name meant, when that was its last name; 0: it means something else, or its inode has moved.
   * `meant`: what this client last knew of what the name meant.
   */
  nameChanged(change: {
    readonly parent: InodeId;
    readonly name: Uint8Array;
    readonly removed: InodeId | 0;
    readonly meant?: Attributes | undefined;
  }): void;
  /** Anything that was answered before may be old. */
  everythingChanged(): void;
  /** Resolves when nobody believes any more what this listener was told to be old; absent or undefined: nobody does. */
  passedOn?(): Promise<void> | undefined;
}

/** What `GfsClient.connect` wants. */
export interface ClientOptions {
  readonly env: Env;
  readonly network: Network;
  /** "host:port" of each; tried in turn. */
  readonly masters: readonly string[];
  /** This machine's name, and what the session is ("mount /mnt/gfs"), for people. */
  readonly host: string;
  readonly program: string;
  /**
   * Callers come by way of a kernel that walks paths and checks each directory itself: the master then looks at an
   * inode's own mode alone. Default: it checks the way there, too.
   */
  readonly kernelWalksPaths?: boolean;
  /**
   * Listeners let others believe what they were answered for longer than a second: when the master is not heard for so
   * long, everything may have changed. It is asked for a sign of life all the time, then.
   */
  readonly staysInTouch?: boolean;
  /** How long a call is retried when it brings no deadline of its own. Default 60 s. */
  readonly ioTimeoutMs?: number;
  /** Bound of the block cache. Default 256 MiB. */
  readonly cacheBytes?: number;
  /** Bound of data that was taken and is not at the cluster yet; writers wait at it. Default 64 MiB. */
  readonly writeBehindBytes?: number;
  /** How far a sequential reader is read ahead at most. Default 16 MiB. */
  readonly readaheadBytes?: number;
  /** Is told how the client's figures are read. */
  readonly metrics?: Metrics | undefined;
  readonly withoutRules?: Rules | undefined;
}

/** A name in a directory. */
export interface Place {
  readonly parent: InodeId;
  readonly name: Uint8Array;
}

export interface LinkOptions {
  /**
   * Takes the name from whatever has it, in the same step and by the rules of `rename`. Nothing happens if it is the inode's already.
   * Default: a name that is taken is EXISTS.
   */
  readonly replace?: boolean;
}

export interface RemovedTree {
  /** As `unlink` and `removeDirectory` answer it. */
  readonly removed: Attributes | undefined;
  /** Names that went, this one and those below; 0: not known, after a restart of the master. */
  readonly count: number;
  /** What goes on; undefined: nothing is left to do. */
  readonly longCommand: number | undefined;
}

export interface RenameOptions {
  readonly noReplace?: boolean;
  readonly exchange?: boolean;
  /** Leaves a whiteout at the old name: the character device 0:0. */
  readonly whiteout?: boolean;
}

/** One sequence of appended records. */
export interface AppendWriter {
  /** As `GfsFile.append`. */
  append(bytes: Bytes, waiting?: Waiting): Promise<number>;
  /** Waits for the answers to what was asked for. `GfsFile.close` does it too. */
  close(): Promise<void>;
}

/**
 * An appender that the file has under a name: its records have numbers that rise by one, and each is in the file once, whichever
 * process appends it, and however often. So whoever does not know what became of a record appends it again, by the same name
 * and number, when its process or this one was killed meanwhile as well as after an error.
 */
export interface NamedAppender {
  /**
   * As `GfsFile.append`, of the record with this number. Resolves to where it lies; one that was appended before is not appended
   * again. The first number of all may be any; after a truncation that took records away, any that is higher. Calls need
   * not wait for one another: up to 64 go together, in the order of their numbers. `bytes` of a repeated record are believed
   * to be the same. Errors have the fields of those of `GfsFile.append`, and in these, `highest` is the latest number:
   * INVALID_ARGUMENT: a record before this one is missing; nothing was appended.
   * EXISTS: it was appended, but before the latest 64, and where it lies is not kept any more.
   * `onFailure` is called before anything else is appended: so what is given up by then, by its signal, is not.
   */
  append(sequence: number, bytes: Bytes, waiting?: Waiting, onFailure?: () => void): Promise<number>;
  /** Waits for the answers to what was asked for. `GfsFile.close` does it too. */
  close(): Promise<void>;
}

export interface Allocation {
  /** The range becomes zeros, whatever was written there; no byte is sent for it. */
  readonly zeros?: boolean;
  /** The file stays as long as it is. */
  readonly keepLength?: boolean;
  /** The zeros are a hole, and do not count as data in `st_blocks`; otherwise all of the range does. */
  readonly hole?: boolean;
}

/** What an owner locks of a file. */
export interface LockRange {
  /** `range`: bytes, as fcntl(2) does; `flock`: whole files, as flock(2) does. They know nothing of one another. */
  readonly kind: 'range' | 'flock';
  /** Any word, up to 64 characters. Owners of one client with the same word are the same. */
  readonly owner: string;
  /** First and last byte; absent: from the start, and up to the end, however far that is. */
  readonly start?: number;
  readonly end?: number;
}

export interface LockRequest extends LockRange {
  /** Nobody else has a lock there; otherwise nobody else has an exclusive one. */
  readonly exclusive: boolean;
  /** For as long as it takes, unless `Waiting` says less; otherwise LOCKED. */
  readonly wait?: boolean;
  /**
   * The owner does nothing else while it waits, so that a circle of such owners is a deadlock: DEADLOCK. Default: for
   * ranges.
   */
  readonly ownerWaits?: boolean;
  /** Who that is, for others on this machine who ask. */
  readonly pid?: number;
}

export interface LockGrant {
  /** Others may have changed the file since this client last knew it: what is kept of it outside this library is old. */
  readonly changed: boolean;
}

export interface ConflictingLock {
  readonly exclusive: boolean;
  readonly start: number;
  readonly end: number;
  /** 0: of another machine, or not told. */
  readonly pid: number;
}

/**
 * An open file. Writes are taken and sent later; what went wrong with them is told once, by the next `flush`, `sync`
 * or `close` of each file that was open then. Reads see all writes that were taken before, through whichever open
 * file of this client. Close-to-open between machines: after `flush`, an `open` elsewhere sees data and length.
 */
export interface GfsFile {
  readonly inode: InodeId;

  /** Up to `length` bytes; fewer only at the end of the file. The buffers belong to the caller. */
  read(fileOffset: number, length: number, waiting?: Waiting): Promise<Bytes>;

  /**
   * Resolves as soon as the data is taken; `bytes` are borrowed until then. Waits while too much is on its way. Errors have
   * the field `applied`, as those of `append`: "no", nothing of this write was taken. The `flush`, `sync` or `close` that tells
   * what became of taken writes has "unknown": some may have arrived. Bytes have their place, so they may be written again.
   */
  write(fileOffset: number, bytes: Bytes, waiting?: Waiting): Promise<void>;
  /**
   * As `write`, but keeps the buffers instead of copying them: nobody changes them until `release` is called, which
   * happens exactly once, also when the write is refused.
   */
  writeTaken(fileOffset: number, bytes: Bytes, release: () => void, waiting?: Waiting): Promise<void>;
  /**
   * Appends one record (§3.3): at the end of the file, wherever that is when it arrives, whole and once, whatever fails
   * meanwhile; resolves to its file offset when all replicas have it. Records of one open file follow one another in the
   * order of the calls; small ones that are asked for while one is on its way go out together. `bytes` are borrowed until
   * then. INVALID_ARGUMENT: nothing, or more than a quarter of a chunk. Every error has the field `applied` (see
   * `Applied`): "no", the record is nowhere and may be sent again; "unknown", it may still appear, once.
   */
  append(bytes: Bytes, waiting?: Waiting): Promise<number>;
  /** Another writer of this open file: its records follow one another, and go beside those of others. */
  newAppendWriter(): AppendWriter;
  /**
   * The file's appender with this name of 1 to 64 bytes, which is made if there is none. Two processes may have it at a time: no
   * record is there twice, but one of them may get an error. NO_SPACE: the file has 4,096, all of them used within a day.
   */
  appender(name: Uint8Array, waiting?: Waiting): Promise<NamedAppender>;
  truncate(length: number, waiting?: Waiting): Promise<void>;
  /**
   * Takes set-id bits away, if there may be any. The master does that when it is told of writes by anybody but root; whoever
   * asks for the mode meanwhile would still see them. Undefined: there are none.
   */
  dropSetIds(waiting?: Waiting): Promise<void> | undefined;

  /**
   * fallocate(2), behind all writes that were taken before: the file reaches to the end of the range, and what nobody wrote
   * there reads as zeros. No room is set aside for it. The times change in any case.
   */
  allocate(fileOffset: number, length: number, how?: Allocation, waiting?: Waiting): Promise<void>;

  /**
   * copy_file_range(2): bytes of another open file of this client, or of this one, become bytes of this one, behind all writes
   * to both that were taken before. Chunkservers pass them to one another. Resolves to how many were copied, from the first
   * on: fewer than asked in long ranges, and at the source's end; 0 is that end. Ranges of one file that overlap are refused.
   */
  copyFrom(
    source: GfsFile,
    range: { readonly sourceOffset: number; readonly fileOffset: number; readonly length: number },
    waiting?: Waiting,
  ): Promise<number>;

  /**
   * The first offset from `fileOffset` on that has data, or that is in a hole; the file's end is one. What was never written or
   * was zeroed is a hole, as far as that is known cheaply. Undefined: there is none, or the offset is not in the file.
   */
  seek(fileOffset: number, kind: 'data' | 'hole', waiting?: Waiting): Promise<number | undefined>;

  /** As the master has them, with what was written here and is not there yet. */
  attributes(waiting?: Waiting): Promise<Attributes>;

  /**
   * Locks a range for an owner, in place of what the owner has there: among all clients. What others wrote before they
   * unlocked is read afterwards. Ends with the owner's `unlock`, with this open file, or with the session: then whatever is
   * tried with this file fails with SESSION_EXPIRED. LOCKED, DEADLOCK, TOO_MANY_LOCKS. When it fails otherwise, as by the
   * signal or at the deadline, the owner has what it had before.
   */
  lock(lock: LockRequest, waiting?: Waiting): Promise<LockGrant>;
  /** Gives back what the owner has there, after sending what was written to the file. */
  unlock(range: LockRange, waiting?: Waiting): Promise<void>;
  /** `flush`, and `unlock` of this range, would find nothing to do and nothing to tell. */
  isSettled(range: LockRange): boolean;
  /** A lock of somebody else that such a one would have to wait for. */
  conflictingLock(lock: LockRequest, waiting?: Waiting): Promise<ConflictingLock | undefined>;

  /** All writes so far are at all replicas, length and mtime at the master: what close(2) waits for. */
  flush(waiting?: Waiting): Promise<void>;
  /** As `flush`, and on all disks: fsync(2). */
  sync(waiting?: Waiting): Promise<void>;
  /** Flushes if need be, and gives the file back; safe to call twice. Free of waiting right after a `flush`. */
  close(waiting?: Waiting): Promise<void>;
}
