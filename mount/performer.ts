import type { FuseDevice } from '../native/index.ts';
import { AssertionError, unreachable } from '../src/base/assert.ts';
import { lengthOf, slice } from '../src/base/bytes.ts';
import type { Env } from '../src/base/env.ts';
import { codeOf, messageOf } from '../src/base/errors.ts';
import type { LogFields, Logger } from '../src/base/log.ts';
import { wholeMicros } from '../src/base/units.ts';
import type { Answers } from './answers.ts';
import { EINVAL, EIO, ERANGE, ErrnoError, errnoOf } from './errno.ts';
import type { Asked, Caller, FileSystem } from './file-system.ts';
import type { FuseFigures } from './fuse-figures.ts';
import type { IdleFlushes } from './idle-flushes.ts';
import type { Waiting } from './in-flight.ts';
import type { LookupCount } from './lookup-count.ts';
import { writeDirectory } from './wire/directory.ts';
import { FOPEN } from './wire/numbers.ts';
import {
  type Entry,
  type OpenReply,
  OUT_HEADER_BYTES,
  type TimedAttributes,
  writeAttributes,
  writeEntry,
  writeExtendedAttributes,
  writeLock,
  writeOffset,
  writeOpen,
  writeStatistics,
  writeWritten,
  writeXattrSize,
} from './wire/replies.ts';
import type { Operation, ReadDirectory, Release, Write } from './wire/requests.ts';

/** Half of the device's buffers at most wait for the cluster in the hands of writers; the rest keeps the mount answering. */
export const BUFFER_COUNT = 64;
const BUFFER_COUNT_KEPT_MAX = BUFFER_COUNT / 2;
const NODE_OF_NOBODY = 0;
const NEVER = new AbortController().signal;

interface PerformerParts {
  readonly env: Env;
  readonly device: FuseDevice;
  readonly fileSystem: FileSystem;
  readonly answers: Answers;
  readonly lookups: LookupCount;
  readonly idleFlushes: IdleFlushes;
  /** The kernel tells of each close also where nothing was written: somebody's locks may go with it. */
  readonly flushesReaders: boolean;
  readonly figures: FuseFigures;
  readonly log: Logger;
}

/** Has the file system do an operation, and answers it: with what came of it, or with what went wrong. */
export class Performer {
  readonly #env: Env;
  readonly #device: FuseDevice;
  readonly #fileSystem: FileSystem;
  readonly #answers: Answers;
  readonly #lookups: LookupCount;
  readonly #idleFlushes: IdleFlushes;
  readonly #flushesReaders: boolean;
  readonly #figures: FuseFigures;
  readonly #log: Logger;
  #keptCount = 0;

  constructor(parts: PerformerParts) {
    const { env, device, fileSystem, answers, lookups, idleFlushes, flushesReaders, figures, log } = parts;
    this.#env = env;
    this.#device = device;
    this.#fileSystem = fileSystem;
    this.#answers = answers;
    this.#lookups = lookups;
    this.#idleFlushes = idleFlushes;
    this.#flushesReaders = flushesReaders;
    this.#figures = figures;
    this.#log = log;
  }

  async perform(waiting: Waiting, operation: Operation, caller: Caller, buffer: number): Promise<void> {
    const begunMs = this.#figures.begin();
    const asked = new NamedCaller(this.#env, caller);
    let errno = 0;
    try {
      if (operation.kind === 'write') await this.#performWrite(waiting, operation, buffer, asked);
      else await this.#perform(waiting, operation, asked);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      errno = errnoOf(error);
      this.#figures.failed(operation.kind, errno);
      if (errno === EIO)
        this.#log.error(describe(asked, operation, error), 'what the kernel asked for failed');
      this.#answers.refuse(waiting, errno);
    } finally {
      const durationMs = wholeMicros(this.#figures.done(operation.kind, begunMs));
      if (this.#log.debugs) {
        const { requestId } = asked;
        const { kind } = operation;
        const what = { requestId, operation: kind, node: nodeOf(operation), errno, durationMs };
        this.#log.debug(what, 'what the kernel asked for is answered');
      }
    }
  }

  async #perform(waiting: Waiting, operation: Exclude<Operation, Write>, caller: Caller): Promise<void> {
    const fileSystem = this.#fileSystem;
    const { out } = this.#device;
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
        this.#answers.send(waiting, OUT_HEADER_BYTES, [target]);
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
        const statistics = await fileSystem.statFilesystem(caller);
        this.#answers.send(waiting, writeStatistics(out, OUT_HEADER_BYTES, statistics));
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
        if (this.#sendOpen(waiting, this.#withFlushes(operation.node, opened))) return;
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
        const bytes = await fileSystem.read(operation, caller);
        const length = lengthOf(bytes);
        const parts = length > operation.size ? slice(bytes, 0, operation.size) : bytes;
        this.#figures.readBytes += Math.min(length, operation.size);
        this.#answers.send(waiting, OUT_HEADER_BYTES, parts);
        return;
      }
      case 'seek':
        this.#answers.send(
          waiting,
          writeOffset(out, OUT_HEADER_BYTES, await fileSystem.seek(operation, caller)),
        );
        return;
      case 'copyRange': {
        // The answer to the newer one of the two requests is a u64 in the same place.
        const count = await fileSystem.copyRange(operation, caller);
        this.#answers.send(waiting, writeWritten(out, OUT_HEADER_BYTES, count));
        return;
      }
      case 'readDirectory':
        await this.#readDirectory(waiting, operation, caller);
        return;
      case 'getLock': {
        const inTheWay = await fileSystem.getLock(operation, caller);
        this.#answers.send(waiting, writeLock(out, OUT_HEADER_BYTES, inTheWay));
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
        await fileSystem.flush(operation, caller);
        break;
      case 'setLock':
        await fileSystem.setLock(operation, caller, waiting.cancellation?.signal ?? NEVER);
        break;
      case 'sync':
        await fileSystem.sync(operation, caller);
        break;
      case 'allocate':
        await fileSystem.allocate(operation, caller);
        break;
      case 'release':
        await this.#release(operation, caller);
        break;
      case 'syncDirectory':
        await fileSystem.syncDirectory(operation, caller);
        break;
      case 'releaseDirectory':
        await fileSystem.releaseDirectory(operation);
        break;
      default:
        unreachable(operation);
    }
    this.#answers.send(waiting, OUT_HEADER_BYTES);
  }

