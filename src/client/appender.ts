import { type Bytes, lengthOf } from '../base/bytes.ts';
import { MUTATION_BYTES_MAX } from '../base/constants.ts';
import { codeOf, GfsError } from '../base/errors.ts';
import { type MutateResponse, MutationKind } from '../rpc/messages.ts';
import type { ChunkWriter, Mutation } from './chunk-writer.ts';
import type { ExtentSpan } from './extent-map.ts';
import type { FileState } from './file-state.ts';
import type { Access, Locations } from './locations.ts';
import type { Patience } from './patience.ts';

/**
 * Record append (§3.3): the primary of the last chunk picks the offset. A record that does not fit seals the chunk at
 * its true length, and the next extent begins right there.
 */
export class Appender {
  readonly #locations: Locations;
  readonly #writer: ChunkWriter;
  readonly #recordBytesMax: number;

  constructor(locations: Locations, writer: ChunkWriter, chunkSizeBytes: number) {
    this.#locations = locations;
    this.#writer = writer;
    this.#recordBytesMax = Math.min(chunkSizeBytes / 4, MUTATION_BYTES_MAX);
  }

  /** Appends one record, whole; resolves to its file offset. One append per file is under way at a time. */
  async append(access: Access, state: FileState, bytes: Bytes, patience: Patience): Promise<number> {
    const length = lengthOf(bytes);
    if (length > this.#recordBytesMax) {
      const message = `a record of ${length} bytes is longer than ${this.#recordBytesMax}, a quarter chunk`;
      throw new GfsError('INVALID_ARGUMENT', message);
    }
    const mutation: Mutation = {
      id: this.#writer.newId(),
      kind: MutationKind.MUTATION_KIND_APPEND,
      chunkOffset: 0,
      bytes,
    };
    for (let at = await this.#end(access, patience); ; ) {
      const { span, answer } = await this.#pursue(access, at, mutation, patience);
      if (answer.sealed) {
        // It is not in that chunk and never will be (P16, P17): the next one begins where it ends.
        at = await this.#behind(access, span, answer.chunkLength, patience);
        continue;
      }
      const fileOffset = span.start + answer.chunkOffset;
      state.acknowledged(span);
      return fileOffset;
    }
  }

  /** A file offset in the extent to append to: the last one, or one behind it. */
  async #end(access: Access, patience: Patience): Promise<number> {
    const { span, fileLength } = await this.#locations.last(access, patience);
    if (span === undefined || span.end <= fileLength || span.location.sealed) {
      return Math.max(fileLength, span?.end ?? 0);
    }
    // The file may have been extended over the replica's end: an append would land below the file's length.
    const replica = await this.#writer.lengthOf(access, span.start, patience);
    if (span.start + replica.length >= fileLength) return span.start;
    if (replica.sealed) return await this.#behind(access, span, replica.length, patience);
    await this.#extend(access, fileLength, patience);
    return span.start;
  }

  /** A file offset in the extent that follows one which was sealed. */
  async #behind(access: Access, span: ExtentSpan, sealedLength: number, patience: Patience): Promise<number> {
    try {
      await this.#locations.addBehind(access, span, sealedLength, patience);
      return span.start + sealedLength;
    } catch (error) {
      // The file was truncated meanwhile, or a write far behind has added an extent.
      if (codeOf(error) !== 'NO_SUCH_CHUNK' && codeOf(error) !== 'INVALID_ARGUMENT') throw error;
      await patience.pause(error);
      return await this.#end(access, patience);
    }
  }

  /** Makes the chunk reach up to the file's length, by its last byte: which is a zero, or it would reach already. */
  async #extend(access: Access, fileLength: number, patience: Patience): Promise<void> {
    await this.#writer.write(access, fileLength - 1, [Buffer.alloc(1)], patience, () => undefined);
  }

  /** Asks the primary of the extent that holds `at` until it has answered: a record is tried in one chunk at a time. */
  async #pursue(
    access: Access,
    at: number,
    mutation: Mutation,
    patience: Patience,
  ): Promise<{ span: ExtentSpan; answer: MutateResponse }> {
    let done: { span: ExtentSpan; answer: MutateResponse } | undefined;
    await this.#locations.forWrite(access, at, undefined, patience);
    await this.#writer.atPrimary(access, at, patience, async (span) => {
      try {
        done = { span, answer: await this.#writer.mutate(span, mutation, patience) };
      } catch (error) {
        if (codeOf(error) !== 'SEALED') throw error;
        const { length } = await this.#writer.lengthOf(access, span.start, patience);
        const answer = { chunkOffset: 0, chunkLength: length, sealed: true };
        done = { span, answer };
      }
    });
    if (done !== undefined) return done;
    // The extent went while we asked: the file was truncated. What was tried there is gone with it (P17).
    throw new GfsError('IO_ERROR', `the file was truncated below ${at} while a record was appended`);
  }
}
