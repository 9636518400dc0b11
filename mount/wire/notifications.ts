import { EXPIRE_ONLY, NOTIFY } from './numbers.ts';
import { OUT_HEADER_BYTES, writeUint64 } from './replies.ts';

// What we tell the kernel unasked. A notification is a reply to nobody: its unique is 0, its error the notification's code.

/**
 * struct fuse_notify_inval_inode_out: ino u64, off i64, len i64. The negative offset drops attributes alone; pages go when
 * a look shows another mtime or length. Told to drop pages, the kernel would keep the thread that tells it waiting, beyond
 * kill -9, for those that are being read: a mount that is killed meanwhile would never end, nor would its programs.
 */
export function expireNode(node: number): Buffer {
  return invalidation(node, -1n);
}

/**
 * Pages go, too, whatever a look would show: for who got a lock, and reads what others wrote in the same millisecond. It waits
 * for pages that are being read, whose reads end with the descriptors they were taken from.
 */
export function dropPages(node: number): Buffer {
  return invalidation(node, 0n);
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
export function expireEntry(parent: number, name: Uint8Array): Buffer {
  const message = notification(NOTIFY.INVAL_ENTRY, 16 + name.length + 1);
  writeUint64(message, OUT_HEADER_BYTES, parent);
  message.writeUInt32LE(name.length, OUT_HEADER_BYTES + 8);
  message.writeUInt32LE(EXPIRE_ONLY, OUT_HEADER_BYTES + 12);
  message.set(name, OUT_HEADER_BYTES + 16);
  return message;
}

/** struct fuse_notify_delete_out: parent u64, child u64, namelen u32, padding u32, name with a zero byte. The name is gone. */
export function deletedEntry(parent: number, node: number, name: Uint8Array): Buffer {
  const message = notification(NOTIFY.DELETE, 24 + name.length + 1);
  writeUint64(message, OUT_HEADER_BYTES, parent);
  writeUint64(message, OUT_HEADER_BYTES + 8, node);
  message.writeUInt32LE(name.length, OUT_HEADER_BYTES + 16);
  message.set(name, OUT_HEADER_BYTES + 24);
  return message;
}

function notification(code: number, bodyBytes: number): Buffer {
  const message = Buffer.alloc(OUT_HEADER_BYTES + bodyBytes);
  message.writeUInt32LE(message.length, 0);
  message.writeInt32LE(code, 4);
  return message;
}
