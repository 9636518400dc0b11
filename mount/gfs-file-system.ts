import type { Bytes } from '../src/base/bytes.ts';
import type { Asked, Caller, FileSystem, WriteBuffer } from './file-system.ts';
import { tellBareNodes } from './gfs/bare-nodes.ts';
import { type ContextOptions, createContext, type GfsContext } from './gfs/context.ts';
import { GfsDirectories } from './gfs/directories.ts';
import { GfsFiles } from './gfs/files.ts';
import type { KernelNotifier } from './gfs/kernel-belief.ts';
import { GfsNamespace } from './gfs/namespace.ts';
import { GfsXattrs } from './gfs/xattrs.ts';
import type { DirectoryItem } from './wire/directory.ts';
import type { Entry, FilesystemStatistics, LockReply, OpenReply, TimedAttributes } from './wire/replies.ts';
import type * as requests from './wire/requests.ts';

/** The cluster as the kernel sees it: each operation goes to the part that does it. */
export class GfsFileSystem implements FileSystem {
  readonly #namespace: GfsNamespace;
  readonly #xattrs: GfsXattrs;
  readonly #files: GfsFiles;
  readonly #directories: GfsDirectories;
  readonly #context: GfsContext;

  constructor(options: ContextOptions) {
    const context = createContext(options);
    this.#context = context;
    this.#namespace = new GfsNamespace(context);
    this.#xattrs = new GfsXattrs(context);
    this.#files = new GfsFiles(context);
    this.#directories = new GfsDirectories(context);
  }

  /** From now on the kernel hears of what others change. */
  attach(kernel: KernelNotifier): void {
    const { belief, ready, removed, client } = this.#context;
    belief.attach(kernel);
    ready.attach(kernel);
    tellBareNodes(client, kernel);
    removed.attach(client);
  }

  lookup(operation: requests.Lookup, caller: Caller): Promise<Entry> {
    return this.#namespace.lookup(operation, caller);
  }
  forgotten(node: number): void {
    this.#files.forgotten(node);
    this.#context.removed.forgotten(node);
  }
  getAttributes(operation: requests.GetAttributes, caller: Caller): Promise<TimedAttributes> {
    return this.#namespace.getAttributes(operation, caller);
  }
  setAttributes(operation: requests.SetAttributes, caller: Caller): Promise<TimedAttributes> {
    return this.#namespace.setAttributes(operation, caller);
  }
  readSymlink(operation: requests.ReadSymlink, caller: Caller): Promise<Uint8Array> {
    return this.#namespace.readSymlink(operation, caller);
  }
  makeSymlink(operation: requests.MakeSymlink, caller: Caller): Promise<Entry> {
    return this.#namespace.makeSymlink(operation, caller);
  }
  makeNode(operation: requests.MakeNode, caller: Caller): Promise<Entry> {
    return this.#namespace.makeNode(operation, caller);
  }
  makeDirectory(operation: requests.MakeDirectory, caller: Caller): Promise<Entry> {
    return this.#namespace.makeDirectory(operation, caller);
  }
  unlink(operation: requests.Unlink, caller: Caller): Promise<void> {
    return this.#namespace.unlink(operation, caller);
  }
  removeDirectory(operation: requests.RemoveDirectory, caller: Caller): Promise<void> {
    return this.#namespace.removeDirectory(operation, caller);
  }
  rename(operation: requests.Rename, caller: Caller): Promise<void> {
    return this.#namespace.rename(operation, caller);
  }
  makeLink(operation: requests.MakeLink, caller: Caller): Promise<Entry> {
    return this.#namespace.makeLink(operation, caller);
  }
  statFilesystem(asked?: Asked): Promise<FilesystemStatistics> {
    return this.#namespace.statFilesystem(asked);
  }

  absentXattr(operation: requests.GetXattr): number | undefined {
    return this.#xattrs.absentXattr(operation);
  }
  getXattr(operation: requests.GetXattr, caller: Caller): Promise<Uint8Array> {
    return this.#xattrs.getXattr(operation, caller);
  }
  listXattrs(operation: requests.ListXattrs, caller: Caller): Promise<Uint8Array> {
    return this.#xattrs.listXattrs(operation, caller);
  }
  setXattr(operation: requests.SetXattr, caller: Caller): Promise<void> {
    return this.#xattrs.setXattr(operation, caller);
  }
  removeXattr(operation: requests.RemoveXattr, caller: Caller): Promise<void> {
    return this.#xattrs.removeXattr(operation, caller);
  }

  create(operation: requests.Create, caller: Caller): Promise<Entry & OpenReply> {
    return this.#files.create(operation, caller);
  }
  createUnnamed(operation: requests.CreateUnnamed, caller: Caller): Promise<Entry & OpenReply> {
    return this.#files.createUnnamed(operation, caller);
  }
  open(operation: requests.Open, caller: Caller): Promise<OpenReply> {
    return this.#files.open(operation, caller);
  }
  read(operation: requests.Read, asked?: Asked): Promise<Bytes> {
    return this.#files.read(operation, asked);
  }
  write(operation: requests.Write, buffer: WriteBuffer, asked?: Asked): Promise<number> {
    return this.#files.write(operation, buffer, asked);
  }
  isSettled(operation: requests.Flush): boolean {
    return this.#files.isSettled(operation);
  }
  flush(operation: requests.Flush, asked?: Asked): Promise<void> {
    return this.#files.flush(operation, asked);
  }
  sync(operation: requests.Sync, asked?: Asked): Promise<void> {
    return this.#files.sync(operation, asked);
  }
  seek(operation: requests.Seek, asked?: Asked): Promise<number> {
    return this.#files.seek(operation, asked);
  }
  allocate(operation: requests.Allocate, asked?: Asked): Promise<void> {
    return this.#files.allocate(operation, asked);
  }
  copyRange(operation: requests.CopyRange, asked?: Asked): Promise<number> {
    return this.#files.copyRange(operation, asked);
  }
  getLock(operation: requests.GetLock, asked?: Asked): Promise<LockReply | undefined> {
    return this.#files.getLock(operation, asked);
  }
  setLock(operation: requests.SetLock, caller: Caller, signal: AbortSignal): Promise<void> {
    return this.#files.setLock(operation, caller, signal);
  }
  release(operation: requests.Release, asked?: Asked): Promise<void> {
    return this.#files.release(operation, asked);
  }

  openDirectory(operation: requests.OpenDirectory, caller: Caller): Promise<OpenReply> {
    return this.#directories.openDirectory(operation, caller);
  }
  readDirectory(operation: requests.ReadDirectory, asked?: Asked): Promise<readonly DirectoryItem[]> {
    return this.#directories.readDirectory(operation, asked);
  }
  syncDirectory(operation: requests.SyncDirectory, asked?: Asked): Promise<void> {
    return this.#directories.syncDirectory(operation, asked);
  }
  releaseDirectory(operation: requests.ReleaseDirectory): Promise<void> {
    return this.#directories.releaseDirectory(operation);
  }
}
