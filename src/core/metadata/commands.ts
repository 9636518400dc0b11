import type { ChunkHandle, InodeId, ServerId, SessionId } from '../../base/ids.ts';
import type { InodeRead } from './access-times.ts';
import type { Attributes, Chunk, Extent, FileType, Time } from './rows.ts';

/**
 * Changes of the master's durable state, as they are logged. The shapes are those that the generated code of
 * `proto/gfs/v1/oplog.proto` has, which is where the meaning of each field is written down; the core cannot import
 * generated code, `storage/oplog-codec.ts` makes the compiler compare the two.
 */
export interface Command {
  readonly context: CommandContext;
  readonly time: Time;
  readonly body: CommandBody;
}

/** Who asks: every look-up and command is checked against owner, group and mode. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
  readonly groups: number[];
}

export interface CommandContext {
  readonly caller: Caller;
  /** 0: the master itself; the result is then not remembered. */
  readonly session: SessionId | 0;
  readonly number: number;
  readonly acknowledged: number;
}

export const ROOT_CALLER: Caller = { uid: 0, gid: 0, groups: [] };
/** Of commands that the master gives itself. */
export const INTERNAL: CommandContext = { caller: ROOT_CALLER, session: 0, number: 0, acknowledged: 0 };

export interface NewChunk {
  readonly chunk: ChunkHandle;
  readonly members: ServerId[];
  readonly primary: ServerId | 0;
}

export interface RaiseVersion {
  readonly chunk: ChunkHandle;
  readonly version: number;
  readonly members: ServerId[];
  readonly primary: ServerId | 0;
  readonly loss: boolean;
  /** All members of the new version that hold replicas had recorded this one before; 0: that is not known. */
  readonly recorded: number;
  /** Of a version that was reported, and is above the one that is left (P25). */
  readonly lostVersion?: number | undefined;
  readonly lostCutVersion?: number | undefined;
  readonly lostCutLength?: number | undefined;
  readonly lostLoss?: number | undefined;
  /** A learner that becomes a member (P9); 0: nobody. */
  readonly admitted: ServerId | 0;
  /** Nobody orders mutations at the new version: the chunk is to be shared (P20). */
  readonly frozen?: boolean | undefined;
}

/** An extent of which another file gets the chunk. */
export interface SharedExtent {
  readonly start: number;
  readonly chunk: ChunkHandle;
  /** At which it was frozen, where it is not shared already. */
  readonly version: number;
}

/** An extent that goes, if it has this chunk at this version. */
export interface DroppedExtent {
  readonly start: number;
  readonly chunk: ChunkHandle;
  readonly version: number;
}

/** In one command: what is applied without a pause is little. */
export const READS_PER_COMMAND_MAX = 128;

/** The body of each kind of command. */
export interface CommandBodies {
  format: {
    readonly filesystemId: string;
    readonly chunkSizeBytes: number;
    readonly replication: number;
    readonly uid: number;
    readonly gid: number;
    readonly mode: number;
  };
  openSession: {
    readonly session: SessionId;
    readonly host: string;
    readonly program: string;
    readonly kernelWalksPaths: boolean;
  };
  closeSession: { readonly session: SessionId };
  addServer: { readonly server: ServerId; readonly host: string };
  reserveWriters: { readonly end: number };
  createFile: {
    readonly parent: InodeId;
    readonly name: Buffer;
    readonly inode: InodeId;
    readonly mode: number;
    readonly exclusive: boolean;
    readonly read: boolean;
    readonly write: boolean;
    readonly truncate: boolean;
    readonly firstChunk: NewChunk | undefined;
    readonly goal: number;
    readonly umask?: number | undefined;
  };
  createUnnamed: {
    readonly directory: InodeId;
    readonly inode: InodeId;
    readonly mode: number;
    readonly umask: number;
    readonly linkable: boolean;
    readonly firstChunk: NewChunk | undefined;
    readonly goal: number;
  };
  makeNode: {
    readonly parent: InodeId;
    readonly name: Buffer;
    readonly inode: InodeId;
    readonly type: FileType;
    readonly mode: number;
    readonly rdev: number;
    readonly symlinkTarget: Buffer;
    readonly umask?: number | undefined;
  };
  makeLink: {
    readonly inode: InodeId;
    readonly parent: InodeId;
    readonly name: Buffer;
    readonly replace: boolean;
  };
  unlink: { readonly parent: InodeId; readonly name: Buffer };
  removeDirectory: { readonly parent: InodeId; readonly name: Buffer };
  removeTree: {
    readonly parent: InodeId;
    readonly name: Buffer;
    /** What the name means, if what the caller's rights were checked for is still there; 0: nothing did. */
    readonly inode: InodeId | 0;
  };
  /** One step of a long command. */
  continueLong: {
    readonly id: InodeId;
    /** Things that are done at most. */
    readonly count: number;
  };
  rename: {
    readonly parent: InodeId;
    readonly name: Buffer;
    readonly newParent: InodeId;
    readonly newName: Buffer;
    readonly noReplace: boolean;
    readonly exchange: boolean;
    /** The inode of the whiteout that is left at the old name. */
    readonly whiteout?: InodeId | undefined;
  };
  setAttributes: {
    readonly inode: InodeId;
    readonly mode?: number | undefined;
    readonly uid?: number | undefined;
    readonly gid?: number | undefined;
    readonly length?: number | undefined;
    readonly atime: Time | undefined;
    readonly mtime: Time | undefined;
    readonly atimeNow: boolean;
    readonly mtimeNow: boolean;
    readonly byOpenFile: boolean;
    readonly cut: RaiseVersion | undefined;
    readonly firstChunk: NewChunk | undefined;
    readonly dropSetIds?: boolean | undefined;
  };
  setAccessTimes: { readonly reads: InodeRead[] };
  setXattr: {
    readonly inode: InodeId;
    readonly name: Buffer;
    readonly value: Buffer;
    readonly create: boolean;
    readonly replace: boolean;
  };
  removeXattr: {
    readonly inode: InodeId;
    readonly name: Buffer;
    /** By a writer of the open file, as a write takes its capabilities away. */
    readonly byOpenFile: boolean;
  };
  commitLength: {
    readonly inode: InodeId;
    readonly length: number;
    readonly mtime: Time | undefined;
    /** The file was truncated so often, and not since; undefined: whatever was done to it. */
    readonly truncations?: number | undefined;
    /** Since the last commit of the same session; undefined: nobody knows how many. */
    readonly writtenBytes?: number | undefined;
  };
  allocate: {
    readonly inode: InodeId;
    readonly length: number;
    /** The range that is data from now on, or a hole. */
    readonly start: number;
    readonly end: number;
    /** A hole, if nobody changed the file since this was its ctime. */
    readonly holeSince: Time | undefined;
    /** Bytes of it that were data and became zeros. */
    readonly zeroedBytes?: number | undefined;
    /** In the range, which is all zeros. */
    readonly dropped: DroppedExtent[];
  };
  addChunk: {
    readonly inode: InodeId;
    readonly fileOffset: number;
    readonly chunk: NewChunk | undefined;
    /** Its place is taken, if it is there (P23). */
    readonly replaced?: ChunkHandle | undefined;
  };
  raiseVersion: RaiseVersion;
  sealExtent: {
    readonly inode: InodeId;
    readonly start: number;
    readonly chunk: ChunkHandle;
    readonly length: number;
    readonly version: number;
  };
  shareExtents: {
    readonly source: InodeId;
    readonly sourceStart: number;
    readonly target: InodeId;
    readonly targetStart: number;
    readonly length: number;
    readonly extents: SharedExtent[];
    /** Nothing of the target lies behind them: what extents it has from `targetStart` on go. */
    readonly toEnd: boolean;
  };
  beginClone: { readonly chunk: ChunkHandle; readonly members: ServerId[] };
  cloneExtent: {
    readonly inode: InodeId;
    readonly start: number;
    readonly chunk: ChunkHandle;
    readonly version: number;
    readonly clone: ChunkHandle;
    readonly members: ServerId[];
    /** Whose write it is for. */
    readonly session: SessionId | 0;
  };
  nameAppender: {
    readonly inode: InodeId;
    readonly appender: Buffer;
    /** For one that is not there; 0: it was. */
    readonly writer: number;
    readonly from?: number | undefined;
    /** Records up to this number were appended. */
    readonly highest: number;
    /** As in the file's attributes when `from` was so. */
    readonly truncations: number;
  };
  reap: { readonly inodes: InodeId[] };
  forgetGarbage: { readonly chunks: ChunkHandle[] };
}

