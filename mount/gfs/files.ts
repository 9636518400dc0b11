import type { Bytes } from '../../src/base/bytes.ts';
import { recordBytesMax } from '../../src/base/constants.ts';
import { GfsError } from '../../src/base/errors.ts';
import { type InodeId, inodeId } from '../../src/base/ids.ts';
import { KiB } from '../../src/base/units.ts';
import type { Allocation, GfsFile, LockRequest, OpenedFile, OpenMode } from '../../src/client/api.ts';
import { PAGE_BYTES as BYTES_AT_HAND } from '../../src/client/block-cache.ts';
import { ENXIO, ErrnoError } from '../errno.ts';
import type { Asked, Caller, Files, WriteBuffer } from '../file-system.ts';
import { FALLOCATE, FOPEN, OPEN, SEEK_DATA } from '../wire/numbers.ts';
import type { Entry, LockReply, OpenReply } from '../wire/replies.ts';
import type * as requests from '../wire/requests.ts';
import { permissionBits } from './attributes.ts';
import type { GfsContext } from './context.ts';
import { staleWhenGone } from './stale.ts';
import { waitsForOpenFileLock } from './waiting-threads.ts';

/** A buffer of the device is a whole request's: below this a copy is cheaper than having one less. */
const KEPT_BYTES_MIN = 64 * KiB;
/** The kernel's; where its pages are larger, it has some that are not counted. */
const PAGE_BYTES = 4 * KiB;

/** Open files. Close-to-open: `flush` returns when data and length are at the cluster, `open` asks for them anew. */
export class GfsFiles implements Files {
  readonly #context: GfsContext;
  /**
   * What this mount appended to, as long as the kernel knows it. It takes each append to end where it believed the file
   * to end before, and would show the rest of its last page, zeros, as what was appended: so nothing reads its pages.
   */
  readonly #appendedTo = new Set<number>();
  /** What the kernel may have pages of, as it has read or written whole ones: it reads them without asking. */
  readonly #paged = new Set<number>();

  constructor(context: GfsContext) {
    this.#context = context;
  }

  async create(operation: requests.Create, caller: Caller): Promise<Entry & OpenReply> {
    const { parent, name, mode, umask, flags } = operation;
    const { client, callers, belief, ready } = this.#context;
    const call = await callers.call(caller);
    const how = {
      ...openMode(flags),
      mode: permissionBits(mode),
      umask,
      exclusive: (flags & OPEN.EXCLUSIVE) !== 0,
    };
    const asked = belief.asking();
    const created = await client.create(inodeId(parent), name, how, call);
    const entry = belief.entry(created.attributes, asked, inodeId(parent), name);
    ready.changed(inodeId(parent));
    if (how.truncate) this.#truncated(inodeId(created.attributes.inode), caller);
    return { ...entry, ...this.#opened(created.attributes.inode, created, how, flags) };
  }

  async createUnnamed(operation: requests.CreateUnnamed, caller: Caller): Promise<Entry & OpenReply> {
    const { directory, mode, umask, flags } = operation;
    const { client, callers, belief } = this.#context;
    const call = await callers.call(caller);
    const { read, write, append } = openMode(flags);
    const linkable = (flags & OPEN.EXCLUSIVE) === 0;
    const how = { read, write, append, mode: permissionBits(mode), umask, linkable };
    const asked = belief.asking();
    const created = await client.createUnnamed(inodeId(directory), how, call);
    const attributes = belief.attributes(created.attributes, asked);
    return {
      ...attributes,
      entryTimeoutMs: 0,
      ...this.#opened(created.attributes.inode, created, how, flags),
    };
  }

  async open({ node, flags }: requests.Open, caller: Caller): Promise<OpenReply> {
    const { belief, changes, client, callers } = this.#context;
    const call = await callers.call(caller);
    const how = openMode(flags);
    const asked = belief.asking();
    const opened = await staleWhenGone(client.open(inodeId(node), how, call));
    if (how.truncate) this.#truncated(inodeId(node), caller);
    // Of a file that is not open yet the kernel was not told that its pages are old.
    const unchanged = opened.unchanged && !changes.changedSince(node, asked);
    const reply = this.#opened(node, { ...opened, unchanged }, how, flags);
    const readsPages = (reply.flags & FOPEN.KEEP_CACHE) !== 0 && this.#paged.has(node) && !how.write;
    if (readsPages && this.#context.reads.isFileDue(node, flags)) {
      return this.#seenReading(reply, node, opened.attributes.length);
    }
    return reply;
  }

  async read({ node, openFile, offset, size, flags }: requests.Read, asked?: Asked): Promise<Bytes> {
    const bytes = await this.#context.openFiles.get(openFile).file.read(offset, size, asked);
    this.#paged.add(node);
    this.#context.reads.file(node, flags);
    return bytes;
  }

  /**
   * Of what the kernel has nobody sees whether it is read. So it gets a small file anew, which the client has at hand; opening a
   * large one counts as reading it. (Told that times have changed, the kernel would pass over an answer about the file that is on
   * its way to somebody else, and show him old pages.)
   */
  #seenReading({ openFile, flags }: OpenReply, node: number, length: number): OpenReply {
    if (length <= BYTES_AT_HAND) return { openFile, flags: flags & ~FOPEN.KEEP_CACHE };
    this.#context.reads.file(node);
    return { openFile, flags };
  }

