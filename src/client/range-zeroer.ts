import { NO_BYTES } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import { MutationKind } from '../rpc/messages.ts';
import type { ChunkWriter, Mutation } from './chunk-writer.ts';
import { type ExtentSpan, isExtent } from './extent-map.ts';
import type { Access, Locations, Suspicion } from './locations.ts';
import type { Patience } from './patience.ts';

/** Makes zeros of what files have at the cluster: of each extent by one mutation, without data. */
export class RangeZeroer {
  readonly #env: Env;
  readonly #locations: Locations;
  readonly #writer: ChunkWriter;

  constructor(env: Env, locations: Locations, writer: ChunkWriter) {
    this.#env = env;
    this.#locations = locations;
    this.#writer = writer;
  }

  /**
   * What there is of [start, end) becomes zeros; no extent is added, nothing gets longer. `onZeroed` hears of each extent that
   * had some. As with `write`, whoever calls it keeps overlapping changes apart (P10). Resolves to how many bytes were data.
   */
  async zero(
    access: Access,
    start: number,
    end: number,
    patience: Patience,
    onZeroed: (span: ExtentSpan) => void,
  ): Promise<number> {
    // What was known of holes before may have been filled since.
    const sinceMs = this.#env.monotonicMs();
    let zeroedBytes = 0;
    const onPart = (span: ExtentSpan, bytes: number) => {
      zeroedBytes += bytes;
      onZeroed(span);
    };
    for (let position = start; position < end; ) {
      position = await this.#zeroPart(access, position, end, sinceMs, patience, onPart);
    }
    return zeroedBytes;
  }

  /** Returns up to where there is nothing left to do. */
  async #zeroPart(
    access: Access,
    start: number,
    end: number,
    sinceMs: number,
    patience: Patience,
    onZeroed: (span: ExtentSpan, zeroedBytes: number) => void,
  ): Promise<number> {
    const locations = this.#locations;
    const writer = this.#writer;
    const kind = MutationKind.MUTATION_KIND_ZERO;
    let suspicion: Suspicion | undefined;
    let tried: { chunk: number; mutation: Mutation } | undefined;
    for (;;) {
      const span = await locations.forChange(access, start, sinceMs, suspicion, patience);
      if (!isExtent(span)) return Math.min(end, span.end);
      const { chunk } = span.location;
      const length = Math.min(end, span.end) - start;
      if (tried?.chunk !== chunk || tried.mutation.length !== length) {
        const place = { chunkOffset: start - span.start, bytes: NO_BYTES, length };
        tried = { chunk, mutation: { id: writer.newId(), kind, ...place } };
      }
      try {
        const answer = await writer.mutate(span, tried.mutation, patience);
        const { version, chunkLength, sealed } = answer;
        locations.acknowledged(access.inode, span, version);
        onZeroed(span, answer.zeroedBytes ?? 0);
        if (!sealed || span.location.sealed) return start + length;
        // It ends sooner than was known: what comes then lies in another extent, if there is one.
        locations.forget(access.inode, span);
        const reached = span.start + chunkLength;
        if (reached > start) return Math.min(start + length, reached);
        if (span.checkedAtMs >= sinceMs) return start + length;
      } catch (error) {
        // Nobody wrote to it.
        const unwritten = locations.firstRecord(span.location) !== undefined;
        if (codeOf(error) === 'NO_SUCH_CHUNK' && unwritten) return start + length;
        suspicion = await writer.recover(error, span, suspicion, patience);
      }
    }
  }
}