export type CommandCase = keyof CommandBodies;
export type CommandBody = {
  [K in CommandCase]: { readonly $case: K; readonly value: CommandBodies[K] };
}[CommandCase];

/** What each kind of command answers. */
export interface CommandResults {
  format: Done;
  openSession: Done;
  closeSession: Done;
  addServer: Done;
  reserveWriters: Done;
  createFile: CreatedFile;
  createUnnamed: Attributes;
  makeNode: Attributes;
  makeLink: Linked;
  unlink: Removed;
  removeDirectory: Removed;
  removeTree: Removed;
  continueLong: Continued;
  rename: Renamed;
  setAttributes: Attributes;
  setAccessTimes: AccessTimesSet;
  setXattr: Attributes;
  removeXattr: Attributes;
  commitLength: Committed;
  allocate: Committed;
  addChunk: Extent;
  raiseVersion: Chunk;
  sealExtent: Extent;
  shareExtents: Shared;
  beginClone: Done;
  cloneExtent: Extent;
  nameAppender: NamedAppender;
  reap: Done;
  forgetGarbage: Done;
}
export type CommandResult = CommandResults[CommandCase];

export type Done = Readonly<Record<string, never>>;
export const DONE: Done = {};

export interface Committed {
  readonly attributes: Attributes;
  /** By which the writer sees whether anybody changed the file before this hid it. */
  readonly previousCtime: Time;
}
export interface Shared extends Committed {
  /** So many bytes. */
  readonly length: number;
}
/** Those whose time of access is another now. */
export interface AccessTimesSet {
  readonly inodes: readonly InodeId[];
}
export interface CreatedFile {
  readonly attributes: Attributes;
  /** False: the file was there and is opened. */
  readonly created: boolean;
}
export interface NamedAppender {
  readonly writer: number;
  /** Extents that end here or before hold none of its records that count. */
  readonly from: number;
  /** Records up to this number were appended, as far as that was told. */
  readonly highest: number;
  /** As in the file's attributes. */
  readonly truncations: number;
  /** What was known of where they lie was so before a truncation. */
  readonly truncated: boolean;
}
export interface Linked {
  readonly linked: Attributes;
  /** What had the name. */
  readonly replaced: Attributes | undefined;
}
/** What lost a name, as it is now. A link count of 0: gone, but a regular file's rows stay until it is reaped. */
export interface Removed {
  readonly inode: Attributes;
}
/** What a step of a long command changed. */
export interface Continued {
  /** Files that lost a name. */
  readonly files: readonly InodeId[];
  readonly ended: boolean;
}
export interface Renamed {
  readonly moved: Attributes;
  /** What was at the new name: replaced, or exchanged. */
  readonly other: Attributes | undefined;
}
