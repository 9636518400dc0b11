import { NO_BYTES } from '../base/bytes.ts';
import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import { ZEROED_EXTENTS_MAX } from '../core/metadata/zeroed-extents.ts';
import { MutationKind } from '../rpc/messages.ts';
import type { ChunkWriter, Mutation } from './chunk-writer.ts';
import type { DataFinder } from './data-finder.ts';
import { type ExtentSpan, isExtent } from './extent-map.ts';
import type { Access, Locations, Suspicion } from './locations.ts';
import type { Patience } from './patience.ts';

export interface Range {
  readonly start: number;
  readonly end: number;
}

/** What became of a range of which whole extents are to be dropped. */
export interface ZeroedRange {
  /** So far it went. */
  readonly end: number;
  /** That were data, and are zeros or will be. */
  readonly zeroedBytes: number;
  /** Whole extents as they were: others have them too, or their servers are full. */
  readonly left: readonly Range[];
}

/** Makes zeros of what files have at the cluster: of each extent by one mutation, without data. */
export class RangeZeroer {
  readonly #env: Env;
  readonly #locations: Locations;
  readonly #writer: ChunkWriter;
  readonly #finder: DataFinder;
  readonly #chunkSizeBytes: number;

  constructor(options: {
    env: Env;
    locations: Locations;
    writer: ChunkWriter;
    finder: DataFinder;
    chunkSizeBytes: number;
  }) {
    this.#env = options.env;
    this.#locations = options.locations;
    this.#writer = options.writer;
    this.#finder = options.finder;
    this.#chunkSizeBytes = options.chunkSizeBytes;
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

  /**
   * As `zero`, of a range whose whole extents the master is to drop then, as far as it drops them at once. What cannot be zeroed
   * before is to be zeroed afterwards, if it is still there.
   */
  async zeroForDrop(
    access: Access,
    { start, end }: Range,
    patience: Patience,
    onZeroed: (span: ExtentSpan) => void,
  ): Promise<ZeroedRange> {
    const sinceMs = this.#env.monotonicMs();
    const left: Range[] = [];
    let zeroedBytes = 0;
    const onPart = (span: ExtentSpan, bytes: number) => {
      zeroedBytes += bytes;
      onZeroed(span);
    };
    let position = start;
    for (let count = 0; position < end && count < ZEROED_EXTENTS_MAX; count += 1) {
      const whole = await this.#wholeExtent(access, position, end, sinceMs, patience);
      if (whole === undefined) {
        position = await this.#zeroPart(access, position, end, sinceMs, patience, onPart);
        continue;
      }
      const reached = await this.#zeroWhole(access, whole, sinceMs, patience, onPart);
      if (reached === undefined) {
        zeroedBytes += await this.#finder.dataBytes(access, whole, patience);
        left.push(whole);
      }
      position = reached ?? whole.end;
    }
    return { end: position, zeroedBytes, left };
  }

  /** One that begins there and lies in the range whole, as the master says now. */
  async #wholeExtent(
    access: Access,
    position: number,
    end: number,
    sinceMs: number,
    patience: Patience,
  ): Promise<ExtentSpan | undefined> {
    if (end - position < this.#chunkSizeBytes) return undefined;
    const known = this.#locations.cached(access.inode, position);
    if (known !== undefined && known.checkedAtMs < sinceMs) this.#locations.forget(access.inode, known);
    const span = await this.#locations.forRead(access, position, patience);
    const isWhole = span.start === position && span.end - position === this.#chunkSizeBytes;
    return isWhole && isExtent(span) ? span : undefined;
  }

  /** As `#zeroPart`. Undefined: it would have to be cloned first, or its servers have no room for another record. */
  async #zeroWhole(
    access: Access,
    { start, end, location }: ExtentSpan,
    sinceMs: number,
    patience: Patience,
    onZeroed: (span: ExtentSpan, zeroedBytes: number) => void,
  ): Promise<number | undefined> {
    if (location.frozen) return undefined;
    try {
      return await this.#zeroPart(access, start, end, sinceMs, patience, onZeroed);
    } catch (error) {
      if (codeOf(error) === 'NO_SPACE') return undefined;
      throw error;
    }
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
