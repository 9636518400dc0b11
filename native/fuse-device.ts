import { assert, must } from '../src/base/assert.ts';
import { KiB, MiB } from '../src/base/units.ts';
import { checkFd, checkInteger } from './arguments.ts';
import { binding, type DeviceHandle } from './binding.ts';
import { SettledFiles } from './settled-files.ts';

const PAGE_BYTES = 4 * KiB;
/** The kernel's largest write (256 pages), and a page for the headers before it. */
const BUFFER_BYTES = 1 * MiB + PAGE_BYTES;
/** As much for a reply that is put together here: a directory listing may be as long as a read. */
const OUT_BYTES = BUFFER_BYTES;
/** Of two open files whose numbers are so far apart, only the later one's flushes are answered by the readers. */
const SETTLED_COUNT = 16 * KiB;
/** Buffers are held while their write is worked on; an empty pool makes the kernel wait. */
const BUFFER_COUNT_DEFAULT = 32;
/** One system call takes so many pieces; longer lists are joined before. */
const PART_COUNT_MAX = 1023;

const NODES = { min: 1, max: Number.MAX_SAFE_INTEGER };

/** Notifications of one lane are written one after another; the kernel may keep those of names and of pages waiting. */
export type NotificationLane = 'nodes' | 'names' | 'pages';
/** As the addon numbers them. */
const LANES: readonly NotificationLane[] = ['nodes', 'names', 'pages'];

export interface FuseDeviceOptions {
  /** An open /dev/fuse that is mounted. The device closes it at its end. */
  readonly fd: number;
  /** Threads that wait for requests. */
  readonly readerCount?: number;
  readonly bufferCount?: number;
  readonly onRequest: (request: DeviceRequest) => void;
  /** Unmounted (`errno` is ENODEV) or broken; nothing comes any more and replies fail with ENODEV. Called once. */
  readonly onEnd: (errno: number) => void;
}

/** A request as the kernel wrote it. `bytes` is valid until `release(buffer)`, which has to come for each request. */
export interface DeviceRequest {
  readonly bytes: Buffer;
  readonly buffer: number;
  /** Where the reply has to go. */
  readonly reader: number;
}

/**
 * The kernel's end of a mount. Threads of the addon read requests into a pool of buffers and deliver them here, on the main
 * thread, as many as there are with each wake-up. It keeps the process alive until the file system is unmounted.
 */
export class FuseDevice {
  /** Where the head of a reply is written before `reply`: sent from here without a copy. */
  readonly out: Buffer;
  /** Open files whose flushes the readers answer by themselves. */
  readonly settled: SettledFiles;
  readonly #handle: DeviceHandle;
  readonly #buffers: readonly Buffer[];
  readonly #lanes = LANES.map((): Lane => ({ given: 0, written: 0, waiting: [] }));
  #ended = false;

