import { type DeviceRequest, FuseDevice, type NotificationLane } from '../native/index.ts';
import { AssertionError, unreachable } from '../src/base/assert.ts';
import { lengthOf, slice } from '../src/base/bytes.ts';
import type { Env } from '../src/base/env.ts';
import { codeOf, GfsError, messageOf } from '../src/base/errors.ts';
import type { Logger } from '../src/base/log.ts';
import { TaskGroup } from '../src/base/task-group.ts';
import { isBeingKilled } from './being-killed.ts';
import { EINTR, EINVAL, EIO, ENODEV, ENOENT, ENOSYS, EPROTO, ERANGE, ErrnoError, errnoOf } from './errno.ts';
import type { Caller, FileSystem } from './file-system.ts';
import { IdleFlushes } from './idle-flushes.ts';
import { InFlight, type Waiting } from './in-flight.ts';
import { LookupCount } from './lookup-count.ts';
import { negotiate } from './negotiate.ts';
import { decodeHeader, decodeRequest } from './wire/decode.ts';
import { writeDirectory } from './wire/directory.ts';
import type { Notification } from './wire/notifications.ts';
import { KERNEL_MAJOR } from './wire/numbers.ts';
import {
  type Entry,
  type OpenReply,
  OUT_HEADER_BYTES,
  type TimedAttributes,
  writeAttributes,
  writeEntry,
  writeExtendedAttributes,
  writeHeader,
  writeInitialise,
  writeLock,
  writeOffset,
  writeOpen,
  writeStatistics,
  writeWritten,
  writeXattrSize,
} from './wire/replies.ts';
import type {
  Flush,
  Initialise,
  Operation,
  ReadDirectory,
  Release,
  RequestHeader,
  Write,
} from './wire/requests.ts';

/** Half the pool at most waits for the cluster in the hands of writers; the rest keeps the mount answering. */
const BUFFER_COUNT = 64;
const BUFFER_COUNT_KEPT_MAX = BUFFER_COUNT / 2;
const NODE_OF_NOBODY = 0;
/** Who gets a signal while he waits is looked at so often: the kernel does not tell of the next one. */
const KILLED_LOOK_MS = 100;
const NEVER = new AbortController().signal;

export interface FuseServerOptions {
  readonly env: Env;
  /** An open /dev/fuse that is mounted. The server closes it at its end. */
  readonly fd: number;
  readonly readerCount: number;
  /** The kernel checks who may do what. */
  readonly defaultPermissions: boolean;
  readonly fileSystem: FileSystem;
  readonly log: Logger;
  /** A bug, or a device that broke: nothing can be served any more. */
  readonly onFatal: (error: unknown) => void;
}

/** Takes the kernel's requests from the device, has the file system do them, and answers. */
export class FuseServer {
  /** The kernel and we agreed on a protocol: the mount serves. Rejects when we don't. */
  readonly initialised: Promise<void>;
  /** The file system is unmounted; nothing will be asked any more. */
  readonly ended: Promise<void>;
  readonly #env: Env;
  readonly #device: FuseDevice;
  readonly #fileSystem: FileSystem;
  readonly #defaultPermissions: boolean;
  readonly #log: Logger;
  readonly #inFlight = new InFlight();
  readonly #lookups = new LookupCount();
  readonly #idleFlushes: IdleFlushes;
  readonly #tasks: TaskGroup;
  readonly #requestCounts = new Map<string, number>();
  #keptCount = 0;
  #looksForKilled = false;
  #onInitialised: (error?: Error) => void = () => undefined;

