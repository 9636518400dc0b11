import { GfsError } from '../base/errors.ts';
import { REQUEST_ID_BYTES_MAX } from '../base/request-ids.ts';
import { KiB } from '../base/units.ts';
import {
  FLAG_END,
  FLAG_MESSAGE,
  FRAME_BODY_BYTES_MAX,
  FRAME_HEADER_BYTES,
  type Frame,
  KIND_CREDIT,
  KIND_OPEN,
  KIND_PING,
  KIND_PONG,
  NO_DEADLINE,
  OPEN_HEAD_BYTES,
} from './frame-format.ts';

/** Chunks below this are joined with their neighbour, or a peer that sends single bytes costs 100 times their size. */
const TINY_CHUNK_BYTES = 4 * KiB;

const EMPTY: Uint8Array = Buffer.alloc(0);
const NO_PAYLOAD: readonly Uint8Array[] = [];

/**
 * Bytes in, whole frames out. Payload is given out as views of the chunks it arrived in; only a message that straddles
 * two chunks is copied. Holds at most one frame and what came with its end.
 */
export class FrameDecoder {
  readonly #chunks: Buffer[] = [];
  /** Consumed bytes of the first chunk. */
  #start = 0;
  #availableBytes = 0;
  /** Header of the frame under way, once its 16 bytes are there. */
  #header: Header | undefined;

  get bufferedBytes(): number {
    return this.#availableBytes;
  }

  /** Takes the chunk: nobody writes to it afterwards. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#availableBytes += chunk.length;
    const last = this.#chunks.length - 1;
    const before = last > 0 ? this.#chunks[last] : undefined;
    if (before !== undefined && before.length < TINY_CHUNK_BYTES && chunk.length < TINY_CHUNK_BYTES) {
      this.#chunks[last] = Buffer.concat([before, chunk]);
    } else {
      this.#chunks.push(chunk);
    }
  }

  /** The next whole frame. Throws `INVALID_ARGUMENT` or `MESSAGE_TOO_LARGE` for what cannot be one; then it is over. */
  next(): Frame | undefined {
    if (this.#header === undefined) {
      if (this.#availableBytes < FRAME_HEADER_BYTES) return undefined;
      this.#header = parseHeader(this.#take(FRAME_HEADER_BYTES));
    }
    const header = this.#header;
    if (this.#availableBytes < header.length) return undefined;
    this.#header = undefined;
    let method = 0;
    let deadlineLeftMs = NO_DEADLINE;
    let requestId = '';
    let headBytes = 0;
    if (header.kind === KIND_OPEN) {
      headBytes = OPEN_HEAD_BYTES + header.requestIdBytes;
      const head = this.#take(headBytes);
      method = head.readUInt32LE(0);
      deadlineLeftMs = head.readUInt32LE(4);
      requestId = head.toString('utf8', OPEN_HEAD_BYTES);
    }
    const message = header.messageBytes === 0 ? EMPTY : this.#take(header.messageBytes);
    const payloadBytes = header.length - headBytes - header.messageBytes;
    return {
      kind: header.kind,
      end: (header.flags & FLAG_END) !== 0,
      hasMessage: (header.flags & FLAG_MESSAGE) !== 0,
      call: header.call,
      method,
      deadlineLeftMs,
      requestId,
      message,
      payload: payloadBytes === 0 ? NO_PAYLOAD : this.#takeViews(payloadBytes),
      sizeBytes: FRAME_HEADER_BYTES + header.length - headBytes,
    };
  }

  /** `count` available bytes in one piece. */
  #take(count: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length - this.#start > count) {
      const piece = first.subarray(this.#start, this.#start + count);
      this.#start += count;
      this.#availableBytes -= count;
      return piece;
    }
    const views = this.#takeViews(count);
    const only = views[0];
    return views.length === 1 && only !== undefined ? only : Buffer.concat(views, count);
  }

  #takeViews(count: number): Buffer[] {
    const views: Buffer[] = [];
    let left = count;
    let drained = 0;
    for (const chunk of this.#chunks) {
      if (left === 0) break;
      const end = Math.min(chunk.length, this.#start + left);
      views.push(this.#start === 0 && end === chunk.length ? chunk : chunk.subarray(this.#start, end));
      left -= end - this.#start;
      if (end < chunk.length) {
        this.#start = end;
      } else {
        drained += 1;
        this.#start = 0;
      }
    }
    if (drained === this.#chunks.length) this.#chunks.length = 0;
    else if (drained > 0) this.#chunks.splice(0, drained);
    this.#availableBytes -= count;
    return views;
  }
}

interface Header {
  readonly length: number;
  readonly kind: number;
  readonly flags: number;
  readonly requestIdBytes: number;
  readonly call: number;
  readonly messageBytes: number;
}

function parseHeader(bytes: Buffer): Header {
  const length = bytes.readUInt32LE(0);
  const kind = bytes.readUInt8(4);
  const flags = bytes.readUInt8(5);
  const requestIdBytes = bytes.readUInt16LE(6);
  const call = bytes.readUInt32LE(8);
  const messageBytes = bytes.readUInt32LE(12);
  if (kind < KIND_OPEN || kind > KIND_PONG) throw malformed(`unknown frame kind ${kind}`);
  if ((flags & ~(FLAG_END | FLAG_MESSAGE)) !== 0) throw malformed(`unknown flags ${flags}`);
  if (length > FRAME_BODY_BYTES_MAX) {
    throw new GfsError(
      'MESSAGE_TOO_LARGE',
      `a frame of ${length} bytes; ${FRAME_BODY_BYTES_MAX} are allowed`,
    );
  }
  const headBytes = kind === KIND_OPEN ? OPEN_HEAD_BYTES + requestIdBytes : 0;
  if (requestIdBytes > (kind === KIND_OPEN ? REQUEST_ID_BYTES_MAX : 0))
    throw malformed('request id too long');
  if (headBytes + messageBytes > length) throw malformed('parts exceed the frame');
  if (kind === KIND_CREDIT && (messageBytes !== 4 || length !== 4))
    throw malformed('credit without its count');
  if ((call === 0) !== (kind === KIND_PING || kind === KIND_PONG))
    throw malformed(`call ${call} in kind ${kind}`);
  return { length, kind, flags, requestIdBytes, call, messageBytes };
}

function malformed(what: string): GfsError {
  return new GfsError('INVALID_ARGUMENT', `not a frame: ${what}`);
}
