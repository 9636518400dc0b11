import type { Socket } from 'node:net';
import type { Bytes } from '../base/bytes.ts';
import { KiB, MiB } from '../base/units.ts';
import {
  FLAG_MESSAGE,
  FRAME_HEADER_BYTES,
  KIND_CREDIT,
  KIND_OPEN,
  NO_DEADLINE,
  OPEN_HEAD_BYTES,
} from './frame-format.ts';

/** Buffers up to this are copied next to their header: cheaper than one more entry of a writev. */
const COPIED_BYTES_MAX = 16 * KiB;
const SLAB_BYTES = 128 * KiB;
/** Above this much unsent, streams wait and further requests stay in line. */
const CONGESTED_BYTES = 1 * MiB;

const EMPTY: Uint8Array = new Uint8Array(0);

/**
 * Puts frames on a socket: all small ones of one turn of the event loop in one write, large payload by
 * reference. Never waits; `congested` tells when callers should.
 */
export class FrameWriter {
  readonly #socket: Socket;
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** Filled and not yet given to the socket: [from, to). Given-out parts are never written to again. */
  #from = 0;
  #to = 0;
  #scheduled = false;
  #waiting: (() => void)[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => this.#wake());
    socket.on('close', () => this.#wake());
  }

  /** Bytes that the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength + this.#to - this.#from;
  }

  get congested(): boolean {
    return this.queuedBytes > CONGESTED_BYTES && !this.#socket.destroyed;
  }

  /** Calls back when the queue has drained or the socket is gone; to be asked for only while `congested`. */
  onDrain(task: () => void): void {
    this.#waiting.push(task);
  }

  /** An OPEN. True: payload was copied, its buffers are free; otherwise they are at `onSent`. */
  open(
    head: {
      method: number;
      deadlineLeftMs: number | undefined;
      requestId: string;
      call: number;
      flags: number;
    },
    message: Uint8Array,
    payload: Bytes,
    onSent?: () => void,
  ): boolean {
    const idBytes = Buffer.byteLength(head.requestId, 'utf8');
    const lead = FRAME_HEADER_BYTES + OPEN_HEAD_BYTES + idBytes;
    const at = this.#reserve(lead);
    const slab = this.#slab;
    const extra = OPEN_HEAD_BYTES + idBytes;
    this.#header(at, KIND_OPEN, head.flags, head.call, idBytes, extra, message.length, payload);
    slab.writeUInt32LE(head.method, at + 16);
    slab.writeUInt32LE(deadlineOnWire(head.deadlineLeftMs), at + 20);
    slab.write(head.requestId, at + FRAME_HEADER_BYTES + OPEN_HEAD_BYTES, 'utf8');
    return this.#body(message, payload, onSent);
  }

  /** Any other kind. True: payload was copied, its buffers are free; otherwise they are at `onSent`. */
  frame(
    head: { kind: number; flags: number; call: number },
    message: Uint8Array = EMPTY,
    payload: Bytes = [],
    onSent?: () => void,
  ): boolean {
    const at = this.#reserve(FRAME_HEADER_BYTES);
    this.#header(at, head.kind, head.flags, head.call, 0, 0, message.length, payload);
    return this.#body(message, payload, onSent);
  }

  credit(call: number, bytes: number): void {
    const count = Buffer.allocUnsafe(4);
    count.writeUInt32LE(bytes, 0);
    this.frame({ kind: KIND_CREDIT, flags: FLAG_MESSAGE, call }, count);
  }

  /** Everything written so far, then end of file. */
  end(): void {
    this.#flush();
    this.#socket.end();
  }

  #header(
    at: number,
    kind: number,
    flags: number,
    call: number,
    requestIdBytes: number,
    extraBytes: number,
    messageBytes: number,
    payload: Bytes,
  ): void {
    let length = extraBytes + messageBytes;
    for (let index = 0; index < payload.length; index += 1) length += payload[index]?.length ?? 0;
    const slab = this.#slab;
    slab.writeUInt32LE(length, at);
    slab[at + 4] = kind;
    slab[at + 5] = flags;
    slab.writeUInt16LE(requestIdBytes, at + 6);
    slab.writeUInt32LE(call, at + 8);
    slab.writeUInt32LE(messageBytes, at + 12);
  }

  #body(message: Uint8Array, payload: Bytes, onSent: (() => void) | undefined): boolean {
    // A message is never written to after it was encoded: it may go by reference without telling anyone.
    this.#put(message);
    let lastByReference = -1;
    for (let index = 0; index < payload.length; index += 1) {
      if ((payload[index]?.length ?? 0) > COPIED_BYTES_MAX) lastByReference = index;
    }
    for (let index = 0; index < payload.length; index += 1) {
      this.#put(payload[index] ?? EMPTY, index === lastByReference ? onSent : undefined);
    }
    return lastByReference === -1;
  }

  #put(bytes: Uint8Array, onSent?: () => void): void {
    if (bytes.length === 0) return;
    if (bytes.length <= COPIED_BYTES_MAX) {
      const at = this.#reserve(bytes.length);
      this.#slab.set(bytes, at);
      return;
    }
    this.#flushSlab();
    if (this.#socket.writable) this.#socket.write(bytes, onSent);
    else if (onSent !== undefined) process.nextTick(onSent);
  }

  /** Room in the slab; whatever is written in this turn leaves at its end. */
  #reserve(size: number): number {
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#socket.cork();
      process.nextTick(() => this.#flush());
    }
    if (this.#to + size > this.#slab.length) {
      this.#flushSlab();
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#from = 0;
      this.#to = 0;
    }
    const at = this.#to;
    this.#to += size;
    return at;
  }

  #flush(): void {
    this.#flushSlab();
    if (!this.#scheduled) return;
    this.#scheduled = false;
    this.#socket.uncork();
  }

  #flushSlab(): void {
    if (this.#from === this.#to) return;
    const filled = this.#slab.subarray(this.#from, this.#to);
    this.#from = this.#to;
    if (this.#socket.writable) this.#socket.write(filled);
  }

  #wake(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const task of waiting) task();
  }
}

function deadlineOnWire(leftMs: number | undefined): number {
  if (leftMs === undefined) return NO_DEADLINE;
  return Math.min(Math.max(0, Math.ceil(leftMs)), NO_DEADLINE - 1);
}
