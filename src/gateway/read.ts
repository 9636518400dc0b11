import { type Bytes, lengthOf, NO_BYTES, NO_PAYLOAD } from '../base/bytes.ts';
import { GfsError } from '../base/errors.ts';
import { inodeId } from '../base/ids.ts';
import { MiB } from '../base/units.ts';
import type { Call, GfsFile } from '../client/api.ts';
import type { FilesReadRequest } from '../rpc/messages.ts';
import type { ServerStream } from '../rpc/network.ts';
import { callOf, type FilesHandlers, type FilesParts, onlyRequest } from './files-parts.ts';
import { about, find, mustBeRegular } from './paths.ts';

/** Of one message: gRPC libraries take up to 4 MiB unless they are told otherwise. */
const PIECE_BYTES = 1 * MiB;

type Answers = Pick<ServerStream<unknown, { attributes: undefined; payload: Buffer }>, 'send'>;

export function readHandler(parts: FilesParts): FilesHandlers['read'] {
  const { client } = parts;
  return async (stream, context) => {
    const request = await onlyRequest(stream.requests);
    const call = callOf(parts, context);
    await about(request.path, async () => {
      const found = await find(client, request.path, !request.noFollow, call);
      mustBeRegular(found.attributes);
      const { file, attributes } = await client.open(inodeId(found.attributes.inode), { read: true }, call);
      try {
        const range = rangeOf(request, attributes.length);
        client.noteRead(file.inode);
        await stream.send({ attributes, payload: NO_PAYLOAD });
        await sendRange(file, range, stream, call);
      } finally {
        await file.close({ requestId: call.requestId });
      }
    });
  };
}

/** What of the file is wanted, and there. */
function rangeOf(
  { offset, length }: Pick<FilesReadRequest, 'offset' | 'length'>,
  fileLength: number,
): { start: number; end: number } {
  if (offset > fileLength) {
    throw new GfsError(
      'INVALID_ARGUMENT',
      `offset ${offset} is behind the end of the file at ${fileLength}`,
      {
        fields: { length: String(fileLength) },
      },
    );
  }
  return { start: offset, end: length === undefined ? fileLength : Math.min(fileLength, offset + length) };
}

/** While one piece is on its way to the caller the next one is read, and no more: a slow caller has two in memory. */
async function sendRange(
  file: GfsFile,
  { start, end }: { start: number; end: number },
  answers: Answers,
  call: Call,
): Promise<void> {
  const readAt = (offset: number): Promise<Bytes> => {
    if (offset >= end) return Promise.resolve(NO_BYTES);
    const piece = file.read(offset, Math.min(PIECE_BYTES, end - offset), call);
    // It fails where it is waited for, which is not yet.
    piece.catch(() => undefined);
    return piece;
  };
  let next = readAt(start);
  for (let offset = start; offset < end; ) {
    const payload = await next;
    const length = lengthOf(payload);
    // It was cut meanwhile.
    if (length === 0) return;
    offset += length;
    next = readAt(offset);
    await answers.send({ attributes: undefined, payload: NO_PAYLOAD }, payload);
  }
}
