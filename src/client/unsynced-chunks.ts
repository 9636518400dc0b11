import type { ExtentSpan } from './extent-map.ts';

/** A chunk in an extent, by its file offset, and the lowest version under which mutations of it wait for a sync. */
export interface Unsynced {
  readonly chunk: number;
  readonly start: number;
  readonly version: number;
}

/** A file's chunks with acknowledged mutations that were not synced since. Several extents may have one chunk. */
export class UnsyncedChunks {
  #chunks = new Map<string, Unsynced>();

  /** A mutation of this extent was acknowledged; it is not on the disks yet. */
  acknowledged({ start, location: { chunk, version } }: ExtentSpan): void {
    this.add({ chunk, start, version });
  }

  add({ chunk, start, version }: Unsynced): void {
    const key = `${chunk} ${start}`;
    const before = this.#chunks.get(key);
    this.#chunks.set(key, { chunk, start, version: Math.min(before?.version ?? version, version) });
  }

  /** Whole extents of the range have other chunks now, by a command: what these had before nobody misses. */
  replaced(start: number, end: number): void {
    for (const [key, unsynced] of this.#chunks) {
      if (unsynced.start >= start && unsynced.start < end) this.#chunks.delete(key);
    }
  }

  /** What a sync that begins now has to sync. */
  take(): Iterable<Unsynced> {
    const taken = this.#chunks;
    this.#chunks = new Map();
    return taken.values();
  }
}