  constructor({ env, fd, readerCount, defaultPermissions, fileSystem, log, onFatal }: FuseServerOptions) {
    this.#env = env;
    this.#fileSystem = fileSystem;
    this.#defaultPermissions = defaultPermissions;
    this.#log = log;
    this.#tasks = new TaskGroup(onFatal);
    this.initialised = new Promise((resolve, reject) => {
      this.#onInitialised = (error) => (error === undefined ? resolve() : reject(error));
    });
    // Whoever waits for it is told; it may also never be of interest.
    this.initialised.catch(() => undefined);
    let onUnmounted: () => void = () => undefined;
    this.ended = new Promise((resolve) => {
      onUnmounted = resolve;
    });
    this.#device = new FuseDevice({
      fd,
      readerCount,
      bufferCount: BUFFER_COUNT,
      onRequest: (request) => this.#onRequest(request),
      onEnd: (errno) => {
        this.#onInitialised(new GfsError('UNAVAILABLE', 'unmounted before the kernel greeted'));
        if (errno === ENODEV) onUnmounted();
        else onFatal(new GfsError('IO_ERROR', `reading requests failed with errno ${errno}`));
      },
    });
    this.#idleFlushes = new IdleFlushes(this.#device.settled);
  }

  /** Resolves when all that was asked so far is answered. */
  async drain(): Promise<void> {
    await this.#tasks.drain();
  }

  /** What the kernel has asked for so far, by operation; what it answers by itself is not among it. */
  get requestCounts(): Readonly<Record<string, number>> {
    const flush = (this.#requestCounts.get('flush') ?? 0) + this.#device.settled.answeredCount;
    return { ...Object.fromEntries(this.#requestCounts), ...(flush === 0 ? {} : { flush }) };
  }

  /** How many nodes the kernel knows: it will say so when it has forgotten one. */
  get nodeCount(): number {
    return this.#lookups.size;
  }

  /**
   * Tells the kernel something unasked (`wire/notifications.ts`), some time: it may need our answers first. False: too much
   * waits to be told already. Once unmounted there is nobody to tell, and that is fine.
   */
  notify({ bytes, lane }: Notification): boolean {
    return this.#device.ended || this.#device.notify(bytes, lane);
  }

  /** Resolves when the kernel has been told all that it was to be told so far in these lanes, or in all; undefined: it has. */
  notified(lanes?: readonly NotificationLane[]): Promise<void> | undefined {
    return this.#device.notified(lanes);
  }

  #onRequest({ bytes, buffer, reader }: DeviceRequest): void {
    const header = this.#decode(() => decodeHeader(bytes));
    const request =
      header &&
      this.#decode(
        () => decodeRequest(header, bytes),
        (errno) => this.#answer(header.unique, reader, errno),
      );
    // What the request needs was copied, but for a write's data.
    if (request?.kind !== 'write') this.#device.release(buffer);
    if (header === undefined || request === undefined) return;
    const { unique } = header;
    this.#requestCounts.set(request.kind, (this.#requestCounts.get(request.kind) ?? 0) + 1);
    switch (request.kind) {
      case 'initialise':
        this.#initialise(unique, reader, request);
        break;
      case 'forget':
        for (const { node, count } of request.nodes) {
          if (!this.#lookups.forget(node, count)) continue;
          this.#idleFlushes.forgotten(node);
          this.#fileSystem.forgotten(node);
        }
        break;
      case 'interrupt':
        this.#inFlight.interrupt(request.unique);
        this.#lookForKilled();
        break;
      case 'destroy':
        this.#answer(unique, reader, 0);
        break;
      case 'flush':
        if (this.#isSettled(request)) {
          this.#answer(unique, reader, 0);
          break;
        }
        this.#begin({ unique, kind: 'flush', reader, pid: header.pid }, request, header, buffer);
        break;
      case 'getXattr': {
        const errno = this.#fileSystem.absentXattr(request);
        if (errno !== undefined) {
          this.#answer(unique, reader, errno);
          break;
        }
        this.#begin({ unique, kind: 'getXattr', reader, pid: header.pid }, request, header, buffer);
        break;
      }
      case 'unsupported':
        this.#answer(unique, reader, ENOSYS);
        break;
      default: {
        // A wait for a lock may take for ever, and leaves nothing behind when it is cancelled.
        const isLock = request.kind === 'setLock' && request.lock.type !== 'none';
        const cancellation = isLock ? new AbortController() : undefined;
        if (isLock && !request.lock.flock) this.#idleFlushes.locking(request.node);
        const { pid } = header;
        this.#begin({ unique, kind: request.kind, reader, pid, cancellation }, request, header, buffer);
      }
    }
  }

  /** What goes wrong with it is the flush's to tell. */
  #isSettled(operation: Flush): boolean {
    try {
      return this.#fileSystem.isSettled(operation);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      return false;
    }
  }

  #begin(waiting: Waiting, operation: Operation, header: RequestHeader, buffer: number): void {
    if (!this.#inFlight.begin(waiting)) {
      this.#answer(waiting.unique, waiting.reader, EINTR);
      return;
    }
    this.#tasks.run(() => this.#serve(waiting, operation, header, buffer));
    this.#lookForKilled();
  }

  /** Gives up what only callers wait for that are being killed. */
  #lookForKilled(): void {
    if (this.#looksForKilled || !this.#inFlight.isAnyInterrupted) return;
    this.#looksForKilled = true;
    this.#tasks.run(async () => {
      while (this.#inFlight.isAnyInterrupted) {
        for (const { unique, pid, reader } of [...this.#inFlight.interrupted]) {
          const isKilled = await isBeingKilled(pid);
          if (isKilled && this.#inFlight.end(unique)) this.#answer(unique, reader, EINTR);
        }
        if (this.#inFlight.isAnyInterrupted) await this.#env.sleep(KILLED_LOOK_MS);
      }
      this.#looksForKilled = false;
    });
  }

  /** What cannot be understood is refused and logged; the mount lives on. */
  #decode<T>(decode: () => T, refuse?: (errno: number) => void): T | undefined {
    try {
      return decode();
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      // Offsets that no file of ours can have are an answer like others.
      if (codeOf(error) !== 'FILE_TOO_LARGE') {
        this.#log.error({ error: messageOf(error) }, 'a request that makes no sense');
      }
      refuse?.(errnoOf(error));
      return undefined;
    }
  }

  #initialise(unique: bigint, reader: number, request: Initialise): void {
    const reply = negotiate(request, { defaultPermissions: this.#defaultPermissions });
    if (reply === undefined) {
      const version = `${request.major}.${request.minor}`;
      this.#onInitialised(new GfsError('UNIMPLEMENTED', `FUSE ${version} of this kernel is too old`));
      this.#answer(unique, reader, EPROTO);
      return;
    }
    const { out } = this.#device;
    this.#write(unique, reader, writeInitialise(out, OUT_HEADER_BYTES, reply));
    if (request.major === KERNEL_MAJOR) this.#onInitialised();
  }

  async #serve(waiting: Waiting, operation: Operation, caller: Caller, buffer: number): Promise<void> {
    try {
      if (operation.kind === 'write') await this.#performWrite(waiting, operation, buffer);
      else await this.#perform(waiting, operation, caller);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      const errno = errnoOf(error);
      if (errno === EIO) this.#log.error(describe(operation, error), 'failed');
      if (this.#inFlight.end(waiting.unique)) this.#answer(waiting.unique, waiting.reader, errno);
    }
  }

  async #perform(
    waiting: Waiting,
    operation: Exclude<Operation, Write>,
    { uid, gid, pid }: Caller,
  ): Promise<void> {
    const fileSystem = this.#fileSystem;
    const { out } = this.#device;
    const caller = { uid, gid, pid };
    switch (operation.kind) {
      case 'lookup':
        this.#sendEntry(waiting, await fileSystem.lookup(operation, caller));
        return;
      case 'getAttributes':
        this.#sendAttributes(waiting, await fileSystem.getAttributes(operation, caller), operation.extended);
        return;
      case 'setAttributes':
        this.#sendAttributes(waiting, await fileSystem.setAttributes(operation, caller));
        return;
      case 'readSymlink': {
        const target = await fileSystem.readSymlink(operation, caller);
        this.#send(waiting, OUT_HEADER_BYTES, [target]);
        return;
      }
      case 'makeSymlink':
        this.#sendEntry(waiting, await fileSystem.makeSymlink(operation, caller));
        return;
      case 'makeNode':
        this.#sendEntry(waiting, await fileSystem.makeNode(operation, caller));
        return;
      case 'makeDirectory':
        this.#sendEntry(waiting, await fileSystem.makeDirectory(operation, caller));
        return;
      case 'makeLink':
        this.#sendEntry(waiting, await fileSystem.makeLink(operation, caller));
        return;
      case 'statFilesystem': {
        const statistics = await fileSystem.statFilesystem();
        this.#send(waiting, writeStatistics(out, OUT_HEADER_BYTES, statistics));
        return;
      }
      case 'getXattr':
        this.#sendSized(waiting, operation.size, await fileSystem.getXattr(operation, caller));
        return;
      case 'listXattrs':
        this.#sendSized(waiting, operation.size, await fileSystem.listXattrs(operation, caller));
        return;
      case 'create':
        await this.#sendCreated(waiting, await fileSystem.create(operation, caller));
        return;
      case 'createUnnamed':
        await this.#sendCreated(waiting, await fileSystem.createUnnamed(operation, caller));
        return;
      case 'open': {
        const opened = await fileSystem.open(operation, caller);
        const { openFile } = opened;
        if (opened.isReadOnly) this.#idleFlushes.opened(operation.node, openFile);
        if (this.#sendOpen(waiting, opened)) return;
        // The kernel knows nothing of the open file, and will not release it.
        await this.#release({ kind: 'release', node: operation.node, openFile });
        return;
      }
      case 'openDirectory': {
        const opened = await fileSystem.openDirectory(operation, caller);
        const { openFile } = opened;
        if (this.#sendOpen(waiting, opened)) return;
        await fileSystem.releaseDirectory({ kind: 'releaseDirectory', node: operation.node, openFile });
        return;
      }
      case 'read': {
        const bytes = await fileSystem.read(operation);
        const parts = lengthOf(bytes) > operation.size ? slice(bytes, 0, operation.size) : bytes;
        this.#send(waiting, OUT_HEADER_BYTES, parts);
        return;
      }
      case 'seek':
        this.#send(waiting, writeOffset(out, OUT_HEADER_BYTES, await fileSystem.seek(operation)));
        return;
      case 'copyRange': {
        // The answer to the newer one of the two requests is a u64 in the same place.
        const count = await fileSystem.copyRange(operation);
        this.#send(waiting, writeWritten(out, OUT_HEADER_BYTES, count));
        return;
      }
      case 'readDirectory':
        await this.#readDirectory(waiting, operation);
        return;
      case 'getLock': {
        const inTheWay = await fileSystem.getLock(operation);
        this.#send(waiting, writeLock(out, OUT_HEADER_BYTES, inTheWay));
        return;
      }
      // From here on nothing but success is told.
      case 'unlink':
        await fileSystem.unlink(operation, caller);
        break;
      case 'removeDirectory':
        await fileSystem.removeDirectory(operation, caller);
        break;
      case 'rename':
        await fileSystem.rename(operation, caller);
        break;
      case 'setXattr':
        await fileSystem.setXattr(operation, caller);
        break;
      case 'removeXattr':
        await fileSystem.removeXattr(operation, caller);
        break;
      case 'flush':
        await fileSystem.flush(operation);
        break;
      case 'setLock':
        await fileSystem.setLock(operation, caller, waiting.cancellation?.signal ?? NEVER);
        break;
      case 'sync':
        await fileSystem.sync(operation);
        break;
      case 'allocate':
        await fileSystem.allocate(operation);
        break;
      case 'release':
        await this.#release(operation);
        break;
      case 'syncDirectory':
        await fileSystem.syncDirectory(operation);
        break;
      case 'releaseDirectory':
        await fileSystem.releaseDirectory(operation);
        break;
      default:
        unreachable(operation);
    }
    this.#send(waiting, OUT_HEADER_BYTES);
  }

  #release(operation: Release): Promise<void> {
    this.#idleFlushes.released(operation.node, operation.openFile);
    return this.#fileSystem.release(operation);
  }

  async #performWrite(waiting: Waiting, operation: Write, buffer: number): Promise<void> {
    let kept = false;
    const keep = () => {
      if (kept || this.#keptCount >= BUFFER_COUNT_KEPT_MAX) return undefined;
      kept = true;
      this.#keptCount += 1;
      return () => {
        this.#keptCount -= 1;
        this.#device.release(buffer);
      };
    };
    try {
      const size = await this.#fileSystem.write(operation, { keep });
      this.#send(waiting, writeWritten(this.#device.out, OUT_HEADER_BYTES, size));
    } finally {
      if (!kept) this.#device.release(buffer);
    }
  }

  async #readDirectory(waiting: Waiting, operation: ReadDirectory): Promise<void> {
    const items = await this.#fileSystem.readDirectory(operation);
    const { out } = this.#device;
    const limit = Math.min(OUT_HEADER_BYTES + operation.size, out.length);
    const { end, taken } = writeDirectory(out, OUT_HEADER_BYTES, limit, items, operation.withAttributes);
    if (taken === 0 && items.length > 0) {
      // An empty answer would mean the end of the directory.
      if (this.#inFlight.end(waiting.unique)) this.#answer(waiting.unique, waiting.reader, EINVAL);
      return;
    }
    if (!this.#send(waiting, end) || !operation.withAttributes) return;
    for (let index = 0; index < taken; index += 1) {
      const node = items[index]?.entry?.attributes.node ?? NODE_OF_NOBODY;
      if (node !== NODE_OF_NOBODY) this.#lookups.add(node);
    }
  }

  #sendEntry(waiting: Waiting, entry: Entry): void {
    const end = writeEntry(this.#device.out, OUT_HEADER_BYTES, entry);
    // Only a reply that the kernel took counts: otherwise no forget will ever come.
    if (this.#send(waiting, end)) this.#lookups.add(entry.attributes.node);
  }

  async #sendCreated(waiting: Waiting, created: Entry & OpenReply): Promise<void> {
    const { out } = this.#device;
    const { openFile, attributes } = created;
    if (created.isReadOnly) this.#idleFlushes.opened(attributes.node, openFile);
    const end = writeOpen(out, writeEntry(out, OUT_HEADER_BYTES, created), created);
    if (this.#send(waiting, end)) this.#lookups.add(attributes.node);
    else await this.#release({ kind: 'release', node: attributes.node, openFile });
  }

  #sendAttributes(waiting: Waiting, reply: TimedAttributes, extended = false): void {
    const write = extended ? writeExtendedAttributes : writeAttributes;
    this.#send(waiting, write(this.#device.out, OUT_HEADER_BYTES, reply));
  }

  /** A value, or how large it is: to who has no room at all, since that is what he asks. */
  #sendSized(waiting: Waiting, room: number, value: Uint8Array): void {
    if (room === 0) {
      this.#send(waiting, writeXattrSize(this.#device.out, OUT_HEADER_BYTES, value.length));
    } else if (value.length <= room) {
      this.#send(waiting, OUT_HEADER_BYTES, value.length === 0 ? undefined : [value]);
    } else {
      throw new ErrnoError(ERANGE, `${value.length} bytes do not fit into ${room}`);
    }
  }

  #sendOpen(waiting: Waiting, reply: OpenReply): boolean {
    return this.#send(waiting, writeOpen(this.#device.out, OUT_HEADER_BYTES, reply));
  }

  /** Sends what was written up to `end`, and `parts`, unless the request was given up. True when the kernel took it. */
  #send(waiting: Waiting, end: number, parts?: readonly Uint8Array[]): boolean {
    return this.#inFlight.end(waiting.unique) && this.#write(waiting.unique, waiting.reader, end, parts);
  }

  #answer(unique: bigint, reader: number, errno: number): void {
    writeHeader(this.#device.out, unique, errno, OUT_HEADER_BYTES);
    this.#reply(reader, OUT_HEADER_BYTES);
  }

  #write(unique: bigint, reader: number, end: number, parts?: readonly Uint8Array[]): boolean {
    const length = parts === undefined ? end : end + lengthOf(parts);
    writeHeader(this.#device.out, unique, 0, length);
    return this.#reply(reader, end, parts);
  }

  #reply(reader: number, end: number, parts?: readonly Uint8Array[]): boolean {
    const errno = this.#device.reply(reader, end, parts);
    if (errno === 0) return true;
    // ENOENT: the kernel gave the request up. ENODEV: it gave us up.
    if (errno !== ENOENT && errno !== ENODEV) this.#log.error({ errno }, 'the kernel refuses a reply');
    return false;
  }
}

function describe(operation: Operation, error: unknown): Record<string, unknown> {
  const { kind } = operation;
  const node = 'node' in operation ? operation.node : undefined;
  const bug = codeOf(error) === 'INTERNAL' && error instanceof Error ? { stack: error.stack } : {};
  return { operation: kind, node, code: codeOf(error), error: messageOf(error), ...bug };
}
