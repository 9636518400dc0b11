import type { ChunkHandle, InodeId, ServerId, SessionId } from '../../base/ids.ts';

/**
 * What the master keeps for good, as the tables hold it. Field names are those of the contract's messages, so that
 * attributes go onto the wire as they are.
 */

/** Values as in the contract's enum of the same name. */
export const FileType = {
  REGULAR: 1,
  DIRECTORY: 2,
  SYMLINK: 3,
  FIFO: 4,
  SOCKET: 5,
  BLOCK_DEVICE: 6,
  CHARACTER_DEVICE: 7,
} as const;
export type FileType = (typeof FileType)[keyof typeof FileType];

export interface Time {
  /** Since 1970; negative before. */
  readonly seconds: number;
  readonly nanos: number;
}

export interface Attributes {
  readonly inode: InodeId;
  readonly type: FileType;
  /** 07777. */
  readonly mode: number;
  readonly linkCount: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a regular file: a lower bound (design, section 6). Of a symlink: its target's length. Otherwise 0. */
  readonly length: number;
  readonly rdev: number;
  readonly atime: Time;
  readonly mtime: Time;
  readonly ctime: Time;
  readonly btime: Time;
  /** Copies wanted of each chunk; 0 for what has no chunks. */
  readonly goal: number;
  /** Of a regular file: how often its length was set. */
  readonly truncations: number;
  /** There are extended attributes, ACLs among them. */
  readonly hasXattrs: boolean;
  /** Of a regular file: so many bytes below its length, at least, nobody is known to have written. */
  readonly holeBytes: number;
}

/** An inode's row: its attributes, and where it lies. */
export interface Inode extends Attributes {
  /**
   * Of a directory: where ".." leads. Of anything else: the directory of one of its names (0: it has none any more);
   * where the others are, the table of links says (`links.ts`).
   */
  readonly parent: InodeId | 0;
}

export interface Dirent {
  readonly inode: InodeId;
  readonly type: FileType;
}

export interface Extent {
  /** File offset of its first byte. */
  readonly start: number;
  readonly chunk: ChunkHandle;
  /**
   * Nothing of the extent lies behind it. Its chunk was sealed by its primary at that length (P16), or is as long at most: the
   * extent has so much room only, or was cut. It may still become less, by truncation or by a seal of the chunk.
   */
  readonly sealedLength: number | undefined;
}

/** P1: what the log says about a chunk. */
export interface Chunk {
  readonly version: number;
  readonly members: ServerId[];
  /** 0: nobody was named at this version. Whether it still is the primary, its memory knows (P5). */
  readonly primary: ServerId | 0;
  /** Lowest version first: those that some member may not have recorded, and the last one in any case (P19). */
  readonly cuts: readonly Cut[];
  /** The highest version whose unsynced acknowledgements may have been lost (P7, P14); 0: none. */
  readonly loss: number;
  /** Extents that refer to it. */
  readonly referenceCount: number;
  /** Nobody orders mutations at this version (P20): the chunk is shared, or was to be. */
  readonly frozen: boolean;
  /** It began with it: 1; or as a clone, with what the shared chunk had at that version (P20). */
  readonly firstVersion: number;
  /** Copies wanted. */
  readonly goal: number;
}

/** A truncation: replicas whose own version is below `version` cut to `length` (P19). */
export interface Cut {
  readonly version: number;
  /** Of the chunk. */
  readonly length: number;
}

/** A chunk that nothing refers to, until all these servers have said that their replica is deleted. */
export interface Garbage {
  readonly members: ServerId[];
}

/** A writer of appends that a file has under a name (P15). */
export interface Appender {
  readonly writer: number;
  /** Extents that end here or before hold none of its records that count. */
  readonly from: number;
  /** Records up to this number were appended; 0: none that was told. */
  readonly highest: number;
  /** As in the file's attributes when that was so. */
  readonly truncations: number;
  /** When it was last named. */
  readonly usedAt: Time;
}

/** A regular file without a name, until it is reaped. */
export interface Orphan {
  /** It never had a name; undefined: it lost its last one. */
  readonly unnamed: Unnamed | undefined;
}

export interface Unnamed {
  /** It may be given a name. */
  readonly linkable: boolean;
  /** The command that made it: until its answer has come, nobody else knows of the file. */
  readonly session: SessionId | 0;
  readonly number: number;
}

/** A command that works in steps, between others: what is left of it to do. */
export type LongCommand = TreeRemoval;

/** A tree that is in nobody's sight, and goes name by name. */
export interface TreeRemoval {
  readonly kind: 'removal';
  /** The tree's directory, which has no name and no parent; its number is the long command's. */
  readonly id: InodeId;
  /** The directory of the tree where it goes on: those above it have nothing before it, in the order of their names. */
  readonly at: InodeId;
  /** Names that are gone. */
  readonly doneCount: number;
  readonly startedAt: Time;
  /** Who gave the command. */
  readonly uid: number;
}

export interface Session {
  readonly session: SessionId;
  readonly host: string;
  readonly program: string;
  /** Paths are walked, and searching is checked, before a call comes here. */
  readonly kernelWalksPaths: boolean;
  readonly openedAt: Time;
}

export interface Server {
  readonly server: ServerId;
  /** Where it was when it first came. */
  readonly host: string;
  readonly addedAt: Time;
}

/** Fixed at the first start. */
export interface Filesystem {
  readonly id: string;
  readonly chunkSizeBytes: number;
  readonly replication: number;
}

/** Never lowered, whatever is removed: ids are not reused. */
export interface Counters {
  nextInode: number;
  nextChunk: number;
  nextServer: number;
  /** Sessions and writers. */
  nextSession: number;
}

/** What changes with every command, in one row. */
export interface Progress extends Counters {
  /** The last applied log position; 0: none. */
  position: number;
  inodeCount: number;
  chunkCount: number;
}
