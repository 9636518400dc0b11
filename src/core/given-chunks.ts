import { putLast } from '../base/bounded.ts';
import type { ChunkHandle, SessionId } from '../base/ids.ts';

/** Chunks remembered; of older ones it is not known any more who was given them. */
const CHUNKS_MAX = 65_536;

/**
 * Which session alone was told of a chunk, of those begun by this master (P23). As long as that is so, and the session has
 * no acknowledgement of it, nobody misses the chunk when another takes its place.
 */
export class GivenChunks {
  /** 0: nobody was told yet. Absent: several were, or it is not known. */
  readonly #only = new Map<ChunkHandle, SessionId | 0>();

  begun(chunk: ChunkHandle): void {
    putLast(this.#only, chunk, 0, CHUNKS_MAX);
  }

  /** Session 0: somebody without one, who cannot be told from others. */
  given(chunk: ChunkHandle, session: SessionId | 0): void {
    const only = this.#only.get(chunk);
    if (only === undefined || (only === session && session !== 0)) return;
    if (only === 0 && session !== 0) this.#only.set(chunk, session);
    else this.#only.delete(chunk);
  }

  isOnlyWith(chunk: ChunkHandle, session: SessionId | 0): boolean {
    return session !== 0 && this.#only.get(chunk) === session;
  }
}
