// The kernel's numbers, from <linux/fuse.h> and <fcntl.h>, under the kernel's names. Nothing else is decided here.

/** We speak 7.31 and newer: before it structs were shorter, and MAX_PAGES was missing. */
export const KERNEL_MAJOR = 7;
export const KERNEL_MINOR_MIN = 31;
export const KERNEL_MINOR = 39;

export const ROOT_NODE = 1;

export const OPCODE = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const;

/** Flags of INIT. From bit 32 on they travel in a second word. */
export const INIT = {
  ASYNC_READ: 1 << 0,
  POSIX_LOCKS: 1 << 1,
  ATOMIC_O_TRUNC: 1 << 3,
  EXPORT_SUPPORT: 1 << 4,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  FLOCK_LOCKS: 1 << 10,
  AUTO_INVAL_DATA: 1 << 12,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  ASYNC_DIO: 1 << 15,
  PARALLEL_DIROPS: 1 << 18,
  POSIX_ACL: 1 << 20,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  HANDLE_KILLPRIV_V2: 1 << 28,
  INIT_EXT: 1 << 30,
} as const;
export const INIT2 = {
  /** Bit 36: a shared mapping of a file that is open for direct I/O is allowed. */
  DIRECT_IO_ALLOW_MMAP: 1 << 4,
} as const;

export const FATTR = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
} as const;

export const FOPEN = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  /** Closing a descriptor of it is not told of. */
  NOFLUSH: 1 << 5,
} as const;

/** Flag of WRITE: the writer may not leave set-id bits behind. */
export const WRITE_KILL_SUIDGID = 1 << 2;
export const GETATTR_FH = 1 << 0;
export const FSYNC_FDATASYNC = 1 << 0;

export const XATTR_CREATE = 1 << 0;
export const XATTR_REPLACE = 1 << 1;

/** What lseek(2) asks of us; all else the kernel knows. */
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

/** Modes of fallocate(2), from <linux/falloc.h>. */
export const FALLOCATE = {
  KEEP_SIZE: 0x01,
  PUNCH_HOLE: 0x02,
  ZERO_RANGE: 0x10,
} as const;

/** The lock is of flock(2). */
export const LK_FLOCK = 1 << 0;

/** Types of locks, as fcntl(2) has them. */
export const LOCK = {
  READ: 0,
  WRITE: 1,
  NONE: 2,
} as const;

export const RENAME_NOREPLACE = 1 << 0;
export const RENAME_EXCHANGE = 1 << 1;
export const RENAME_WHITEOUT = 1 << 2;

export const NOTIFY = {
  INVAL_INODE: 2,
  INVAL_ENTRY: 3,
  DELETE: 6,
} as const;

/** Flag of INVAL_ENTRY. */
export const EXPIRE_ONLY = 1 << 0;

/** Flags of open(2) on Linux, as the kernel passes them on. */
export const OPEN = {
  ACCESS_MODE: 0o3,
  READ_ONLY: 0o0,
  WRITE_ONLY: 0o1,
  READ_WRITE: 0o2,
  CREATE: 0o100,
  EXCLUSIVE: 0o200,
  TRUNCATE: 0o1000,
  APPEND: 0o2000,
  NO_ATIME: 0o1000000,
  /** To run it: the kernel's own, no program says it. */
  EXECUTE: 0o40,
} as const;

/** The file type's part of a mode; shifted right by 12 it is a directory entry's type. */
export const TYPE = {
  MASK: 0o170000,
  FIFO: 0o010000,
  CHARACTER_DEVICE: 0o020000,
  DIRECTORY: 0o040000,
  BLOCK_DEVICE: 0o060000,
  REGULAR: 0o100000,
  SYMLINK: 0o120000,
  SOCKET: 0o140000,
} as const;
export const PERMISSION_BITS = 0o7777;
