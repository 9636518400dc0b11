import type { NotificationLane } from '../../native/index.ts';
import { EXPIRE_ONLY, NOTIFY } from './numbers.ts';
import { OUT_HEADER_BYTES, writeUint64 } from './replies.ts';

// What we tell the kernel unasked. A notification is a reply to nobody: its unique is 0, its error the notification's code.

export interface Notification {
  readonly bytes: Buffer;
  /**
   * One about a name waits until the kernel has nothing under way in that directory, one about pages until they are read: so
   * they may wait for our own answers, and none for those of another kind.
   */
  readonly lane: NotificationLane;
}

/**
 * struct fuse_notify_inval_inode_out: ino u64, off i64, len i64. The negative offset drops attributes alone; pages go when
 * a look shows another mtime or length. Told to drop pages, the kernel would keep the thread that tells it waiting, beyond
 * kill -9, for those that are being read: a mount that is killed meanwhile would never end, nor would its programs.
 */
export function expireNode(node: number): Notification {
  return { bytes: invalidation(node, -1n), lane: 'nodes' };
}

/**
 * Pages go, too, whatever a look would show: for who got a lock, and reads what others wrote in the same millisecond. It waits
 * for pages that are being read, whose reads end with the descriptors they were taken from, which this thread does not have.
 */
export function dropPages(node: number): Notification {
  return { bytes: invalidation(node, 0n), lane: 'pages' };
}

/** A length of 0: up to the end. */
function invalidation(node: number, offset: bigint): Buffer {
  const message = notification(NOTIFY.INVAL_INODE, 24);
  writeUint64(message, OUT_HEADER_BYTES, node);
  message.writeBigInt64LE(offset, OUT_HEADER_BYTES + 8);
  return message;
}

/**
 * struct fuse_notify_inval_entry_out: parent u64, namelen u32, flags u32, name with a zero byte. The name is looked up again
 * before it is believed. (Kernels before 6.2 know no flags: they drop what the name means, and look it up then.)
 */
export function expireEntry(parent: number, name: Uint8Array): Notification {
  const message = notification(NOTIFY.INVAL_ENTRY, 16 + name.length + 1);
  writeUint64(message, OUT_HEADER_BYTES, parent);
  message.writeUInt32LE(name.length, OUT_HEADER_BYTES + 8);
  message.writeUInt32LE(EXPIRE_ONLY, OUT_HEADER_BYTES + 12);
  message.set(name, OUT_HEADER_BYTES + 16);
  return { bytes: message, lane: 'names' };
}

/** struct fuse_notify_delete_out: parent u64, child u64, namelen u32, padding u32, name with a zero byte. The name is gone. */
export function deletedEntry(parent: number, node: number, name: Uint8Array): Notification {
  const message = notification(NOTIFY.DELETE, 24 + name.length + 1);
  writeUint64(message, OUT_HEADER_BYTES, parent);
  writeUint64(message, OUT_HEADER_BYTES + 8, node);
  message.writeUInt32LE(name.length, OUT_HEADER_BYTES + 16);
  message.set(name, OUT_HEADER_BYTES + 24);
  return { bytes: message, lane: 'names' };
}

/** The name that a notification takes away; undefined: it is of a node. For whoever remembers names in the kernel's place. */
export function nameOfNotification(message: Uint8Array): { parent: number; name: Buffer } | undefined {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const code = bytes.readInt32LE(4);
  if (code !== NOTIFY.INVAL_ENTRY && code !== NOTIFY.DELETE) return undefined;
  const [lengthAt, nameAt] = code === NOTIFY.DELETE ? [16, 24] : [8, 16];
  const start = OUT_HEADER_BYTES + nameAt;
  return {
    parent: Number(bytes.readBigUInt64LE(OUT_HEADER_BYTES)),
    name: bytes.subarray(start, start + bytes.readUInt32LE(OUT_HEADER_BYTES + lengthAt)),
  };
}

function notification(code: number, bodyBytes: number): Buffer {
  const message = Buffer.alloc(OUT_HEADER_BYTES + bodyBytes);
  message.writeUInt32LE(message.length, 0);
  message.writeInt32LE(code, 4);
  return message;
}
