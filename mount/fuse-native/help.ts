/** For `--help`: README.md says the same at more length. */
export const DRIVER_HELP = `Drivers:
  kernel        speaks the protocol of Linux's /dev/fuse by itself
  fuse-native   by way of libfuse 2 and the npm package "fuse-native", where
                that cannot be
  What fuse-native cannot do:
  - it is not told who asks: nobody gets in but who mounted (no allow_other)
  - the kernel is not told what other mounts change, and believes for
    attr_timeout and entry_timeout; each hard link of a file is believed for
    itself
  - a write is 128 KiB at most: a longer one with O_APPEND is several records
  - times are kept to the millisecond from 1970 on; both of a file are set or
    none, so "touch -m" does nothing
  - names, of attributes too, and targets of links are UTF-8, inode numbers
    have 32 bits
  - no flags of renameat2, no O_TMPFILE, locks hold on this machine alone
  - ACLs are checked by the master alone, and the umask counts where a
    directory has a default ACL, too
  - a file that is open and was removed is lost when its directory is removed,
    too; to replace one takes two steps
  - more than ten programs at a time cost memory that is not given back; no
    readers=N
`;
