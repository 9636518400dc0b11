import type { Time } from '../../src/rpc/messages.ts';

/** Who asks. `pid` is the calling thread's id; 0: in a process namespace that we do not see. */
export interface RequestHeader {
  readonly opcode: number;
  /** Ties a reply to its request; the kernel's, opaque. */
  readonly unique: bigint;
  readonly node: number;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

// What the kernel asks for, as it reads. `node` is what it is asked of, `parent` the directory of `name`; `openFile` is
// FUSE's `fh`: the number that we gave an open file. Names are bytes.

export type Lookup = { readonly kind: 'lookup'; readonly parent: number; readonly name: Buffer };
export type Forget = { readonly kind: 'forget'; readonly nodes: readonly ForgottenNode[] };
export type ForgottenNode = { readonly node: number; readonly count: number };
export type GetAttributes = {
  readonly kind: 'getAttributes';
  readonly node: number;
  readonly openFile?: number | undefined;
  /** By statx(2), with the time of birth. */
  readonly extended?: boolean;
};
export type SetAttributes = {
  readonly kind: 'setAttributes';
  readonly node: number;
  readonly openFile?: number | undefined;
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly size?: number | undefined;
  readonly atime?: Time | 'now' | undefined;
  readonly mtime?: Time | 'now' | undefined;
};
export type ReadSymlink = { readonly kind: 'readSymlink'; readonly node: number };
export type MakeSymlink = {
  readonly kind: 'makeSymlink';
  readonly parent: number;
  readonly name: Buffer;
  readonly target: Buffer;
};
export type MakeNode = {
  readonly kind: 'makeNode';
  readonly parent: number;
  readonly name: Buffer;
  /** With the type's bits. */
  readonly mode: number;
  readonly umask: number;
  readonly rdev: number;
};
export type MakeDirectory = {
  readonly kind: 'makeDirectory';
  readonly parent: number;
  readonly name: Buffer;
  readonly mode: number;
  readonly umask: number;
};
export type Unlink = { readonly kind: 'unlink'; readonly parent: number; readonly name: Buffer };
export type RemoveDirectory = {
  readonly kind: 'removeDirectory';
  readonly parent: number;
  readonly name: Buffer;
};
export type Rename = {
  readonly kind: 'rename';
  readonly parent: number;
  readonly name: Buffer;
  readonly newParent: number;
  readonly newName: Buffer;
  /** RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. */
  readonly flags: number;
};
export type MakeLink = {
  readonly kind: 'makeLink';
  readonly node: number;
  readonly newParent: number;
  readonly newName: Buffer;
};
export type GetXattr = {
  readonly kind: 'getXattr';
  readonly node: number;
  readonly name: Buffer;
  /** Room that the caller has; 0: he asks how much he needs. */
  readonly size: number;
};
export type ListXattrs = { readonly kind: 'listXattrs'; readonly node: number; readonly size: number };
export type SetXattr = {
  readonly kind: 'setXattr';
  readonly node: number;
  readonly name: Buffer;
  readonly value: Buffer;
  /** XATTR_CREATE, XATTR_REPLACE. */
  readonly flags: number;
};
export type RemoveXattr = { readonly kind: 'removeXattr'; readonly node: number; readonly name: Buffer };
export type Open = { readonly kind: 'open'; readonly node: number; readonly flags: number };
export type Create = {
  readonly kind: 'create';
  readonly parent: number;
  readonly name: Buffer;
  readonly flags: number;
  readonly mode: number;
  readonly umask: number;
};
export type CreateUnnamed = {
  readonly kind: 'createUnnamed';
  readonly directory: number;
  readonly flags: number;
  readonly mode: number;
  readonly umask: number;
};
export type Read = {
  readonly kind: 'read';
  readonly node: number;
  readonly openFile: number;
  readonly offset: number;
  readonly size: number;
  /** The open file's flags as they are now. */
  readonly flags: number;
};
export type Write = {
  readonly kind: 'write';
  readonly node: number;
  readonly openFile: number;
  readonly offset: number;
  /** The open file's flags as they are now: O_APPEND comes and goes with fcntl(2). */
  readonly flags: number;
  /** The writer has no privilege to keep the file's set-id bits. */
  readonly dropsSetIds: boolean;
  /** Borrowed: a view of the request's buffer. */
  readonly data: Buffer;
};
export type StatFilesystem = { readonly kind: 'statFilesystem' };
export type Release = { readonly kind: 'release'; readonly node: number; readonly openFile: number };
export type Flush = {
  readonly kind: 'flush';
  readonly node: number;
  readonly openFile: number;
  /** Who closes a descriptor; its locks of byte ranges in this file end. */
  readonly lockOwner: string;
};
export type GetLock = {
  readonly kind: 'getLock';
  readonly node: number;
  readonly openFile: number;
  readonly lock: LockRequest;
};
export type SetLock = {
  readonly kind: 'setLock';
  readonly node: number;
  readonly openFile: number;
  readonly lock: LockRequest;
  readonly wait: boolean;
};
export type LockRequest = {
  /** The kernel's number, opaque: of a process, or, for flock(2) and F_OFD_SETLK, of an open file. */
  readonly owner: string;
  readonly flock: boolean;
  /** The first and the last byte; 2^53 - 1 and more: up to the end of the file. */
  readonly start: number;
  readonly end: number;
  readonly type: 'shared' | 'exclusive' | 'none';
  /** The process; 0: unknown. */
  readonly pid: number;
};
export type Sync = {
  readonly kind: 'sync';
  readonly node: number;
  readonly openFile: number;
  readonly dataOnly: boolean;
};
export type Allocate = {
  readonly kind: 'allocate';
  readonly node: number;
  readonly openFile: number;
  readonly offset: number;
  readonly length: number;
  /** FALLOCATE bits. */
  readonly mode: number;
};
export type CopyRange = {
  readonly kind: 'copyRange';
  /** What is copied. */
  readonly node: number;
  readonly openFile: number;
  readonly offset: number;
  readonly target: { readonly node: number; readonly openFile: number; readonly offset: number };
  readonly length: number;
};
export type Seek = {
  readonly kind: 'seek';
  readonly node: number;
  readonly openFile: number;
  /** A negative one is as far as numbers go: beyond the end of every file. */
  readonly offset: number;
  /** SEEK_DATA, SEEK_HOLE. */
  readonly whence: number;
};
export type OpenDirectory = { readonly kind: 'openDirectory'; readonly node: number };
export type ReadDirectory = {
  readonly kind: 'readDirectory';
  readonly node: number;
  readonly openFile: number;
  /** 0, or what came with the last entry that was taken. */
  readonly offset: number;
  readonly size: number;
  /** The open directory's flags as they are now. */
  readonly flags: number;
  readonly withAttributes: boolean;
};
export type ReleaseDirectory = {
  readonly kind: 'releaseDirectory';
  readonly node: number;
  readonly openFile: number;
};
export type SyncDirectory = { readonly kind: 'syncDirectory'; readonly node: number };
export type Initialise = {
  readonly kind: 'initialise';
  readonly major: number;
  readonly minor: number;
  readonly readaheadBytesMax: number;
  readonly flags: number;
  readonly flags2: number;
};
export type Interrupt = { readonly kind: 'interrupt'; readonly unique: bigint };
export type Destroy = { readonly kind: 'destroy' };
/** What we do not do; the kernel is told once (ENOSYS) and does not ask again. */
export type Unsupported = { readonly kind: 'unsupported' };

/** Asked of the file system. */
export type Operation =
  | Lookup
  | GetAttributes
  | SetAttributes
  | ReadSymlink
  | MakeSymlink
  | MakeNode
  | MakeDirectory
  | Unlink
  | RemoveDirectory
  | Rename
  | MakeLink
  | GetXattr
  | ListXattrs
  | SetXattr
  | RemoveXattr
  | Open
  | Create
  | CreateUnnamed
  | Read
  | Write
  | StatFilesystem
  | Release
  | Flush
  | GetLock
  | SetLock
  | Sync
  | Allocate
  | CopyRange
  | Seek
  | OpenDirectory
  | ReadDirectory
  | ReleaseDirectory
  | SyncDirectory;

/** Between the kernel and the server alone. */
export type Control = Forget | Initialise | Interrupt | Destroy | Unsupported;

export type Request = Operation | Control;
