import type { FileHandle } from 'node:fs/promises';
import { type Bytes, lengthOf } from '../../base/bytes.ts';
import { MUTATION_BYTES_MAX } from '../../base/constants.ts';
import type { GfsFile } from '../../client/api.ts';
import type { Buffers } from './buffers.ts';
import type { Files } from './files.ts';

/** What a reader asks for at once; the client reads many of these ahead. */
const READ_BYTES = 1 * MUTATION_BYTES_MAX;
const ZEROS = Buffer.alloc(MUTATION_BYTES_MAX);

export type OnBytes = (count: number) => void;

/** Reads an open local file to its end, wherever it is, and writes that to `file` from its start. */
export async function upload(
  { call }: Files,
  buffers: Buffers,
  from: { readonly handle: FileHandle; readonly isSparse: boolean },
  file: GfsFile,
  onBytes: OnBytes,
): Promise<void> {
  let position = 0;
  let endsInHole = false;
  for (let isEnd = false; !isEnd; ) {
    const buffer = buffers.take();
    const count = await fill(buffer, from.handle);
    isEnd = count < buffer.length;
    endsInHole = from.isSparse && ZEROS.compare(buffer, 0, count, 0, count) === 0;
    if (count === 0 || endsInHole) buffers.give(buffer);
    else await file.writeTaken(position, [buffer.subarray(0, count)], () => buffers.give(buffer), call);
    position += count;
    onBytes(count);
  }
  if (endsInHole) await file.truncate(position, call);
}

/** Fewer bytes than the buffer has: the file ends. */
async function fill(buffer: Buffer, handle: FileHandle): Promise<number> {
  let count = 0;
  while (count < buffer.length) {
    const { bytesRead } = await handle.read(buffer, count, buffer.length - count, null);
    if (bytesRead === 0) break;
    count += bytesRead;
  }
  return count;
}

export interface FileRange {
  readonly start: number;
  readonly end: number;
}

/** Reads a range of a file, or what there is of it; while one piece is being written the next is on its way. */
export async function download(
  { call }: Files,
  file: GfsFile,
  { start, end }: FileRange,
  write: (bytes: Bytes, fileOffset: number) => Promise<void>,
): Promise<void> {
  const readAt = (position: number) => {
    const reading = file.read(position, Math.min(READ_BYTES, end - position), call);
    // When writing fails nobody waits for it.
    reading.catch(() => undefined);
    return reading;
  };
  let next = readAt(start);
  for (let position = start; position < end; ) {
    const bytes = await next;
    const count = lengthOf(bytes);
    if (count === 0) return;
    const at = position;
    position += count;
    if (position < end) next = readAt(position);
    await write(bytes, at);
  }
}

/** The parts of a file that have data, as far as its end is known. */
export async function* dataRanges({ call }: Files, file: GfsFile, end: number): AsyncGenerator<FileRange> {
  for (let position = 0; position < end; ) {
    const start = await file.seek(position, 'data', call);
    if (start === undefined || start >= end) return;
    const hole = await file.seek(start, 'hole', call);
    position = Math.min(hole ?? end, end);
    yield { start, end: position };
  }
}