  async write(operation: requests.Write, buffer: WriteBuffer, asked?: Asked): Promise<number> {
    const { node, openFile, offset, flags, dropsSetIds, data } = operation;
    const { file } = this.#context.openFiles.get(openFile);
    try {
      const dropping = dropsSetIds ? file.dropSetIds(asked) : undefined;
      if (dropping !== undefined) {
        await dropping;
        this.#context.belief.modeMayHaveChanged(inodeId(node));
      }
      // Where the end is only the primary of the last chunk knows; what the kernel believes does not count.
      if (flags & OPEN.APPEND) return await this.#append(file, data, asked);
      if (hasWholePage(offset, data.length)) this.#paged.add(node);
      const release = data.length < KEPT_BYTES_MIN ? undefined : buffer.keep();
      if (release === undefined) await file.write(offset, [data], asked);
      else await file.writeTaken(offset, [data], release, asked);
      return data.length;
    } finally {
      this.#context.changes.note(node);
    }
  }

  /** As one record, or as several where chunks are too small for that. Tells how far it came, if it came anywhere. */
  async #append(file: GfsFile, data: Buffer, asked: Asked | undefined): Promise<number> {
    const lengthMax = recordBytesMax(this.#context.client.chunkSizeBytes);
    let done = 0;
    while (done < data.length) {
      const record = data.subarray(done, done + lengthMax);
      try {
        await file.append([record], asked);
      } catch (error) {
        if (done === 0) throw error;
        break;
      }
      done += record.length;
    }
    return done;
  }

  isSettled({ openFile, lockOwner }: requests.Flush): boolean {
    return this.#context.openFiles.get(openFile).file.isSettled({ kind: 'range', owner: lockOwner });
  }

  async flush({ openFile, lockOwner }: requests.Flush, asked?: Asked): Promise<void> {
    const { file, writable } = this.#context.openFiles.get(openFile);
    try {
      if (writable) await file.flush(asked);
    } finally {
      await file.unlock({ kind: 'range', owner: lockOwner }, asked);
    }
  }

  async getLock({ openFile, lock }: requests.GetLock, asked?: Asked): Promise<LockReply | undefined> {
    return await this.#context.openFiles.get(openFile).file.conflictingLock(requestOf(lock), asked);
  }

  async setLock(
    { node, openFile, lock, wait }: requests.SetLock,
    caller: Caller,
    signal: AbortSignal,
  ): Promise<void> {
    const { file } = this.#context.openFiles.get(openFile);
    if (lock.type === 'none') {
      await file.unlock(requestOf(lock), caller);
      return;
    }
    // Locks of open files look like those of processes, and several threads may use one: none of them waits for another.
    const ownerWaits = wait && !lock.flock && !(await waitsForOpenFileLock(caller.pid));
    const { requestId } = caller;
    const { changed } = await file.lock({ ...requestOf(lock), wait, ownerWaits }, { signal, requestId });
    // What others wrote before they unlocked is to be read, also through pages that the kernel has.
    try {
      await this.#context.belief.upToDate(node, changed);
    } catch (error) {
      await file.unlock(requestOf(lock), caller);
      throw error;
    }
  }

  /** Also by a descriptor that may only read: sync(1) opens a file like that to have others' writes on the disks. */
  async sync({ openFile }: requests.Sync, asked?: Asked): Promise<void> {
    await this.#context.openFiles.get(openFile).file.sync(asked);
  }

