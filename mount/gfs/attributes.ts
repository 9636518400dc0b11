import { unreachable } from '../../src/base/assert.ts';
import { GfsError } from '../../src/base/errors.ts';
import { type Attributes, FileType, type Time } from '../../src/rpc/messages.ts';
import { PERMISSION_BITS, TYPE } from '../wire/numbers.ts';
import type { NodeAttributes } from '../wire/replies.ts';

/** How long the kernel may believe what it is told. */
export interface Timeouts {
  readonly attributeTimeoutMs: number;
  readonly entryTimeoutMs: number;
}

export const NO_TIME: Time = { seconds: 0, nanos: 0 };

/** The contract's attributes as the kernel wants them. A node's id is its inode number. */
export function nodeAttributes(attributes: Attributes): NodeAttributes {
  return {
    node: attributes.inode,
    size: attributes.length,
    holeBytes: attributes.holeBytes,
    mode: typeBits(attributes.type) | attributes.mode,
    linkCount: attributes.linkCount,
    uid: attributes.uid,
    gid: attributes.gid,
    rdev: attributes.rdev,
    atime: attributes.atime ?? NO_TIME,
    mtime: attributes.mtime ?? NO_TIME,
    ctime: attributes.ctime ?? NO_TIME,
    btime: attributes.btime ?? NO_TIME,
  };
}

export function typeBits(type: FileType): number {
  switch (type) {
    case FileType.FILE_TYPE_REGULAR:
      return TYPE.REGULAR;
    case FileType.FILE_TYPE_DIRECTORY:
      return TYPE.DIRECTORY;
    case FileType.FILE_TYPE_SYMLINK:
      return TYPE.SYMLINK;
    case FileType.FILE_TYPE_FIFO:
      return TYPE.FIFO;
    case FileType.FILE_TYPE_SOCKET:
      return TYPE.SOCKET;
    case FileType.FILE_TYPE_BLOCK_DEVICE:
      return TYPE.BLOCK_DEVICE;
    case FileType.FILE_TYPE_CHARACTER_DEVICE:
      return TYPE.CHARACTER_DEVICE;
    case FileType.FILE_TYPE_UNSPECIFIED:
      throw new GfsError('CORRUPT', 'the master tells of a node without a type');
    default:
      return unreachable(type);
  }
}

/** The type that mknod(2) means by a mode; none of its bits mean a regular file. */
export function fileTypeOf(mode: number): FileType {
  switch (mode & TYPE.MASK) {
    case 0:
    case TYPE.REGULAR:
      return FileType.FILE_TYPE_REGULAR;
    case TYPE.FIFO:
      return FileType.FILE_TYPE_FIFO;
    case TYPE.SOCKET:
      return FileType.FILE_TYPE_SOCKET;
    case TYPE.BLOCK_DEVICE:
      return FileType.FILE_TYPE_BLOCK_DEVICE;
    case TYPE.CHARACTER_DEVICE:
      return FileType.FILE_TYPE_CHARACTER_DEVICE;
    default:
      throw new GfsError('INVALID_ARGUMENT', `cannot make a node of mode ${mode.toString(8)}`);
  }
}

export const permissionBits = (mode: number): number => mode & PERMISSION_BITS;
