import { type Bytes, lengthOf } from '../base/bytes.ts';
import { GfsError } from '../base/errors.ts';
import { KiB } from '../base/units.ts';
import type { Call } from '../client/api.ts';
import type { FilesWriteRequest, FilesWriteStart } from '../rpc/messages.ts';
import type { Incoming } from '../rpc/network.ts';
import { callOf, type FilesHandlers, type FilesParts } from './files-parts.ts';
import { about } from './paths.ts';
import { openTarget, type WriteTarget } from './write-targets.ts';

/** Smaller pieces are copied, so that they can go out together. */
const TAKEN_BYTES_MIN = 64 * KiB;

export function writeHandler(parts: FilesParts): FilesHandlers['write'] {
  return async (requests, context) => {
    const call = callOf(parts, context);
    const incoming = requests[Symbol.asyncIterator]();
    const first = await nextOf(incoming);
    const start = first?.message.start;
    if (first === undefined || start === undefined) {
      throw new GfsError('INVALID_ARGUMENT', 'the first message of a Write has `start`');
    }
    return await about(start.path, async () => {
      const target = await openTarget(parts, start, call);
      try {
        await take(target, start, first.payload, incoming, call);
        context.signal.throwIfAborted();
        return { message: { attributes: await target.publish(start.sync, call) } };
      } finally {
        await target.close();
      }
    });
  };
}

/** All that the stream brings, up to its end, if that is what was announced. */
async function take(
  { file }: WriteTarget,
  { offset, length }: FilesWriteStart,
  firstPayload: Bytes,
  incoming: AsyncIterator<Incoming<FilesWriteRequest>>,
  call: Call,
): Promise<void> {
  let position = offset;
  const end = length === undefined ? Number.POSITIVE_INFINITY : offset + length;
  let payload: Bytes | undefined = firstPayload;
  while (payload !== undefined) {
    const byteCount = lengthOf(payload);
    if (position + byteCount > end) throw otherLength(length);
    if (byteCount >= TAKEN_BYTES_MIN) await file.writeTaken(position, payload, () => undefined, call);
    else if (byteCount > 0) await file.write(position, payload, call);
    position += byteCount;
    const next = await nextOf(incoming);
    if (next?.message.start !== undefined) {
      throw new GfsError('INVALID_ARGUMENT', 'only the first message of a Write has `start`');
    }
    payload = next?.payload;
  }
  if (length !== undefined && position !== end) throw otherLength(length);
}

function otherLength(length: number | undefined): GfsError {
  return new GfsError('INVALID_ARGUMENT', `other than the ${length} bytes that were announced came`);
}

async function nextOf<T>(incoming: AsyncIterator<T>): Promise<T | undefined> {
  const next = await incoming.next();
  return next.done === true ? undefined : next.value;
}
