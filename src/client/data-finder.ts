import type { Env } from '../base/env.ts';
import { codeOf } from '../base/errors.ts';
import { SECOND_MS } from '../base/units.ts';
import { ChunkserverDefinition } from '../rpc/messages.ts';
import { type ExtentSpan, isExtent } from './extent-map.ts';
import type { Access, Locations } from './locations.ts';
import { nearestFirst } from './nearness.ts';
import type { Patience } from './patience.ts';
import type { ServerPool } from './server-pool.ts';

const { findData } = ChunkserverDefinition.methods;
const ATTEMPT_MS_MAX = 2 * SECOND_MS;

/**
 * A part of a file that is all data, or all hole, from the offset asked for up to its end; a guess where no member answers.
 * `unknown`: its members change version, or are being made equal, and will tell in a moment.
 */
type Piece =
  | { readonly kind: 'data' | 'hole'; readonly end: number; readonly isGuess?: boolean }
  | { readonly kind: 'unknown'; readonly error: unknown };

/**
 * Where a file has data and where holes: a missing extent is a hole, and of the others their members know. Where none of them
 * answers, it is data: whoever copies what is said to be a hole leaves it out. Where they are about to know it, they are asked
 * again: what is said of one offset agrees with what is said of the next one a moment later.
 */
export class DataFinder {
  readonly #env: Env;
  readonly #pool: ServerPool;
  readonly #locations: Locations;
  readonly #host: string;

  constructor(env: Env, pool: ServerPool, locations: Locations, host: string) {
    this.#env = env;
    this.#pool = pool;
    this.#locations = locations;
    this.#host = host;
  }

  /** The first offset from `start` on with data, or with a hole; `fileLength` if there is none before. */
  async find(
    access: Access,
    { start, fileLength }: { start: number; fileLength: number },
    kind: 'data' | 'hole',
    patience: Patience,
  ): Promise<number> {
    // What was a hole before may have been filled since.
    const sinceMs = this.#env.monotonicMs();
    for (let position = start; position < fileLength; ) {
      const span = await this.#locations.forRead(access, position, patience);
      const isOld = span.checkedAtMs < sinceMs;
      const piece: Piece = isExtent(span)
        ? await this.#pieceOf(span, position, patience)
        : { kind: 'hole', end: span.end };
      if (isOld && (piece.kind !== 'data' || piece.isGuess)) {
        this.#locations.forget(access.inode, span);
        continue;
      }
      if (piece.kind === 'unknown') {
        this.#locations.forget(access.inode, span);
        if (isExtent(span)) await this.#settled(access, span, piece.error, patience);
        continue;
      }
      if (piece.kind === kind) return position;
      position = piece.end;
    }
    return fileLength;
  }

  /** How much of a range is data. */
  async dataBytes(
    access: Access,
    { start, end }: { start: number; end: number },
    patience: Patience,
  ): Promise<number> {
    let bytes = 0;
    for (let position = start; position < end; ) {
      const dataStart = await this.find(access, { start: position, fileLength: end }, 'data', patience);
      position = await this.find(access, { start: dataStart, fileLength: end }, 'hole', patience);
      bytes += position - dataStart;
    }
    return bytes;
  }

  /** Complains where no member may be read at its version (P6, P7), and pauses. */
  async #settled(access: Access, span: ExtentSpan, error: unknown, patience: Patience): Promise<void> {
    if (codeOf(error) === 'NOT_READY') await this.#locations.complain(access, span, patience);
    await patience.pause(error);
  }

  async #pieceOf(span: ExtentSpan, position: number, patience: Patience): Promise<Piece> {
    const { chunk, version, members } = span.location;
    const chunkOffset = position - span.start;
    let absent = 0;
    let unsettled: unknown;
    for (const { address } of nearestFirst(members, this.#host, chunk, (one) =>
      this.#pool.isSuspect(one.address),
    )) {
      try {
        const request = { chunk, version, chunkOffset };
        const options = patience.attempt(ATTEMPT_MS_MAX);
        const { dataStart, dataEnd } = (await this.#pool.call(address, findData, request, options)).message;
        if (dataEnd === 0) return { kind: 'hole', end: span.end };
        if (dataStart > chunkOffset) return { kind: 'hole', end: span.start + dataStart };
        return { kind: 'data', end: Math.min(span.start + dataEnd, span.end) };
      } catch (error) {
        const code = codeOf(error);
        if (code === 'CANCELLED') throw error;
        if (code === 'VERSION_MISMATCH') return { kind: 'unknown', error };
        if (code === 'NO_SUCH_CHUNK') absent += 1;
        if (code === 'NOT_READY') unsettled = error;
      }
    }
    if (unsettled !== undefined) return { kind: 'unknown', error: unsettled };
    // Nobody wrote to it.
    if (members.length > 0 && absent === members.length) return { kind: 'hole', end: span.end };
    return { kind: 'data', end: span.end, isGuess: true };
  }
}
