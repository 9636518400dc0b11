import { type Bytes, lengthOf } from '../base/bytes.ts';
import { recordBytesMax } from '../base/constants.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import type { Call, GfsClient } from '../client/api.ts';
import type { Attributes, FilesAppendRequest, FilesAppendStart } from '../rpc/messages.ts';
import type { Incoming } from '../rpc/network.ts';
import { AppendRun } from './append-run.ts';
import { callOf, type FilesHandlers, type FilesParts, nextOf } from './files-parts.ts';
import type { OpenAppenders, TakenAppender } from './open-appenders.ts';
import { about, checkMode, mustBeRegular, UMASK, walkTo } from './paths.ts';

const MODE_DEFAULT = 0o666;
const MODE_OWNER_WRITE = 0o200;
/** As the master has it of an appender's name. */
const CLIENT_ID_BYTES_MAX = 64;

export function appendHandlers(
  parts: FilesParts,
  appenders: OpenAppenders,
): Pick<FilesHandlers, 'append' | 'appendStream'> {
  const begin = async (start: FilesAppendStart, call: Call): Promise<TakenAppender> => {
    const { clientId } = start;
    if (clientId.length < 1 || clientId.length > CLIENT_ID_BYTES_MAX) {
      throw new GfsError('INVALID_ARGUMENT', `\`client_id\` has 1 to ${CLIENT_ID_BYTES_MAX} bytes`);
    }
    return await appenders.take(await place(parts, start, call), clientId, call);
  };
  const check = (sequence: number, payload: Bytes) => checkRecord(parts.client, sequence, payload);

  return {
    append: async ({ message: { start, sequence }, payload }, context) => {
      const call = callOf(parts, context);
      if (start === undefined) throw new GfsError('INVALID_ARGUMENT', 'an Append has `start`');
      return await about(start.path, async () => {
        check(sequence, payload);
        const offset = await using(await begin(start, call), ({ appender }) =>
          appender.append(sequence, payload, call),
        );
        return { message: { sequence, offset } };
      });
    },

    appendStream: async (stream, context) => {
      const call = callOf(parts, context);
      const incoming = stream.requests[Symbol.asyncIterator]();
      const first = await nextOf(incoming);
      const start = first?.message.start;
      if (first === undefined || start === undefined) {
        throw new GfsError('INVALID_ARGUMENT', 'the first message of an AppendStream has `start`');
      }
      await about(start.path, async () => {
        await using(await begin(start, call), async ({ appender }) => {
          const run = new AppendRun(appender, stream, call);
          await run.all(recordsOf(first, incoming, check));
        });
      });
    },
  };
}

/** A record as it came. */
export interface IncomingRecord {
  readonly sequence: number;
  readonly payload: Bytes;
}

/** What the stream brings; it ends with the first thing that is wrong. */
async function* recordsOf(
  first: Incoming<FilesAppendRequest>,
  incoming: AsyncIterator<Incoming<FilesAppendRequest>>,
  check: (sequence: number, payload: Bytes) => void,
): AsyncGenerator<IncomingRecord> {
  let latest = 0;
  for (let piece: typeof first | undefined = first; piece !== undefined; piece = await nextOf(incoming)) {
    const { message, payload } = piece;
    const { start, sequence } = message;
    if (piece === first) {
      if (sequence === 0 && payload.length === 0) continue;
    } else if (start !== undefined) {
      throw new GfsError('INVALID_ARGUMENT', 'only the first message of an AppendStream has `start`');
    }
    check(sequence, payload);
    if (sequence <= latest) {
      throw new GfsError('INVALID_ARGUMENT', `record ${sequence} comes behind ${latest} in this stream`);
    }
    latest = sequence;
    yield { sequence, payload };
  }
}

/** Of a stream nothing goes behind a bad record: so it is known before it is taken. */
function checkRecord({ chunkSizeBytes }: GfsClient, sequence: number, payload: Bytes): void {
  if (sequence < 1) throw new GfsError('INVALID_ARGUMENT', 'a record has a `sequence` from 1 on');
  const length = lengthOf(payload);
  if (length === 0) throw new GfsError('INVALID_ARGUMENT', 'an empty record');
  const max = recordBytesMax(chunkSizeBytes);
  if (length > max) {
    throw new GfsError('INVALID_ARGUMENT', `a record of ${length} bytes; ${max} are allowed`);
  }
}

/** The file that records go to; it is made if that is wanted. */
async function place({ client }: FilesParts, start: FilesAppendStart, call: Call): Promise<Attributes> {
  const { path, noFollow, create, mode } = start;
  checkMode(mode);
  const walked = await walkTo(client, path, !noFollow, call);
  if (walked.attributes !== undefined) {
    mustBeRegular(walked.attributes);
    return walked.attributes;
  }
  if (!create) throw new GfsError('NOT_FOUND', 'no such file or directory');
  if (walked.place === undefined || walked.directoryWanted) {
    throw new GfsError('IS_DIRECTORY', 'it is a directory');
  }
  const { parent, name } = walked.place;
  // It is opened by its mode each time that it was not used for a while, also by whoever sends a record again.
  if (mode !== undefined && (mode & MODE_OWNER_WRITE) === 0 && call.caller.uid !== 0) {
    throw new GfsError('INVALID_ARGUMENT', 'the mode of the new file would not let its owner append to it');
  }
  const how = { mode: mode ?? MODE_DEFAULT, umask: mode === undefined ? UMASK : 0 };
  const { file, attributes } = await client.create(parent, name, { ...how, append: true }, call);
  await file.close({ requestId: call.requestId });
  // Somebody else may have made it meanwhile.
  mustBeRegular(attributes);
  return attributes;
}

async function using<T>(taken: TakenAppender, work: (taken: TakenAppender) => Promise<T>): Promise<T> {
  let isDoubtful = false;
  try {
    return await work(taken);
  } catch (error) {
    isDoubtful = !isCallersOwn(error);
    throw error;
  } finally {
    taken.giveBack(isDoubtful);
  }
}

/** It says nothing of the open file. */
function isCallersOwn(error: unknown): boolean {
  switch (codeOf(error)) {
    case 'INVALID_ARGUMENT':
    case 'EXISTS':
    case 'CANCELLED':
    case 'DEADLINE_EXCEEDED':
      return true;
    default:
      return false;
  }
}