  async seek({ openFile, offset, whence }: requests.Seek, asked?: Asked): Promise<number> {
    const { openFiles, belief } = this.#context;
    const { file, node } = openFiles.get(openFile);
    // The kernel does not send them by itself before it asks, and whoever copies what is said to be a hole leaves it out.
    if (openFiles.mayHaveDirtyPages(node)) await belief.upToDate(node, true);
    const found = await file.seek(offset, whence === SEEK_DATA ? 'data' : 'hole', asked);
    if (found !== undefined) return found;
    throw new ErrnoError(ENXIO, `there is nothing to find from ${offset} on`);
  }

  async allocate({ node, openFile, offset, length, mode }: requests.Allocate, asked?: Asked): Promise<void> {
    const { file } = this.#context.openFiles.get(openFile);
    try {
      await file.allocate(offset, length, allocationOf(mode), asked);
    } finally {
      this.#context.changes.note(node);
    }
  }

  async copyRange({ openFile, offset, target, length }: requests.CopyRange, asked?: Asked): Promise<number> {
    const { openFiles, changes, reads } = this.#context;
    const { file: source, node, flags } = openFiles.get(openFile);
    const { file } = openFiles.get(target.openFile);
    try {
      const range = { sourceOffset: offset, fileOffset: target.offset, length };
      const copied = await file.copyFrom(source, range, asked);
      if (copied > 0) reads.file(node, flags);
      return copied;
    } finally {
      changes.note(target.node);
    }
  }

  async release({ openFile }: requests.Release, asked?: Asked): Promise<void> {
    await this.#context.openFiles.remove(openFile).file.close(asked);
  }

  /** The kernel knows it no more, nor has it pages of it. */
  forgotten(node: number): void {
    this.#appendedTo.delete(node);
    this.#paged.delete(node);
  }

  #truncated(inode: InodeId, { uid }: Caller): void {
    this.#context.changes.note(inode);
    if (uid !== 0) this.#context.belief.modeMayHaveChanged(inode);
  }

  #opened(node: number, opened: OpenedFile, how: OpenMode, openFlags: number): OpenReply {
    const { read = false, write = false, append = false } = how;
    const { changes, openFiles } = this.#context;
    const { file, unchanged, beingWritten } = opened;
    const mounted = { file, node, writable: write, flags: openFlags, mappable: read && write };
    const openFile = openFiles.add(mounted, changes.isBlind);
    let flags = 0;
    if (append) this.#appendedTo.add(node);
    // One write(2) is one request and one record, and no page remembers it at an offset that it does not have.
    // What others write may be appended to here as well, while it is being read.
    if (this.#appendedTo.has(node) || (beingWritten && !write)) flags |= FOPEN.DIRECT_IO;
    // The kernel drops its pages at each open, unless we know that nobody changed the file since it got them.
    else if (unchanged) flags |= FOPEN.KEEP_CACHE;
    if ((flags & FOPEN.KEEP_CACHE) === 0) this.#paged.delete(node);
    return { openFile, flags, isReadOnly: !write };
  }
}

/** What a hole is, and what is zeros, differs in what st_blocks says alone: neither takes room. */
function allocationOf(mode: number): Required<Allocation> {
  const { KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE } = FALLOCATE;
  const zeros = (mode & (PUNCH_HOLE | ZERO_RANGE)) !== 0;
  const keepLength = (mode & KEEP_SIZE) !== 0;
  const isPunch = (mode & PUNCH_HOLE) !== 0;
  const isKnown = (mode & ~(KEEP_SIZE | PUNCH_HOLE | ZERO_RANGE)) === 0;
  if (!isKnown || (isPunch && (!keepLength || (mode & ZERO_RANGE) !== 0))) {
    throw new GfsError('UNIMPLEMENTED', `fallocate with mode 0x${mode.toString(16)}`);
  }
  return { zeros, keepLength, hole: isPunch };
}

function hasWholePage(offset: number, length: number): boolean {
  return Math.ceil(offset / PAGE_BYTES) * PAGE_BYTES + PAGE_BYTES <= offset + length;
}

function requestOf({ owner, flock, start, end, type, pid }: requests.LockRequest): LockRequest {
  return { kind: flock ? 'flock' : 'range', owner, start, end, exclusive: type === 'exclusive', pid };
}

function openMode(flags: number): Required<OpenMode> {
  const access = flags & OPEN.ACCESS_MODE;
  const write = access === OPEN.WRITE_ONLY || access === OPEN.READ_WRITE;
  return {
    // Programs map what they may only write, and partial pages are read before they are written.
    read: access !== OPEN.WRITE_ONLY,
    write,
    truncate: (flags & OPEN.TRUNCATE) !== 0,
    append: write && (flags & OPEN.APPEND) !== 0,
    execute: (flags & OPEN.EXECUTE) !== 0,
  };
}
