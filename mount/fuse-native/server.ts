import { constants } from 'node:fs';
import { AssertionError } from '../../src/base/assert.ts';
import type { Env } from '../../src/base/env.ts';
import { codeOf, GfsError, messageOf } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import type { Figure } from '../../src/base/metrics.ts';
import { TaskGroup } from '../../src/base/task-group.ts';
import { timeOf } from '../../src/core/metadata/times.ts';
import { EIO, errnoOf } from '../errno.ts';
import type { Caller, FileSystem } from '../file-system.ts';
import { FuseFigures, type Kind } from '../fuse-figures.ts';
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
  readonly #figures: FuseFigures;
  readonly #requestCounts = new Map<Kind, number>();
  #inFlightCount = 0;

  constructor({ env, fileSystem, log, onFatal }: NativeServerOptions) {
    this.#log = log;
    this.#figures = new FuseFigures(env);
    this.#tasks = new TaskGroup(onFatal);
    const caller = mountingUser();
    this.#walker = new PathWalker(env, fileSystem, caller);
    const fresh = new FreshFiles(env, (node, openFile) => {
      const release = () => fileSystem.release({ kind: 'release', node, openFile });
      this.#serve(
        () => undefined,
        'a file that nobody opened',
        release,
        () => undefined,
      );
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

  /** What was asked for so far, by operation. */
  get requestCounts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#requestCounts);
  }

  figures(): Figure[] {
    return this.#figures.figures({
      counts: () => this.requestCounts,
      inFlightCount: () => this.#inFlightCount,
    });
  }

  readonly operations: NativeOperations = {
    getattr: (path, done) =>
      this.#tell('getAttributes', done, path, async () => statOf(await this.#names.attributes(path))),
    access: (path, mask, done) => this.#do('access', done, path, () => this.#names.access(path, mask)),
    statfs: (path, done) =>
      this.#tell('statFilesystem', done, path, async () => statfsOf(await this.#names.statFilesystem())),
    readdir: (path, done) => this.#tell('readDirectory', done, path, () => this.#names.list(path)),
    fsyncdir: (path, _dataOnly, _openFile, done) =>
      this.#do('syncDirectory', done, path, () => this.#names.syncDirectory(path)),
    truncate: (path, size, done) =>
      this.#do('setAttributes', done, path, () => this.#names.setAttributes(path, { size })),
    ftruncate: (path, openFile, size, done) =>
      this.#do('setAttributes', done, path, () => this.#names.setAttributes(path, { size }, openFile)),
    utimens: (path, atimeMs, mtimeMs, done) =>
      this.#do('setAttributes', done, path, () => this.#setTimes(path, atimeMs, mtimeMs)),
    chown: (path, uid, gid, done) =>
      this.#do('setAttributes', done, path, () =>
        this.#names.setAttributes(path, { uid: owner(uid), gid: owner(gid) }),
      ),
    chmod: (path, mode, done) =>
      this.#do('setAttributes', done, path, () => this.#names.setAttributes(path, { mode })),
    readlink: (path, done) => this.#tell('readSymlink', done, path, () => this.#names.readSymlink(path)),
    symlink: (target, path, done) =>
      this.#do('makeSymlink', done, path, () => this.#names.makeSymlink(target, path)),
    mknod: (path, mode, device, done) =>
      this.#do('makeNode', done, path, () => this.#names.makeNode(path, mode, device)),
    mkdir: (path, mode, done) =>
      this.#do('makeDirectory', done, path, () => this.#names.makeDirectory(path, mode)),
    unlink: (path, done) => this.#do('unlink', done, path, () => this.#names.unlink(path)),
    rmdir: (path, done) => this.#do('removeDirectory', done, path, () => this.#names.removeDirectory(path)),
    rename: (from, to, done) => this.#do('rename', done, from, () => this.#names.rename(from, to)),
    link: (from, to, done) => this.#do('makeLink', done, from, () => this.#names.makeLink(from, to)),
    setxattr: (path, name, value, position, flags, done) =>
      this.#do('setXattr', done, path, () => this.#xattrs.set(path, name, value, position, flags)),
    getxattr: (path, name, into, done) =>
      this.#count('getXattr', done, path, () => this.#xattrs.get(path, name, into)),
    listxattr: (path, into, done) =>
      this.#count('listXattrs', done, path, () => this.#xattrs.list(path, into)),
    removexattr: (path, name, done) =>
      this.#do('removeXattr', done, path, () => this.#xattrs.remove(path, name)),
    open: (path, flags, done) =>
      this.#tell('open', done, path, () => this.#files.open(path, linuxFlags(flags, constants))),
    read: (path, openFile, buffer, length, offset, done) =>
      this.#count('read', done, path, () => this.#files.read(openFile, buffer.subarray(0, length), offset)),
    write: (path, openFile, buffer, length, offset, done) =>
      this.#count('write', done, path, () => this.#files.write(openFile, buffer.subarray(0, length), offset)),
    flush: (path, openFile, done) => this.#do('flush', done, path, () => this.#files.flush(openFile)),
    fsync: (path, dataOnly, openFile, done) =>
      this.#do('sync', done, path, () => this.#files.sync(openFile, dataOnly !== 0)),
    release: (path, openFile, done) => this.#do('release', done, path, () => this.#files.release(openFile)),
  };

  async #setTimes(path: string, atimeMs: number, mtimeMs: number): Promise<void> {
    if (Number.isNaN(mtimeMs)) {
      throw new GfsError('UNIMPLEMENTED', 'this binary of fuse-native does not say which times are meant');
    }
    await this.#names.setAttributes(path, { atime: timeOf(atimeMs), mtime: timeOf(mtimeMs) });
  }

  #do(kind: Kind, done: Done, path: string, work: () => Promise<unknown>): void {
    this.#answer(kind, done, path, work, () => done(0));
  }

  #tell<T>(kind: Kind, done: Done<T>, path: string, work: () => Promise<T>): void {
    this.#answer(kind, done, path, work, (value) => done(0, value));
  }

  /** Bytes. */
  #count(kind: Kind, done: Done, path: string, work: () => Promise<number>): void {
    this.#answer(kind, done, path, work, (count) => {
      if (kind === 'read') this.#figures.readBytes += count;
      if (kind === 'write') this.#figures.writtenBytes += count;
      done(count);
    });
  }

  #answer<T>(kind: Kind, done: Done, path: string, work: () => Promise<T>, answer: (value: T) => void): void {
    const begunMs = this.#figures.begin();
    this.#requestCounts.set(kind, (this.#requestCounts.get(kind) ?? 0) + 1);
    this.#inFlightCount += 1;
    const ended = () => {
      this.#inFlightCount -= 1;
      this.#figures.done(kind, begunMs);
    };
    const refuse = (errno: number) => {
      ended();
      this.#figures.failed(kind, errno);
      done(-errno);
    };
    const tell = (value: T) => {
      ended();
      answer(value);
    };
    this.#serve(refuse, path, work, tell);
  }

  #serve<T>(
    refuse: (errno: number) => void,
    path: string,
    work: () => Promise<T>,
    answer: (value: T) => void,
  ): void {
    this.#tasks.run(async () => {
      let value: T;
      try {
        value = await work();
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        const errno = errnoOf(error);
        if (errno === EIO) {
          const fields = { path, code: codeOf(error), error: messageOf(error) };
          this.#log.error(fields, 'what the kernel asked for failed');
        }
        refuse(errno);
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
