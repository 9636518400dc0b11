import { MiB } from '../src/base/units.ts';
import { INIT, INIT2, KERNEL_MAJOR, KERNEL_MINOR, KERNEL_MINOR_MIN } from './wire/numbers.ts';
import type { InitialiseReply } from './wire/replies.ts';
import type { Initialise } from './wire/requests.ts';

/** One request's data; a page for the headers comes on top (`FuseDevice`). */
const WRITE_BYTES_MAX = 1 * MiB;
const PAGE_COUNT_MAX = 256;
/** The kernel takes the smaller of this and the device's `read_ahead_kb`, which the mount raises. */
const READAHEAD_BYTES_MAX = 16 * MiB;
/** Read-ahead and asynchronous direct I/O that the kernel sends before it waits for answers. */
const BACKGROUND_COUNT_MAX = 128;
const CONGESTION_THRESHOLD = 96;

/**
 * What we want of the kernel. Absent on purpose:
 * - WRITEBACK_CACHE: the kernel would believe its own lengths and times, and other machines write to these files too.
 * - SETXATTR_EXT: it says when an ACL takes the set-group-id bit away, which the master knows by the caller's groups.
 */
const WANTED =
  INIT.ASYNC_READ |
  INIT.ATOMIC_O_TRUNC |
  INIT.EXPORT_SUPPORT |
  INIT.BIG_WRITES |
  // Cached pages go when a look at the attributes shows another mtime: other machines write, too.
  INIT.AUTO_INVAL_DATA |
  INIT.DO_READDIRPLUS |
  INIT.READDIRPLUS_AUTO |
  INIT.ASYNC_DIO |
  INIT.PARALLEL_DIROPS |
  INIT.MAX_PAGES |
  // Where a directory has a default ACL, the umask does not count: the master knows.
  INIT.DONT_MASK |
  // Set-id bits go with a write or a truncation of ours. Without it the kernel would ask for a capability before each write.
  INIT.HANDLE_KILLPRIV_V2 |
  // A symlink never changes, and inode numbers are never reused.
  INIT.CACHE_SYMLINKS |
  INIT.INIT_EXT;
/** Files opened with O_APPEND are direct-I/O; without this nobody could map them. */
const WANTED2 = INIT2.DIRECT_IO_ALLOW_MMAP;

/** Locks hold between all mounts. (So each close of a descriptor is told of, also where nothing was written: see `idle-flushes.ts`.) */
const WANTED_FOR_LOCKS = INIT.POSIX_LOCKS | INIT.FLOCK_LOCKS;

/** What kernel and server share between them. */
export interface Agreement {
  /** The kernel checks modes, and ACLs if there are any, too. */
  readonly defaultPermissions: boolean;
  /** Otherwise it is told once that there are none, nor ACLs, and asks no more. */
  readonly xattrs: boolean;
  /** Otherwise the kernel keeps locks by itself: those of one machine. */
  readonly sharedLocks: boolean;
}

/** The answer to INIT; undefined: this kernel is too old. */
export function negotiate(
  kernel: Initialise,
  { defaultPermissions, xattrs, sharedLocks }: Agreement,
): InitialiseReply | undefined {
  if (kernel.major < KERNEL_MAJOR || (kernel.major === KERNEL_MAJOR && kernel.minor < KERNEL_MINOR_MIN)) {
    return undefined;
  }
  let wanted = WANTED;
  if (sharedLocks) wanted |= WANTED_FOR_LOCKS;
  if (defaultPermissions && xattrs) wanted |= INIT.POSIX_ACL;
  return {
    // A newer major version comes down to ours, and says INIT again.
    major: KERNEL_MAJOR,
    minor: KERNEL_MINOR,
    readaheadBytesMax: Math.min(READAHEAD_BYTES_MAX, kernel.readaheadBytesMax),
    flags: kernel.flags & wanted,
    flags2: kernel.flags2 & WANTED2,
    backgroundCountMax: BACKGROUND_COUNT_MAX,
    congestionThreshold: CONGESTION_THRESHOLD,
    writeBytesMax: WRITE_BYTES_MAX,
    timeGranularityNs: 1,
    pageCountMax: PAGE_COUNT_MAX,
  };
}
