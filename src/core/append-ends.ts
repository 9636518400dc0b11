import { putLast } from '../base/bounded.ts';
import type { ChunkHandle } from '../base/ids.ts';

/** Chunks remembered. */
const CHUNKS_MAX = 65_536;

/**
 * In which chunks clients were told that a file ends, and go on appending to for a while without asking again. Before the
 * file ends elsewhere than behind such a chunk's seal, its version has to be raised: so no record comes to lie before the end.
 */
export class AppendEnds {
  /** False: nobody's appends reach it any more. */
  readonly #told = new Map<ChunkHandle, boolean>();
  readonly #firstOwn: ChunkHandle;
  #hasForgotten = false;

  /** Of chunks below `firstOwn` a master before this one may have told. */
  constructor(firstOwn: ChunkHandle) {
    this.#firstOwn = firstOwn;
  }

  told(chunk: ChunkHandle): void {
    this.#remember(chunk, true);
  }

  /** Its version was raised since it is not the file's end any more. */
  fenced(chunk: ChunkHandle): void {
    this.#remember(chunk, false);
  }

  mayBeAppendedTo(chunk: ChunkHandle): boolean {
    return this.#told.get(chunk) ?? (this.#hasForgotten || chunk < this.#firstOwn);
  }

  #remember(chunk: ChunkHandle, isTold: boolean): void {
    const forgotten = putLast(this.#told, chunk, isTold, CHUNKS_MAX);
    if (forgotten !== undefined) this.#hasForgotten = true;
  }
}
