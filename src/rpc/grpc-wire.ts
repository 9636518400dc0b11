/** What gRPC needs of us: descriptions of the methods, messages as single buffers, errors as status. */
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { MethodDefinition, StatusObject } from '@grpc/grpc-js';
import { assert } from '../base/assert.ts';
import { type Bytes, lengthOf, NO_BYTES } from '../base/bytes.ts';
import { MESSAGE_BYTES_MAX } from '../base/constants.ts';
import { GfsError } from '../base/errors.ts';
import { KiB, MiB } from '../base/units.ts';
import type { Route } from './contract.ts';
import { detailOf, errorOfDetail } from './failure.ts';
import { grpcJs } from './grpc-js.ts';
import type { Limits } from './limits.ts';
import { ErrorDetail } from './messages.ts';
import type { MessageType } from './network.ts';
import { codeOfStatus, statusOf } from './status.ts';
import { encodeMessage } from './wire-message.ts';

export const REQUEST_ID_KEY = 'x-request-id';
/** gRPC's place for typed errors: a google.rpc.Status. */
const DETAILS_KEY = 'grpc-status-details-bin';
const DETAIL_TYPE_URL = 'type.googleapis.com/gfs.v1.ErrorDetail';

/** Both sides. */
export function channelOptions(limits: Limits) {
  return {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX + 1 * KiB,
    'grpc.max_send_message_length': MESSAGE_BYTES_MAX + 1 * KiB,
    'grpc.max_concurrent_streams': limits.callsInFlightMax + limits.streamsMax,
    'grpc-node.flow_control_window': 1 * MiB,
  };
}

const asItIs = (bytes: Buffer): Buffer => bytes;

/** Messages pass grpc-js as bytes: a malformed one is then refused by us, with our error. */
export function definitionOf({ path, method }: Route): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: method.requestStream,
    responseStream: method.responseStream,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  };
}

/** With the payload in its field, where other programs look for it. */
export function encodeWhole<T>(type: MessageType<T>, message: T, payload: Bytes = NO_BYTES): Buffer {
  const encoded = encodeMessage(type, message, payload);
  if (encoded.payload.length === 0) return asBuffer(encoded.message);
  // Field 15 comes last anyway: appended, the data is copied once instead of three times.
  const length = lengthOf(encoded.payload);
  if (length === 0) return asBuffer(encoded.message);
  const head = new BinaryWriter().tag(15, WireType.LengthDelimited).uint32(length).finish();
  return Buffer.concat([encoded.message, head, ...encoded.payload]);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function statusOfError(error: GfsError): StatusObject {
  const code = statusOf(error.code);
  const detail = ErrorDetail.encode(detailOf(error)).finish();
  const any = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(DETAIL_TYPE_URL)
    .tag(2, WireType.LengthDelimited)
    .bytes(detail)
    .finish();
  const status = new BinaryWriter()
    .tag(1, WireType.Varint)
    .int32(code)
    .tag(2, WireType.LengthDelimited)
    .string(error.message)
    .tag(3, WireType.LengthDelimited)
    .bytes(any)
    .finish();
  const metadata = new (grpcJs().Metadata)();
  metadata.set(DETAILS_KEY, asBuffer(status));
  return { code, details: error.message, metadata };
}

/** The error that the server meant; without our details, the nearest to what gRPC says. */
export function errorOfStatus({ code, details, metadata }: StatusObject): {
  error: GfsError;
  typed: boolean;
} {
  const [bytes] = metadata.get(DETAILS_KEY);
  const detail = bytes instanceof Buffer ? detailIn(bytes) : undefined;
  if (detail !== undefined) return { error: errorOfDetail(detail), typed: true };
  return { error: new GfsError(codeOfStatus(code), details), typed: false };
}

function detailIn(status: Uint8Array): ErrorDetail | undefined {
  try {
    for (const any of fieldsOf(status, 3)) {
      const [url] = fieldsOf(any, 1);
      const [value] = fieldsOf(any, 2);
      if (url !== undefined && value !== undefined && Buffer.from(url).toString() === DETAIL_TYPE_URL) {
        return ErrorDetail.decode(value);
      }
    }
  } catch {
    // Somebody else's details: the status itself says enough.
  }
  return undefined;
}

/** All values of one length-delimited field of a message. */
export function fieldsOf(message: Uint8Array, field: number): Uint8Array[] {
  const reader = new BinaryReader(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === field) {
      assert(type === WireType.LengthDelimited, 'a field of bytes');
      found.push(reader.bytes());
    } else {
      reader.skip(type);
    }
  }
  return found;
}
