import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { assert } from '../base/assert.ts';
import { type Bytes, lengthOf, NO_BYTES } from '../base/bytes.ts';
import { MESSAGE_BYTES_MAX } from '../base/constants.ts';
import { GfsError, messageOf } from '../base/errors.ts';
import { KiB } from '../base/units.ts';
import type { Incoming, MessageType } from './network.ts';

/** A message and the payload that goes beside it, ready for a frame. */
export interface Encoded {
  readonly message: Uint8Array;
  readonly payload: Bytes;
  readonly sizeBytes: number;
}

const EMPTY: Uint8Array = Buffer.alloc(0);
/** A large message has made the writer large; it is not kept that way for ever. */
const KEPT_WRITER_BYTES_MAX = 256 * KiB;

/** Field `payload` of the message, if somebody put data there, is moved beside it: it never passes the encoder. */
export function encodeMessage<T>(type: MessageType<T>, message: T, payload: Bytes = NO_BYTES): Encoded {
  let bare = message;
  let beside = payload;
  const inside = (message as { payload?: Uint8Array }).payload;
  if (inside !== undefined && inside.length > 0) {
    assert(payload.length === 0, 'payload is in the message or beside it, not both');
    bare = { ...message, payload: EMPTY };
    beside = [inside];
  }
  const bytes = encodeBare(type, bare);
  const sizeBytes = bytes.length + (beside.length === 0 ? 0 : lengthOf(beside));
  if (sizeBytes > MESSAGE_BYTES_MAX) {
    throw new GfsError(
      'MESSAGE_TOO_LARGE',
      `a message of ${sizeBytes} bytes; ${MESSAGE_BYTES_MAX} are allowed`,
    );
  }
  return { message: bytes, payload: beside, sizeBytes };
}

/** Kept from message to message: a new one would allocate its buffer each time. */
let writer = new BinaryWriter();

function encodeBare<T>(type: MessageType<T>, message: T): Uint8Array {
  try {
    const bytes = type.encode(message, writer).finish();
    if (bytes.length > KEPT_WRITER_BYTES_MAX) writer = new BinaryWriter();
    return bytes;
  } catch (cause) {
    // It stopped halfway: what it has written so far must not lead the next message.
    writer = new BinaryWriter();
    throw new GfsError('INVALID_ARGUMENT', `a message that cannot be encoded: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** The reverse: whether the sender put the payload inside (gRPC) or beside (frames), it is beside in the result. */
export function decodeMessage<T>(
  type: MessageType<T>,
  bytes: Uint8Array,
  beside: Bytes,
  what: string,
): Incoming<T> {
  let message: T;
  try {
    message = type.decode(bytes);
  } catch (cause) {
    throw new GfsError('INVALID_ARGUMENT', `malformed message for ${what}: ${messageOf(cause)}`, { cause });
  }
  return separated(message, beside);
}

export function separated<T>(message: T, beside: Bytes = NO_BYTES): Incoming<T> {
  const inside = (message as { payload?: Uint8Array }).payload;
  if (inside === undefined || inside.length === 0) return { message, payload: beside };
  return { message: { ...message, payload: EMPTY }, payload: beside.length === 0 ? [inside] : beside };
}
