import { assert } from '../src/base/assert.ts';
import { KiB, MiB } from '../src/base/units.ts';
import { checkFd, checkInteger } from './arguments.ts';
import { binding, type DeviceHandle } from './binding.ts';

const PAGE_BYTES = 4 * KiB;
/** The kernel's largest write (256 pages), and a page for the headers before it. */
const BUFFER_BYTES = 1 * MiB + PAGE_BYTES;
/** As much for a reply that is put together here: a directory listing may be as long as a read. */
const OUT_BYTES = BUFFER_BYTES;
/** Buffers are held while their write is worked on; an empty pool makes the kernel wait. */
const BUFFER_COUNT_DEFAULT = 32;
/** One system call takes so many pieces; longer lists are joined before. */
const PART_COUNT_MAX = 1023;
const NO_MESSAGE = new Uint8Array(0);

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
  readonly #handle: DeviceHandle;
  readonly #buffers: readonly Buffer[];
  readonly #barriers: (() => void)[] = [];
  /** Something was notified since the last barrier, which is passed when this resolves. */
  #isTelling = false;
  #told: Promise<void> = Promise.resolve();
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
    const onRequests = (count: number, ended: boolean, errno: number, barriers: number) => {
      for (let row = 0; row < count; row += 1) {
        options.onRequest(this.#request(table[row * 3], table[row * 3 + 1], table[row * 3 + 2]));
      }
      for (const passed of this.#barriers.splice(0, ended ? undefined : barriers)) passed();
      if (!ended) return;
      this.#ended = true;
      options.onEnd(errno);
    };
    const { handle, memory } = binding().openDevice(
      fd,
      readerCount,
      bufferCount,
      BUFFER_BYTES,
      OUT_BYTES,
      table,
      onRequests,
    );
    this.#handle = handle;
    this.#buffers = Array.from({ length: bufferCount }, (_, index) =>
      Buffer.from(memory, index * BUFFER_BYTES, BUFFER_BYTES),
    );
    this.out = Buffer.from(memory, bufferCount * BUFFER_BYTES, OUT_BYTES);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Gives a request's buffer back to the readers. */
  release(buffer: number): void {
    binding().releaseBuffer(this.#handle, checkInteger(buffer, 'a buffer', { min: 0, max: 0xffffffff }));
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
   * Sends a notification, later and from a thread of its own: the kernel may keep the sender waiting until we have answered
   * other requests. False when too many wait already.
   */
  notify(message: Uint8Array): boolean {
    this.#isTelling = true;
    return binding().notify(this.#handle, message);
  }

  /** Resolves when the kernel has been told all that `notify` took so far, or is gone. False: too much waits to be told. */
  async notified(): Promise<boolean> {
    if (this.#isTelling && !this.#ended) {
      if (!binding().notify(this.#handle, NO_MESSAGE)) return false;
      this.#isTelling = false;
      this.#told = new Promise((resolve) => this.#barriers.push(resolve));
    }
    await this.#told;
    return true;
  }

  #request(buffer = 0, length = 0, reader = 0): DeviceRequest {
    const whole = this.#buffers[buffer];
    assert(whole !== undefined, 'the addon names a buffer of the pool');
    return { bytes: whole.subarray(0, length), buffer, reader };
  }
}
