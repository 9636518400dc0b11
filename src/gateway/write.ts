import { lengthOf } from '../base/bytes.ts';
import { GfsError } from '../base/errors.ts';
import { KiB } from '../base/units.ts';
import type { Call, GfsFile } from '../client/api.ts';
import type { FilesWriteRequest, FilesWriteStart } from '../rpc/messages.ts';
import type { Incoming } from '../rpc/network.ts';
import { callOf, type FilesHandlers, type FilesParts, nextOf } from './files-parts.ts';
import { about } from './paths.ts';
import { type Take, writeTarget } from './write-targets.ts';

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
      const taking: Take = async (file, isAtomic) => {
        await take({ file, isAtomic }, start, first, incoming, call);
        context.signal.throwIfAborted();
      };
      return { message: { attributes: await writeTarget(parts, start, taking, call) } };
    });
  };
}

/**
 * All that the stream brings, if that is all there is. Its end alone does not say so: Node.js ends a stream that is cancelled in good
 * order, and says a moment later that it was cancelled. A part of a file would take the place of a whole one.
 */
async function take(
  { file, isAtomic }: { file: GfsFile; isAtomic: boolean },
  { offset, length }: FilesWriteStart,
  first: Incoming<FilesWriteRequest>,
  incoming: AsyncIterator<Incoming<FilesWriteRequest>>,
  call: Call,
): Promise<void> {
  let position = offset;
  const end = length === undefined ? Number.POSITIVE_INFINITY : offset + length;
  let isWhole = false;
  for (let piece: typeof first | undefined = first; piece !== undefined; piece = await nextOf(incoming)) {
    const { message, payload } = piece;
    if (message.start !== undefined && piece !== first) {
      throw new GfsError('INVALID_ARGUMENT', 'only the first message of a Write has `start`');
    }
    const byteCount = lengthOf(payload);
    if (position + byteCount > end) throw otherLength(length);
    if (byteCount >= TAKEN_BYTES_MIN) await file.writeTaken(position, payload, () => undefined, call);
    else if (byteCount > 0) await file.write(position, payload, call);
    position += byteCount;
    isWhole = message.last;
    if (isWhole) break;
  }
  if (length !== undefined && position !== end) throw otherLength(length);
  if (isAtomic && !isWhole && length === undefined) {
    throw new GfsError('INVALID_ARGUMENT', 'the stream ended, and no message was the `last`');
  }
}

function otherLength(length: number | undefined): GfsError {
  return new GfsError('INVALID_ARGUMENT', `other than the ${length} bytes that were announced came`);
}
