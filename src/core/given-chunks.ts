import { putLast } from '../base/bounded.ts';
import type { ChunkHandle, ServerId, SessionId } from '../base/ids.ts';

/** Chunks remembered; of older ones it is not known any more who was given them. */
const CHUNKS_MAX = 65_536;

/**
 * Which session alone was told of a chunk, of those begun by this master (P23). As long as that is so, and the session has
 * no acknowledgement of it, nobody misses the chunk when another takes its place.
 */
export class GivenChunks {
  /** 0: nobody was told yet. Absent: several were, or it is not known. */
  readonly #only = new Map<ChunkHandle, SessionId | 0>();
  readonly #incarnations = new Map<ChunkHandle, ReadonlyMap<ServerId, string>>();

  /** `incarnations`: of its members, before anybody was told of it. */
  begun(chunk: ChunkHandle, incarnations: ReadonlyMap<ServerId, string>): void {
    putLast(this.#only, chunk, 0, CHUNKS_MAX);
    putLast(this.#incarnations, chunk, incarnations, CHUNKS_MAX);
  }

  /** Session 0: somebody without one, who cannot be told from others. */
  given(chunk: ChunkHandle, session: SessionId | 0): void {
    const only = this.#only.get(chunk);
    if (only === undefined || (only === session && session !== 0)) return;
    if (only === 0 && session !== 0) this.#only.set(chunk, session);
    else this.#only.delete(chunk);
  }

  /**
   * The process of a member that may begin the chunk with its first mutation: a later one may have had the chunk, and lost
   * it with the power (P2, P5). Undefined: not known any more, and nobody may.
   */
  incarnationOf(chunk: ChunkHandle, member: ServerId): string | undefined {
    return this.#incarnations.get(chunk)?.get(member);
  }

  isOnlyWith(chunk: ChunkHandle, session: SessionId | 0): boolean {
    return session !== 0 && this.#only.get(chunk) === session;
  }
}
