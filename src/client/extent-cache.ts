import { LRUCache } from 'lru-cache';
import type { InodeId } from '../base/ids.ts';
import type { ExtentLocation } from '../rpc/messages.ts';
import { ExtentMap, type ExtentSpan, endOf, type Span, spanOf } from './extent-map.ts';
import type { KnownChunks } from './known-chunks.ts';

/** Spans of all files together; each is a few hundred bytes. */
const SPAN_COUNT_MAX = 128 * 1024;

/** A part of a file as the master described it when it was asked. */
export interface Description {
  /** File offsets [from, to): all that lies there is these extents, in order, and holes. */
  readonly from: number;
  readonly to: number;
  readonly extents: readonly ExtentLocation[];
  readonly askedAtMs: number;
}

/** What the master said of files' extents, as long as there is room for it. */
export class ExtentCache {
  readonly #chunkSizeBytes: number;
  readonly #chunks: KnownChunks;
  readonly #maps = new LRUCache<number, ExtentMap>({
    maxSize: SPAN_COUNT_MAX,
    sizeCalculation: (map) => 1 + map.size,
  });

  constructor(chunkSizeBytes: number, chunks: KnownChunks) {
    this.#chunkSizeBytes = chunkSizeBytes;
    this.#chunks = chunks;
  }

  at(inode: InodeId, fileOffset: number): Span | undefined {
    return this.#maps.get(inode)?.at(fileOffset);
  }

  /** False: the answer is older than what mutations were answered under, and worth nothing. */
  learn(inode: InodeId, { from, to, extents, askedAtMs }: Description): boolean {
    if (extents.some((extent) => this.#chunks.isOld(extent))) return false;
    const map = this.#maps.get(inode) ?? new ExtentMap(this.#chunkSizeBytes);
    map.learn(from, to, extents, askedAtMs);
    this.#maps.set(inode, map); // its size has changed
    return true;
  }

  forget(inode: InodeId, span: Span): void {
    this.#maps.get(inode)?.forget(span);
  }

  forgetAll(inode: InodeId): void {
    this.#maps.delete(inode);
  }

  /** Where the extent ends, as far as it is known. */
  endOf(location: ExtentLocation): number {
    return endOf(location, this.#chunkSizeBytes);
  }

  spanOf(location: ExtentLocation, askedAtMs: number): ExtentSpan {
    return spanOf(location, this.#chunkSizeBytes, askedAtMs);
  }
}
