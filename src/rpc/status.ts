import type { status as Status } from '@grpc/grpc-js';
import { unreachable } from '../base/assert.ts';
import type { ErrorCode } from '../base/errors.ts';
import { grpcJs } from './grpc-js.ts';

/** What gRPC programs see as the status; the exact code is in the status details. */
export function statusOf(code: ErrorCode): Status {
  const { status } = grpcJs();
  switch (code) {
    case 'INVALID_ARGUMENT':
    case 'NAME_TOO_LONG':
    case 'CROSS_DEVICE':
    case 'LOOP':
      return status.INVALID_ARGUMENT;
    case 'FILE_TOO_LARGE':
    case 'VALUE_TOO_LARGE':
      return status.OUT_OF_RANGE;
    case 'UNIMPLEMENTED':
    case 'WRONG_SERVICE':
      return status.UNIMPLEMENTED;
    case 'NOT_FOUND':
    case 'NO_DATA':
    case 'BAD_FILE':
    case 'NO_SUCH_CHUNK':
    case 'NO_SUCH_PUSH':
    case 'NO_SUCH_SESSION':
    case 'SESSION_EXPIRED':
      return status.NOT_FOUND;
    case 'EXISTS':
    case 'ALREADY_RUNNING':
      return status.ALREADY_EXISTS;
    case 'PERMISSION_DENIED':
    case 'NOT_PERMITTED':
    case 'READ_ONLY':
      return status.PERMISSION_DENIED;
    case 'NOT_DIRECTORY':
    case 'IS_DIRECTORY':
    case 'NOT_EMPTY':
    case 'TOO_MANY_LINKS':
    case 'BUSY':
    case 'LOCKED':
    case 'DEADLOCK':
    case 'VERSION_MISMATCH':
    case 'NOT_PRIMARY':
    case 'SERIAL_GAP':
    case 'SEALED':
    case 'TRUNCATED':
    case 'WRONG_FILESYSTEM':
    case 'CONFIG_MISMATCH':
      return status.FAILED_PRECONDITION;
    case 'MESSAGE_TOO_LARGE':
    case 'NO_SPACE':
    case 'TOO_MANY_LOCKS':
      return status.RESOURCE_EXHAUSTED;
    case 'NOT_READY':
    case 'TOO_FEW_REPLICAS':
    case 'UNAVAILABLE':
      return status.UNAVAILABLE;
    case 'CHECKSUM_MISMATCH':
    case 'WRITES_LOST':
    case 'CHUNK_LOST':
    case 'CORRUPT':
      return status.DATA_LOSS;
    case 'DEADLINE_EXCEEDED':
      return status.DEADLINE_EXCEEDED;
    case 'CANCELLED':
      return status.CANCELLED;
    case 'IO_ERROR':
    case 'INTERNAL':
      return status.INTERNAL;
    default:
      return unreachable(code);
  }
}

/** Of a failure without our details: made by gRPC itself, or by somebody in between. */
export function codeOfStatus(value: Status): ErrorCode {
  const { status } = grpcJs();
  switch (value) {
    case status.CANCELLED:
      return 'CANCELLED';
    case status.DEADLINE_EXCEEDED:
      return 'DEADLINE_EXCEEDED';
    case status.UNIMPLEMENTED:
      return 'UNIMPLEMENTED';
    case status.RESOURCE_EXHAUSTED:
    case status.OUT_OF_RANGE:
      return 'MESSAGE_TOO_LARGE';
    case status.INVALID_ARGUMENT:
      return 'INVALID_ARGUMENT';
    case status.UNAVAILABLE:
      return 'UNAVAILABLE';
    case status.NOT_FOUND:
      return 'NOT_FOUND';
    case status.PERMISSION_DENIED:
    case status.UNAUTHENTICATED:
      return 'PERMISSION_DENIED';
    case status.ALREADY_EXISTS:
      return 'EXISTS';
    case status.OK:
    case status.UNKNOWN:
    case status.FAILED_PRECONDITION:
    case status.ABORTED:
    case status.INTERNAL:
    case status.DATA_LOSS:
      return 'INTERNAL';
    default:
      return unreachable(value);
  }
}
