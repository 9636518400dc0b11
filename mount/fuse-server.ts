import { type DeviceRequest, FuseDevice, type NotificationLane } from '../native/index.ts';
import { AssertionError } from '../src/base/assert.ts';
import type { Env } from '../src/base/env.ts';
import { codeOf, GfsError, messageOf } from '../src/base/errors.ts';
import type { Logger } from '../src/base/log.ts';
import type { Figure } from '../src/base/metrics.ts';
import { TaskGroup } from '../src/base/task-group.ts';
import { Answers } from './answers.ts';
import { isBeingKilled } from './being-killed.ts';
import { EINTR, ENODEV, ENOSYS, EPROTO, errnoOf } from './errno.ts';
import type { FileSystem } from './file-system.ts';
import { FuseFigures } from './fuse-figures.ts';
import { IdleFlushes } from './idle-flushes.ts';
import { InFlight, type Waiting } from './in-flight.ts';
import { LookupCount } from './lookup-count.ts';
import { type Agreement, negotiate } from './negotiate.ts';
import { BUFFER_COUNT, Performer } from './performer.ts';
import { decodeHeader, decodeRequest } from './wire/decode.ts';
import type { Notification } from './wire/notifications.ts';
import { KERNEL_MAJOR } from './wire/numbers.ts';
import {
  ATTRIBUTES_BYTES,
  OUT_HEADER_BYTES,
  type TimedAttributes,
  writeAttributes,
  writeInitialise,
} from './wire/replies.ts';
import type { Flush, Initialise, Operation, Request, RequestHeader } from './wire/requests.ts';

/** Who gets a signal while he waits is looked at so often: the kernel does not tell of the next one. */
const KILLED_LOOK_MS = 100;

export interface FuseServerOptions {
  readonly env: Env;
  /** An open /dev/fuse that is mounted. The server closes it at its end. */
  readonly fd: number;
  readonly readerCount: number;
  readonly agreement: Agreement;
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
  readonly #agreement: Agreement;
  readonly #log: Logger;
  readonly #inFlight = new InFlight();
  readonly #lookups = new LookupCount();
  readonly #idleFlushes: IdleFlushes;
  readonly #figures: FuseFigures;
  readonly #answers: Answers;
  readonly #performer: Performer;
  readonly #tasks: TaskGroup;
  readonly #requestCounts = new Map<string, number>();
  readonly #readyBytes = Buffer.alloc(ATTRIBUTES_BYTES);
  #looksForKilled = false;
  #onInitialised: (error?: Error) => void = () => undefined;

  constructor({ env, fd, readerCount, agreement, fileSystem, log, onFatal }: FuseServerOptions) {
    this.#env = env;
    this.#fileSystem = fileSystem;
    this.#agreement = agreement;
    this.#log = log;
    this.#figures = new FuseFigures(env);
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
    this.#answers = new Answers({ device: this.#device, inFlight: this.#inFlight, log });
    this.#performer = new Performer({
      ...{ env, device: this.#device, fileSystem, answers: this.#answers, log },
      ...{ lookups: this.#lookups, idleFlushes: this.#idleFlushes, figures: this.#figures },
      flushesReaders: agreement.sharedLocks,
    });
  }

  /** Resolves when all that was asked so far is answered. */
  async drain(): Promise<void> {
    await this.#tasks.drain();
  }

  /** What the kernel has asked for so far, by operation; what it answers by itself is not among it. */
  get requestCounts(): Readonly<Record<string, number>> {
    const counts = new Map(this.#requestCounts);
    const { settled, answerCounts } = this.#device;
    for (const [kind, count] of [
      ['flush', settled.answeredCount],
      ['getAttributes', answerCounts.attributes],
      ['getXattr', answerCounts.xattrs],
    ] as const) {
      if (count > 0) counts.set(kind, (counts.get(kind) ?? 0) + count);
    }
    return Object.fromEntries(counts);
  }

  figures(): Figure[] {
    return [
      ...this.#figures.figures({
        counts: () => this.requestCounts,
        inFlightCount: () => this.#inFlight.size,
      }),
      {
        type: 'gauge',
        name: 'gfs_fuse_known_nodes',
        help: 'Files and directories that the kernel knows by number.',
        read: () => this.nodeCount,
      },
    ];
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

  /** See `FuseDevice`. */
  ready(reply: TimedAttributes, forMs: number): void {
    writeAttributes(this.#readyBytes, 0, reply);
    this.#device.ready(reply.attributes.node, this.#readyBytes, forMs);
  }

  unready(node?: number): void {
    this.#device.unready(node);
  }

  bare(node: number, forMs: number): void {
    this.#device.bare(node, forMs);
  }

  unbare(node?: number): void {
    this.#device.unbare(node);
  }

  #onRequest({ bytes, buffer, reader }: DeviceRequest): void {
    const header = this.#decode(() => decodeHeader(bytes));
    const request =
      header &&
      this.#decode(
        () => decodeRequest(header, bytes),
        (errno) => this.#answers.answer(header.unique, reader, errno),
      );
    // What the request needs was copied, but for a write's data.
    if (request?.kind !== 'write') this.#device.release(buffer);
    if (header === undefined || request === undefined) return;
    const { unique } = header;
    this.#requestCounts.set(request.kind, (this.#requestCounts.get(request.kind) ?? 0) + 1);
    if (!this.#agreement.xattrs && isOfXattrs(request)) {
      this.#answers.answer(unique, reader, ENOSYS);
      return;
    }
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
        this.#answers.answer(unique, reader, 0);
        break;
      case 'flush':
        if (this.#isSettled(request)) {
          this.#answers.answer(unique, reader, 0);
          break;
        }
        this.#begin({ unique, kind: 'flush', reader, pid: header.pid }, request, header, buffer);
        break;
      case 'getXattr': {
        const errno = this.#fileSystem.absentXattr(request);
        if (errno !== undefined) {
          this.#answers.answer(unique, reader, errno);
          break;
        }
        this.#begin({ unique, kind: 'getXattr', reader, pid: header.pid }, request, header, buffer);
        break;
      }
      case 'unsupported':
        this.#answers.answer(unique, reader, ENOSYS);
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
      this.#answers.answer(waiting.unique, waiting.reader, EINTR);
      return;
    }
    this.#tasks.run(() => this.#performer.perform(waiting, operation, header, buffer));
    this.#lookForKilled();
  }

  /** Gives up what only callers wait for that are being killed. */
  #lookForKilled(): void {
    if (this.#looksForKilled || !this.#inFlight.isAnyInterrupted) return;
    this.#looksForKilled = true;
    this.#tasks.run(async () => {
      while (this.#inFlight.isAnyInterrupted) {
        for (const waiting of [...this.#inFlight.interrupted]) {
          const isKilled = await isBeingKilled(waiting.pid);
          if (isKilled) this.#answers.refuse(waiting, EINTR);
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
    const reply = negotiate(request, this.#agreement);
    if (reply === undefined) {
      const version = `${request.major}.${request.minor}`;
      this.#onInitialised(new GfsError('UNIMPLEMENTED', `FUSE ${version} of this kernel is too old`));
      this.#answers.answer(unique, reader, EPROTO);
      return;
    }
    const { out } = this.#device;
    this.#answers.write(unique, reader, writeInitialise(out, OUT_HEADER_BYTES, reply));
    if (request.major === KERNEL_MAJOR) this.#onInitialised();
  }
}

function isOfXattrs({ kind }: Request): boolean {
  return kind === 'getXattr' || kind === 'setXattr' || kind === 'listXattrs' || kind === 'removeXattr';
}
