/** For `--help`: README.md says the same at more length. */
export const DRIVER_HELP = `Drivers:
  kernel        speaks the protocol of Linux's /dev/fuse by itself
  fuse-native   by way of libfuse 2 and the npm package "fuse-native", where that cannot be. It is slower, and
                lets nobody in but who mounted (no allow_other; who asks is not told), keeps times to the
                millisecond, names that are UTF-8 and no time before 1970, sets both times of a file or none
                ("touch -m" does nothing), writes 128 KiB at a time (a longer write with O_APPEND is several
                records), does not tell the kernel what others change (it believes for attr_timeout and
                entry_timeout), renames plainly (no RENAME_NOREPLACE or EXCHANGE), locks on this machine alone,
                and has no readers=N.
`;
