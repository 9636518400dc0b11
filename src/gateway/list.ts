import { PATH_BYTES_MAX } from '../base/constants.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { inodeId } from '../base/ids.ts';
import { KiB } from '../base/units.ts';
import type { Call, GfsClient, WalkedEntry } from '../client/api.ts';
import { detailOf } from '../rpc/failure.ts';
import type { FilesListRequest, FilesListResponse } from '../rpc/messages.ts';
import { callOf, type FilesHandlers, type FilesParts, onlyRequest } from './files-parts.ts';
import { about, find, isDirectory } from './paths.ts';

/** Of one message, about. */
const MESSAGE_BYTES = 256 * KiB;
/** An entry takes so much beside its path, with attributes. */
const ENTRY_BYTES = 128;

export function listHandler(parts: FilesParts): FilesHandlers['list'] {
  const { client } = parts;
  return async (stream, context) => {
    const request = await onlyRequest(stream.requests);
    const { path, noFollow } = request;
    const call = callOf(parts, context);
    await about(path, async () => {
      const { attributes } = await find(client, path, !noFollow, call);
      if (!isDirectory(attributes)) throw new GfsError('NOT_DIRECTORY', 'it is not a directory');
      client.noteRead(inodeId(attributes.inode));
      const { inode, type } = attributes;
      const root = { inode, type, attributes, name: NO_NAME, path: NO_NAME };
      for await (const answer of answers(client, root, request, call)) await stream.send(answer);
    });
  };
}

const NO_NAME = Buffer.alloc(0);

/** A message for each directory, or several. */
async function* answers(
  client: GfsClient,
  root: WalkedEntry,
  { recursive, withAttributes }: FilesListRequest,
  call: Call,
): AsyncGenerator<FilesListResponse> {
  let answer = new Answer();
  const hasPath = ({ path }: WalkedEntry) => path.length < PATH_BYTES_MAX;
  const attributes = withAttributes ? 'allowed' : undefined;
  const options = { attributes, enters: (entry: WalkedEntry) => recursive && hasPath(entry) } as const;
  for await (const step of client.walk(root, options, call)) {
    const { kind, entry, depth } = step;
    if (kind === 'entry') {
      answer.add(entry);
      if (recursive && isDirectory(entry) && !hasPath(entry)) {
        answer.fail(entry, new GfsError('NAME_TOO_LONG', 'no path leads there'));
      }
    } else if (kind === 'failed') {
      // Of the directory that was asked for it is the call's failure, and so is what would befall all others, too.
      const { error } = step;
      if (depth === 0 || !(error instanceof GfsError) || codeOf(error) !== 'PERMISSION_DENIED') throw error;
      answer.fail(entry, error);
    }
    if (answer.isEmpty || (kind !== 'left' && answer.bytes < MESSAGE_BYTES)) continue;
    yield answer;
    answer = new Answer();
  }
}

class Answer implements FilesListResponse {
  readonly entries: FilesListResponse['entries'] = [];
  readonly failures: FilesListResponse['failures'] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  add({ path, type, attributes }: WalkedEntry): void {
    this.entries.push({ path, type, attributes });
    this.#bytes += path.length + ENTRY_BYTES;
  }

  fail({ path }: WalkedEntry, error: GfsError): void {
    this.failures.push({ path, error: detailOf(error) });
    this.#bytes += path.length + ENTRY_BYTES;
  }
}