  #release(operation: Release, asked?: Asked): Promise<void> {
    this.#idleFlushes.released(operation.node, operation.openFile);
    return this.#fileSystem.release(operation, asked);
  }

  async #performWrite(waiting: Waiting, operation: Write, buffer: number, asked: Asked): Promise<void> {
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
      const size = await this.#fileSystem.write(operation, { keep }, asked);
      this.#figures.writtenBytes += size;
      this.#answers.send(waiting, writeWritten(this.#device.out, OUT_HEADER_BYTES, size));
    } finally {
      if (!kept) this.#device.release(buffer);
    }
  }

  async #readDirectory(waiting: Waiting, operation: ReadDirectory, asked: Asked): Promise<void> {
    const items = await this.#fileSystem.readDirectory(operation, asked);
    const { out } = this.#device;
    const limit = Math.min(OUT_HEADER_BYTES + operation.size, out.length);
    const { end, taken } = writeDirectory(out, OUT_HEADER_BYTES, limit, items, operation.withAttributes);
    if (taken === 0 && items.length > 0) {
      // An empty answer would mean the end of the directory.
      this.#answers.refuse(waiting, EINVAL);
      return;
    }
    if (!this.#answers.send(waiting, end) || !operation.withAttributes) return;
    for (let index = 0; index < taken; index += 1) {
      const node = items[index]?.entry?.attributes.node ?? NODE_OF_NOBODY;
      if (node !== NODE_OF_NOBODY) this.#lookups.add(node);
    }
  }

  #sendEntry(waiting: Waiting, entry: Entry): void {
    const end = writeEntry(this.#device.out, OUT_HEADER_BYTES, entry);
    // Only a reply that the kernel took counts: otherwise no forget will ever come.
    if (this.#answers.send(waiting, end)) this.#lookups.add(entry.attributes.node);
  }

  async #sendCreated(waiting: Waiting, created: Entry & OpenReply): Promise<void> {
    const { out } = this.#device;
    const { openFile, attributes } = created;
    const opened = this.#withFlushes(attributes.node, created);
    const end = writeOpen(out, writeEntry(out, OUT_HEADER_BYTES, created), opened);
    if (this.#answers.send(waiting, end)) this.#lookups.add(attributes.node);
    else await this.#release({ kind: 'release', node: attributes.node, openFile });
  }

  /** Before the kernel has its number. */
  #withFlushes(node: number, opened: OpenReply): OpenReply {
    if (!opened.isReadOnly) return opened;
    if (!this.#flushesReaders) return { ...opened, flags: opened.flags | FOPEN.NOFLUSH };
    this.#idleFlushes.opened(node, opened.openFile);
    return opened;
  }

  #sendAttributes(waiting: Waiting, reply: TimedAttributes, extended = false): void {
    const write = extended ? writeExtendedAttributes : writeAttributes;
    this.#answers.send(waiting, write(this.#device.out, OUT_HEADER_BYTES, reply));
  }

  /** A value, or how large it is: to who has no room at all, since that is what he asks. */
  #sendSized(waiting: Waiting, room: number, value: Uint8Array): void {
    if (room === 0) {
      this.#answers.send(waiting, writeXattrSize(this.#device.out, OUT_HEADER_BYTES, value.length));
    } else if (value.length <= room) {
      this.#answers.send(waiting, OUT_HEADER_BYTES, value.length === 0 ? undefined : [value]);
    } else {
      throw new ErrnoError(ERANGE, `${value.length} bytes do not fit into ${room}`);
    }
  }

  #sendOpen(waiting: Waiting, reply: OpenReply): boolean {
    return this.#answers.send(waiting, writeOpen(this.#device.out, OUT_HEADER_BYTES, reply));
  }
}

function describe({ requestId }: Asked, operation: Operation, error: unknown): LogFields {
  const { kind } = operation;
  const node = nodeOf(operation);
  const bug = codeOf(error) === 'INTERNAL' && error instanceof Error ? { stack: error.stack } : {};
  return { requestId, operation: kind, node, code: codeOf(error), error: messageOf(error), ...bug };
}

/** Of what is asked for, where that is a node; of names, the directory's. */
function nodeOf(operation: Operation): number | undefined {
  if ('node' in operation) return operation.node;
  return 'parent' in operation ? operation.parent : undefined;
}

/** Most operations are answered from what is here, and need no name. */
class NamedCaller implements Caller {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  readonly #env: Env;
  #requestId: string | undefined;

  constructor(env: Env, { uid, gid, pid }: Caller) {
    this.#env = env;
    this.uid = uid;
    this.gid = gid;
    this.pid = pid;
  }

  get requestId(): string {
    this.#requestId ??= this.#env.newRequestId();
    return this.#requestId;
  }
}
