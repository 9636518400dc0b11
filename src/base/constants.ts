import { assert } from './assert.ts';
import { GiB, KiB, MiB, SECOND_MS } from './units.ts';

/** §5.2: the unit that a checksum covers. */
export const CHECKSUM_BLOCK_BYTES = 64 * KiB;
/** §2.5; fixed when a file system is created. */
export const CHUNK_SIZE_BYTES_DEFAULT = 64 * MiB;
export const CHUNK_SIZE_BYTES_MIN = 256 * KiB;
export const CHUNK_SIZE_BYTES_MAX = 1 * GiB;
export const REPLICATION_DEFAULT = 3;
export const REPLICATION_MAX = 9;
/** What was acknowledged is in the memory of as many machines, unless a file wants fewer copies. */
export const MIN_REPLICAS_DEFAULT = 2;
/** §3.1: how long a primary may order mutations without hearing from the master. */
export const LEASE_DURATION_MS = 60 * SECOND_MS;
export const SESSION_TIMEOUT_MS = 60 * SECOND_MS;
export const HEARTBEAT_INTERVAL_MS = 1 * SECOND_MS;
/** Silence after which a server counts as gone; a broken connection is noticed at once. */
export const SERVER_SILENCE_MS = 5 * SECOND_MS;
/** A chunkserver that is away for so long does not come back soon: its chunks are copied to others (§4.3). */
export const REPAIR_GRACE_MS = 30 * SECOND_MS;
/** Data up to this size rides in the mutation's request and orders; larger data is pushed along the chain (§3.2). */
export const INLINE_MUTATION_BYTES_MAX = 64 * KiB;
/** Largest single mutation, and largest single read: one FUSE request. */
export const MUTATION_BYTES_MAX = 1 * MiB;
export const READ_BYTES_MAX = 4 * MiB;
/** Linux: NAME_MAX, PATH_MAX. */
export const NAME_BYTES_MAX = 255;
export const PATH_BYTES_MAX = 4096;
export const SYMLINK_BYTES_MAX = 4095;
/** Linux: XATTR_SIZE_MAX, XATTR_LIST_MAX (each name with a zero byte). */
export const XATTR_VALUE_BYTES_MAX = 64 * KiB;
export const XATTR_LIST_BYTES_MAX = 64 * KiB;
/** All names and values of one inode. */
export const XATTR_BYTES_MAX = 256 * KiB;
/** No request or message is longer; a longer one closes the connection. */
export const MESSAGE_BYTES_MAX = 8 * MiB;
export const MASTER_ADDRESS_DEFAULT = '127.0.0.1:7400';
export const GATEWAY_ADDRESS_DEFAULT = '127.0.0.1:7401';

/** §3.3: no record of an append is longer than a quarter chunk, and no more of a chunk is left unused. */
export function recordBytesMax(chunkSizeBytes: number): number {
  return chunkSizeBytes / 4;
}

assert(CHUNK_SIZE_BYTES_DEFAULT % CHECKSUM_BLOCK_BYTES === 0, 'a checksum block never straddles two chunks');
assert(CHUNK_SIZE_BYTES_MIN % CHECKSUM_BLOCK_BYTES === 0, 'a checksum block never straddles two chunks');
assert(READ_BYTES_MAX < MESSAGE_BYTES_MAX, 'an answer to the largest read fits a message');
