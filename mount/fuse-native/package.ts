import { createRequire } from 'node:module';
import { GfsError, messageOf } from '../../src/base/errors.ts';

/** The npm package "fuse-native", as far as it is used here. */
export type FuseNative = new (
  path: string,
  operations: Partial<NativeOperations>,
  options: { readonly timeout: false },
) => NativeMount;

export interface NativeMount {
  /** Told when the kernel has greeted, or why it never will. */
  mount(done: (error?: Error | null) => void): void;
  /** What `-o` says to libfuse. The package's own would leave out a time-out of 0, and knows nothing of big writes. */
  _fuseOptions: () => string;
  /** What the binding calls, by the package's numbers of the operations. */
  readonly _handlers: NativeHandler[];
  /** What its handlers call. The signal wakes libfuse, and gives it back the memory that a buffer lies in. */
  _op_getxattr: (signal: NativeSignal, path: string, name: string, into: Buffer) => void;
  _op_listxattr: (signal: NativeSignal, path: string, into: Buffer) => void;
}

export type NativeSignal = (result: number, memory: ArrayBufferLike) => void;

/** `record` is the calling thread's, a struct of the binding that lies in a buffer. */
export type NativeHandler = (record: Buffer, operation: number, path: string, ...numbers: number[]) => void;

/** 0 or a count; an error is a negative errno. */
export type Done<T = never> = (result: number, value?: T) => void;

/** What libfuse asks for. Paths are absolute below the mount point, and text. */
export interface NativeOperations {
  getattr(path: string, done: Done<NativeStat>): void;
  access(path: string, mask: number, done: Done): void;
  statfs(path: string, done: Done<NativeStatfs>): void;
  readdir(path: string, done: Done<readonly string[]>): void;
  fsyncdir(path: string, dataOnly: number, openFile: number, done: Done): void;
  truncate(path: string, size: number, done: Done): void;
  ftruncate(path: string, openFile: number, size: number, done: Done): void;
  utimens(path: string, atimeMs: number, mtimeMs: number, done: Done): void;
  chown(path: string, uid: number, gid: number, done: Done): void;
  chmod(path: string, mode: number, done: Done): void;
  readlink(path: string, done: Done<string>): void;
  symlink(target: string, path: string, done: Done): void;
  mknod(path: string, mode: number, device: number, done: Done): void;
  mkdir(path: string, mode: number, done: Done): void;
  unlink(path: string, done: Done): void;
  rmdir(path: string, done: Done): void;
  rename(from: string, to: string, done: Done): void;
  link(from: string, to: string, done: Done): void;
  /** `position` is 0 but on macOS. The buffers are libfuse's, and good until `done`. */
  setxattr(path: string, name: string, value: Buffer, position: number, flags: number, done: Done): void;
  /** Otherwise than the package has it: with where to put it, and the length for an answer (`mendXattrs`). */
  getxattr(path: string, name: string, into: Buffer, done: Done): void;
  listxattr(path: string, into: Buffer, done: Done): void;
  removexattr(path: string, name: string, done: Done): void;
  open(path: string, flags: number, done: Done<number>): void;
  /** The buffer is libfuse's, and good until `done`. */
  read(path: string, openFile: number, buffer: Buffer, length: number, offset: number, done: Done): void;
  write(path: string, openFile: number, buffer: Buffer, length: number, offset: number, done: Done): void;
  flush(path: string, openFile: number, done: Done): void;
  fsync(path: string, dataOnly: number, openFile: number, done: Done): void;
  release(path: string, openFile: number, done: Done): void;
}

export interface NativeStat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly nlink: number;
  readonly ino: number;
  readonly rdev: number;
  readonly blksize: number;
  readonly blocks: number;
  /** Milliseconds since 1970. */
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
}

export interface NativeStatfs {
  readonly bsize: number;
  readonly frsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly favail: number;
  readonly namemax: number;
}

/** UNAVAILABLE, with what to do, where the package, its binary for this machine or libfuse is missing. */
export function loadFuseNative(): FuseNative {
  try {
    return createRequire(import.meta.url)('fuse-native') as FuseNative;
  } catch (error) {
    throw new GfsError('UNAVAILABLE', `--driver fuse-native: ${whyNotLoaded(error)}`, { cause: error });
  }
}

export function whyNotLoaded(error: unknown): string {
  const [text = ''] = messageOf(error).split('\n');
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'MODULE_NOT_FOUND') {
    return `the npm package "fuse-native" is not installed, or not whole (${text}): install gfs again with "npm install -g --ignore-scripts", or "npm ci" in a checkout`;
  }
  if (code === 'ERR_DLOPEN_FAILED' && /libfuse|libosxfuse/.test(text)) {
    return `libfuse 2 is missing (${text}): install it (Debian, Ubuntu: apt install libfuse2; Fedora: dnf install fuse-libs)`;
  }
  return `the npm package "fuse-native" has no binary that runs on ${process.platform}-${process.arch} (${text}): "npm rebuild fuse-native --ignore-scripts=false" may build one`;
}
