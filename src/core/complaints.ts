import { putLast } from '../base/bounded.ts';
import type { ChunkHandle } from '../base/ids.ts';

/** Complaints that last so long are no chance. */
export const COMPLAINT_MS = 1_500;
/** After a pause of this length, complaints begin anew. */
const PAUSE_MS_MAX = 10_000;
/** An accusation is remembered for so long. */
const ACCUSATION_MS_MAX = 60_000;
/** Chunks remembered; the oldest is forgotten, and its clients wait a little longer. */
const CHUNKS_MAX = 10_000;

interface Trouble {
  readonly version: number;
  readonly sinceMs: number;
  lastMs: number;
}

/** Clients that cannot reach a primary which the master can reach (P12): for how long. */
export class Complaints {
  readonly #troubles = new Map<ChunkHandle, Trouble>();

  /** A client complains of this version's primary. Answers whether that has gone on for so long that another is due. */
  note(chunk: ChunkHandle, version: number, nowMs: number): boolean {
    const trouble = this.#troubles.get(chunk);
    if (trouble?.version === version && nowMs - trouble.lastMs <= PAUSE_MS_MAX) {
      trouble.lastMs = nowMs;
      return nowMs - trouble.sinceMs >= COMPLAINT_MS;
    }
    putLast(this.#troubles, chunk, { version, sinceMs: nowMs, lastMs: nowMs }, CHUNKS_MAX);
    return false;
  }

  /** The version was left. */
  settled(chunk: ChunkHandle): void {
    this.#troubles.delete(chunk);
  }
}

/** Which member of a chunk its primaries accused last (P12). */
export class Accusations {
  readonly #last = new Map<ChunkHandle, { by: number; accused: number; atMs: number }>();

  /** Answers whether another primary accused the same member a moment ago: then no single link is to blame. */
  note(chunk: ChunkHandle, { by, accused }: { by: number; accused: number }, nowMs: number): boolean {
    const last = this.#last.get(chunk);
    putLast(this.#last, chunk, { by, accused, atMs: nowMs }, CHUNKS_MAX);
    if (last === undefined || nowMs - last.atMs > ACCUSATION_MS_MAX) return false;
    return last.accused === accused && last.by !== by;
  }
}
