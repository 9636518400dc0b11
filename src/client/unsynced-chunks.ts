import type { ExtentSpan } from './extent-map.ts';

/** A chunk's extent, by its file offset, and the lowest version under which mutations of it wait for a sync. */
export interface Unsynced {
  readonly start: number;
  readonly version: number;
}

/** A file's chunks with acknowledged mutations that were not synced since. */
export class UnsyncedChunks {
  #chunks = new Map<number, Unsynced>();

  /** A mutation of this extent was acknowledged; it is not on the disks yet. */
  acknowledged({ start, location: { chunk, version } }: ExtentSpan): void {
    this.add(chunk, { start, version });
  }

  add(chunk: number, { start, version }: Unsynced): void {
    const before = this.#chunks.get(chunk);
    this.#chunks.set(chunk, { start, version: Math.min(before?.version ?? version, version) });
  }

  /** What a sync that begins now has to sync. */
  take(): ReadonlyMap<number, Unsynced> {
    const taken = this.#chunks;
    this.#chunks = new Map();
    return taken;
  }
}