  constructor(options: FuseDeviceOptions) {
    const fd = checkFd(options.fd);
    const readerCount = checkInteger(options.readerCount ?? 1, 'a number of readers', { min: 1, max: 64 });
    const bufferCount = checkInteger(
      options.bufferCount ?? BUFFER_COUNT_DEFAULT,
      'a number of buffers for these readers',
      { min: readerCount, max: 4096 },
    );
    const table = new Uint32Array(bufferCount * 3);
    const onWake = (count: number, ended: boolean, errno: number, ...written: number[]) => {
      for (let row = 0; row < count; row += 1) {
        options.onRequest(this.#request(table[row * 3], table[row * 3 + 1], table[row * 3 + 2]));
      }
      this.#ended = ended;
      for (const [lane, until] of written.entries()) this.#tellWritten(lane, until);
      if (ended) options.onEnd(errno);
    };
    const { handle, memory } = binding().openDevice(
      fd,
      readerCount,
      bufferCount,
      BUFFER_BYTES,
      OUT_BYTES,
      SETTLED_COUNT,
      table,
      onWake,
    );
    this.#handle = handle;
    this.#buffers = Array.from({ length: bufferCount }, (_, index) =>
      Buffer.from(memory, index * BUFFER_BYTES, BUFFER_BYTES),
    );
    this.out = Buffer.from(memory, bufferCount * BUFFER_BYTES, OUT_BYTES);
    this.settled = new SettledFiles(memory, bufferCount * BUFFER_BYTES + OUT_BYTES, SETTLED_COUNT);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Gives a request's buffer back to the readers. */
  release(buffer: number): void {
    binding().releaseBuffer(this.#handle, checkInteger(buffer, 'a buffer', { min: 0, max: 0xffffffff }));
  }

  /**
   * From now on what the kernel asks about a node's attributes is answered by the readers, with these bytes (struct
   * fuse_attr_out), without being delivered: for so long at most. Of two nodes the earlier one may give way.
   */
  ready(node: number, attributes: Uint8Array, forMs: number): void {
    binding().ready(this.#handle, checkInteger(node, 'a node', NODES), attributes, Math.floor(forMs));
  }

  /** What is asked about the node, or about any, is delivered again; nothing else is being answered any more. */
  unready(node?: number): void {
    binding().unready(this.#handle, node === undefined ? 0 : checkInteger(node, 'a node', NODES));
  }

  /**
   * From now on the readers say, without delivering the question, that a node has no ACLs and no capabilities: for so long at
   * most. Of two nodes the earlier one may give way.
   */
  bare(node: number, forMs: number): void {
    binding().bare(this.#handle, checkInteger(node, 'a node', NODES), Math.floor(forMs));
  }

  /** As `unready`. */
  unbare(node?: number): void {
    binding().unbare(this.#handle, node === undefined ? 0 : checkInteger(node, 'a node', NODES));
  }

  /** How many questions about attributes, and about extended ones, the readers answered. */
  get answerCounts(): { readonly attributes: number; readonly xattrs: number } {
    return binding().answerCounts(this.#handle);
  }

  /**
   * Sends the first `outLength` bytes of `out` and then `parts` as one reply. Returns 0 or an errno: ENOENT when the kernel
   * waits for it no more, ENODEV when the mount is gone. Never waits; the parts are free when it returns.
   */
  reply(reader: number, outLength: number, parts?: readonly Uint8Array[]): number {
    assert(outLength <= OUT_BYTES, 'the head of a reply fits the room for it');
    const sent =
      parts === undefined || parts.length <= PART_COUNT_MAX ? parts : [Buffer.concat(parts as Uint8Array[])];
    return binding().reply(this.#handle, reader, outLength, sent);
  }

  /**
   * Sends a notification, later and from its lane's thread: the kernel may keep the sender waiting until we have answered
   * other requests. False when too many wait already.
   */
  notify(message: Uint8Array, lane: NotificationLane): boolean {
    const index = LANES.indexOf(lane);
    const taken = binding().notify(this.#handle, index, message);
    if (taken) this.#lane(index).given += 1;
    return taken;
  }

  /** Resolves when the kernel has all that was given so far in these lanes, or wants none any more; undefined: it has. */
  notified(lanes = LANES): Promise<void> | undefined {
    const waits = lanes.flatMap((lane) => {
      const { given, written, waiting } = this.#lane(LANES.indexOf(lane));
      if (this.#ended || given <= written) return [];
      return [new Promise<void>((resolve) => waiting.push({ until: given, resolve }))];
    });
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  #lane(index: number): Lane {
    return must(this.#lanes[index], 'the addon has as many lanes');
  }

  #tellWritten(index: number, written: number): void {
    const lane = this.#lane(index);
    lane.written = written;
    // Who waits longest waits for the least.
    for (;;) {
      const [first] = lane.waiting;
      if (first === undefined || (!this.#ended && first.until > written)) return;
      lane.waiting.shift();
      first.resolve();
    }
  }

  #request(buffer = 0, length = 0, reader = 0): DeviceRequest {
    const whole = this.#buffers[buffer];
    assert(whole !== undefined, 'the addon names a buffer of the pool');
    return { bytes: whole.subarray(0, length), buffer, reader };
  }
}

interface Lane {
  /** How many notifications were given, and written. */
  given: number;
  written: number;
  readonly waiting: { readonly until: number; readonly resolve: () => void }[];
}
