import { LRUCache } from 'lru-cache';
import { assert } from '../base/assert.ts';
import { type Bytes, lengthOf, slice } from '../base/bytes.ts';
import { KiB } from '../base/units.ts';

/** The unit of caching; a file's last page is shorter. */
export const PAGE_BYTES = 128 * KiB;
/** Room for a page's key and its place in the list. */
const PAGE_OVERHEAD_BYTES = 256;

/** Whose contents: a new generation begins when somebody else changed the file. */
export interface Contents {
  readonly inode: number;
  readonly generation: number;
}

/**
 * Parts of files that were read and may be asked for again, bounded in bytes. A sequential reader's data does not come
 * here: it would push out what is worth keeping, and is not asked for twice.
 */
export class BlockCache {
  readonly #pages: LRUCache<string, Uint8Array>;
  /** How often all of what was looked for was here ... */
  hitCount = 0;
  /** ... and was not. */
  missCount = 0;

  constructor(limitBytes: number) {
    this.#pages = new LRUCache({
      maxSize: Math.max(limitBytes, PAGE_BYTES + PAGE_OVERHEAD_BYTES),
      sizeCalculation: (page) => page.length + PAGE_OVERHEAD_BYTES,
    });
  }

  get usedBytes(): number {
    return this.#pages.calculatedSize;
  }

  /** The bytes [start, end), when every page of them is here. */
  find(contents: Contents, start: number, end: number): Bytes | undefined {
    const result: Uint8Array[] = [];
    for (let position = start; position < end; ) {
      const index = Math.floor(position / PAGE_BYTES);
      const page = this.#pages.get(keyOf(contents, index));
      const from = position - index * PAGE_BYTES;
      const to = Math.min(end - index * PAGE_BYTES, PAGE_BYTES);
      // A page that was the file's last may be too short by now.
      if (page === undefined || page.length < to) {
        this.missCount += 1;
        return undefined;
      }
      result.push(page.subarray(from, to));
      position += to - from;
    }
    this.hitCount += 1;
    return result;
  }

  /** Keeps copies of the pages that lie wholly in what was read; at the file's end a part is a whole. */
  keep(contents: Contents, start: number, bytes: Bytes, fileLength: number): void {
    const end = start + lengthOf(bytes);
    for (let index = Math.ceil(start / PAGE_BYTES); index * PAGE_BYTES < end; index += 1) {
      const pageStart = index * PAGE_BYTES;
      const pageEnd = Math.min(pageStart + PAGE_BYTES, fileLength);
      if (pageEnd > end || pageEnd <= pageStart) return;
      const page = Buffer.allocUnsafeSlow(pageEnd - pageStart);
      let filled = 0;
      for (const view of slice(bytes, pageStart - start, pageEnd - start)) {
        page.set(view, filled);
        filled += view.length;
      }
      assert(filled === page.length, 'a page is filled to its last byte');
      this.#pages.set(keyOf(contents, index), page);
    }
  }

  /** Somebody here writes to [start, end). */
  drop(contents: Contents, start: number, end: number): void {
    if (this.#pages.size === 0) return;
    for (let index = Math.floor(start / PAGE_BYTES); index * PAGE_BYTES < end; index += 1) {
      this.#pages.delete(keyOf(contents, index));
    }
  }
}

function keyOf({ inode, generation }: Contents, index: number): string {
  return `${inode}.${generation}.${index}`;
}
