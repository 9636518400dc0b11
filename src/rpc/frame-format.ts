/**
 * The frame format: how calls travel between our own programs. All integers are unsigned and little-endian.
 *
 * A connection starts with 8 bytes from the client, `FRAME_PREFACE`, which no HTTP/1.1 request and no HTTP/2
 * preface begins with. The server answers with the same 8 bytes; until they came, the client sends nothing more, so that
 * whoever dialled something else finds out before the first request. Then frames follow in both directions:
 *
 *     offset size
 *          0    4  length: bytes after this 16-byte header
 *          4    1  kind (below)
 *          5    1  flags: 1 = the sender's last frame of this call, 2 = a message is in it
 *          6    2  length of the request id (OPEN; 0 in all other kinds)
 *          8    4  call: a number that the client chose, not in use by another call of the connection; 0 in PING and PONG
 *         12    4  length of the message
 *         16    4  OPEN only: method, CRC-32 of its full name such as "gfs.v1.Master/Lookup"
 *         20    4  OPEN only: milliseconds left until the deadline; 0xffffffff: none
 *          *       OPEN only: request id, UTF-8
 *          *       the message, protobuf
 *          *       all the rest: the payload, which is field `bytes payload = 15` of the message, outside the protobuf
 *
 * A frame is valid if and only if its kind is known, no unknown flag is set, its parts fit into its length, and its
 * length is at most `FRAME_BODY_BYTES_MAX`. Anything else ends the connection: there is no way to find the next frame.
 *
 * Life of a call: the client's OPEN (with the message and the end flag unless requests are a stream), its further MESSAGEs;
 * the server's MESSAGEs, the last with the end flag, or an ERROR whose message is a `gfs.v1.ErrorDetail`. CANCEL
 * ends it from the client's side. Frames of a call that is not known (any more) are ignored: the two sides may cross.
 *
 * Flow of a stream: each side may have `STREAM_WINDOW_BYTES` of frames (headers included) under way in a call that
 * nobody has consumed, and may exceed that with the last one. The consumer returns room by CREDIT (message: 4 bytes, count of
 * bytes). A call with one request does not count against a window, nor does a single answer.
 */
import { MESSAGE_BYTES_MAX } from '../base/constants.ts';
import { KiB, MiB } from '../base/units.ts';

export const FRAME_PREFACE = Buffer.from('GFSfrm1\n', 'latin1');

export const FRAME_HEADER_BYTES = 16;
/** What an OPEN has between header and request id. */
export const OPEN_HEAD_BYTES = 8;
/** A whole message with its payload, and room for what an OPEN adds. */
export const FRAME_BODY_BYTES_MAX = MESSAGE_BYTES_MAX + 1 * KiB;
/** Per call and direction. Two pieces of a push are under way while a third is consumed. */
export const STREAM_WINDOW_BYTES = 1 * MiB;
export const NO_DEADLINE = 0xffffffff;

export const FLAG_END = 1;
export const FLAG_MESSAGE = 2;

export const KIND_OPEN = 1;
export const KIND_MESSAGE = 2;
export const KIND_ERROR = 3;
export const KIND_CANCEL = 4;
export const KIND_CREDIT = 5;
export const KIND_PING = 6;
export const KIND_PONG = 7;

export interface Frame {
  readonly kind: number;
  readonly end: boolean;
  readonly hasMessage: boolean;
  readonly call: number;
  /** Of an OPEN; 0 and '' otherwise. */
  readonly method: number;
  readonly deadlineLeftMs: number;
  readonly requestId: string;
  /** A view of what was received: whoever keeps it copies it. */
  readonly message: Uint8Array;
  /** Views of what was received, in order. */
  readonly payload: readonly Uint8Array[];
  /** Of header, message and payload: what counts against a window. */
  readonly sizeBytes: number;
}

/** Without the header. */
export function messageBytesOf({ sizeBytes }: Frame): number {
  return sizeBytes - FRAME_HEADER_BYTES;
}
