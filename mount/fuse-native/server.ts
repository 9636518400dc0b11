import { constants } from 'node:fs';
import { AssertionError } from '../../src/base/assert.ts';
import type { Env } from '../../src/base/env.ts';
import { codeOf, GfsError, messageOf } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import { TaskGroup } from '../../src/base/task-group.ts';
import { timeOf } from '../../src/core/metadata/times.ts';
import { EIO, errnoOf } from '../errno.ts';
import type { Caller, FileSystem } from '../file-system.ts';
import type { Notification } from '../wire/notifications.ts';
import { statfsOf, statOf } from './conversions.ts';
import { FreshFiles } from './fresh-files.ts';
import { Handles } from './handles.ts';
import type { Done, NativeOperations } from './package.ts';
import { linuxFlags, PathFiles } from './path-files.ts';
import { PathNamespace } from './path-namespace.ts';
import { PathWalker } from './path-walker.ts';
import { PathXattrs } from './path-xattrs.ts';

/** chown(2) with it leaves an owner as it is. */
const NOBODY_NEW = 0xffffffff;

export interface NativeServerOptions {
  readonly env: Env;
  readonly fileSystem: FileSystem;
  readonly log: Logger;
  /** A bug: nothing can be served any more. */
  readonly onFatal: (error: unknown) => void;
}

/** Has a file system do what libfuse asks for, and answers. */
export class NativeServer {
  readonly #names: PathNamespace;
  readonly #files: PathFiles;
  readonly #xattrs: PathXattrs;
  readonly #walker: PathWalker;
  readonly #tasks: TaskGroup;
  readonly #log: Logger;

  constructor({ env, fileSystem, log, onFatal }: NativeServerOptions) {
    this.#log = log;
    this.#tasks = new TaskGroup(onFatal);
    const caller = mountingUser();
    this.#walker = new PathWalker(env, fileSystem, caller);
    const fresh = new FreshFiles(env, (node, openFile) => {
      const release = () => fileSystem.release({ kind: 'release', node, openFile });
      this.#do(() => undefined, 'a file that nobody opened', release);
    });
    const context = { fileSystem, caller, walker: this.#walker, handles: new Handles(), fresh };
    this.#names = new PathNamespace(context);
    this.#files = new PathFiles(context);
    this.#xattrs = new PathXattrs(context);
  }

  /** Takes what the kernel of another driver would be told. */
  notified({ bytes }: Notification): boolean {
    return this.#walker.dentries.notified(bytes);
  }

  /** Resolves when all that was asked so far is answered. */
  async drain(): Promise<void> {
    await this.#tasks.drain();
  }

  readonly operations: NativeOperations = {
    getattr: (path, done) => this.#tell(done, path, async () => statOf(await this.#names.attributes(path))),
    access: (path, mask, done) => this.#do(done, path, () => this.#names.access(path, mask)),
    statfs: (path, done) => this.#tell(done, path, async () => statfsOf(await this.#names.statFilesystem())),
    readdir: (path, done) => this.#tell(done, path, () => this.#names.list(path)),
    fsyncdir: (path, _dataOnly, _openFile, done) =>
      this.#do(done, path, () => this.#names.syncDirectory(path)),
    truncate: (path, size, done) => this.#do(done, path, () => this.#names.setAttributes(path, { size })),
    ftruncate: (path, openFile, size, done) =>
      this.#do(done, path, () => this.#names.setAttributes(path, { size }, openFile)),
    utimens: (path, atimeMs, mtimeMs, done) =>
      this.#do(done, path, () => this.#setTimes(path, atimeMs, mtimeMs)),
    chown: (path, uid, gid, done) =>
      this.#do(done, path, () => this.#names.setAttributes(path, { uid: owner(uid), gid: owner(gid) })),
    chmod: (path, mode, done) => this.#do(done, path, () => this.#names.setAttributes(path, { mode })),
    readlink: (path, done) => this.#tell(done, path, () => this.#names.readSymlink(path)),
    symlink: (target, path, done) => this.#do(done, path, () => this.#names.makeSymlink(target, path)),
    mknod: (path, mode, device, done) => this.#do(done, path, () => this.#names.makeNode(path, mode, device)),
    mkdir: (path, mode, done) => this.#do(done, path, () => this.#names.makeDirectory(path, mode)),
    unlink: (path, done) => this.#do(done, path, () => this.#names.unlink(path)),
    rmdir: (path, done) => this.#do(done, path, () => this.#names.removeDirectory(path)),
    rename: (from, to, done) => this.#do(done, from, () => this.#names.rename(from, to)),
    link: (from, to, done) => this.#do(done, from, () => this.#names.makeLink(from, to)),
    setxattr: (path, name, value, position, flags, done) =>
      this.#do(done, path, () => this.#xattrs.set(path, name, value, position, flags)),
    getxattr: (path, name, into, done) => this.#count(done, path, () => this.#xattrs.get(path, name, into)),
    listxattr: (path, into, done) => this.#count(done, path, () => this.#xattrs.list(path, into)),
    removexattr: (path, name, done) => this.#do(done, path, () => this.#xattrs.remove(path, name)),
    open: (path, flags, done) =>
      this.#tell(done, path, () => this.#files.open(path, linuxFlags(flags, constants))),
    read: (path, openFile, buffer, length, offset, done) =>
      this.#count(done, path, () => this.#files.read(openFile, buffer.subarray(0, length), offset)),
    write: (path, openFile, buffer, length, offset, done) =>
      this.#count(done, path, () => this.#files.write(openFile, buffer.subarray(0, length), offset)),
    flush: (path, openFile, done) => this.#do(done, path, () => this.#files.flush(openFile)),
    fsync: (path, dataOnly, openFile, done) =>
      this.#do(done, path, () => this.#files.sync(openFile, dataOnly !== 0)),
    release: (path, openFile, done) => this.#do(done, path, () => this.#files.release(openFile)),
  };

  async #setTimes(path: string, atimeMs: number, mtimeMs: number): Promise<void> {
    if (Number.isNaN(mtimeMs)) {
      throw new GfsError('UNIMPLEMENTED', 'this binary of fuse-native does not say which times are meant');
    }
    await this.#names.setAttributes(path, { atime: timeOf(atimeMs), mtime: timeOf(mtimeMs) });
  }

  #do(done: Done, path: string, work: () => Promise<unknown>): void {
    this.#serve(done, path, work, () => done(0));
  }

  #tell<T>(done: Done<T>, path: string, work: () => Promise<T>): void {
    this.#serve(done, path, work, (value) => done(0, value));
  }

  #count(done: Done, path: string, work: () => Promise<number>): void {
    this.#serve(done, path, work, done);
  }

  #serve<T>(done: Done, path: string, work: () => Promise<T>, answer: (value: T) => void): void {
    this.#tasks.run(async () => {
      let value: T;
      try {
        value = await work();
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        const errno = errnoOf(error);
        if (errno === EIO) this.#log.error({ path, code: codeOf(error), error: messageOf(error) }, 'failed');
        done(-errno);
        return;
      }
      answer(value);
    });
  }
}

/** Nobody else gets in, and the package does not say who asks. */
function mountingUser(): Caller {
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0, pid: process.pid };
}

function owner(id: number): number | undefined {
  return id === NOBODY_NEW ? undefined : id;
}
