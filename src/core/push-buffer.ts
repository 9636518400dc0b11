import { assert } from '../base/assert.ts';
import type { Bytes } from '../base/bytes.ts';
import { MINUTE_MS } from '../base/units.ts';

/** Pushed data that no mutation asked for is dropped after this long; the writer then pushes again (§3.2). */
export const PUSH_LIFETIME_MS = 1 * MINUTE_MS;

/** Data that a client pushed, with the checksums of its parts, cut where blocks of the chunk begin. */
export interface PushedData {
  readonly chunk: number;
  readonly chunkOffset: number;
  readonly bytes: Bytes;
  readonly length: number;
  readonly checksums: readonly number[];
}

/**
 * Data between its push and its mutation, by chunk and (writer, number), and bounded in bytes. Room is reserved before the first
 * byte comes; at the bound a push is refused, and its client tries again when others have been used up or expired:
 * dropping somebody's data instead would only make two clients push again.
 */
export class PushBuffer {
  readonly limitBytes: number;
  /** In order of arrival, so the oldest expire first. */
  readonly #entries = new Map<string, Entry>();
  #usedBytes = 0;

  constructor(options: { limitBytes: number }) {
    this.limitBytes = options.limitBytes;
  }

  /** Memory that is taken or promised. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Room for a push that begins; undefined when there is none now. To be kept or released, once. */
  reserve(lengthBytes: number): Reservation | undefined {
    if (this.#usedBytes + lengthBytes > this.limitBytes) return undefined;
    this.#usedBytes += lengthBytes;
    let open = true;
    return {
      release: () => {
        if (open) this.#usedBytes -= lengthBytes;
        open = false;
      },
      keep: (writer, number, data, nowMs) => {
        assert(open, 'a reservation is used once');
        assert(data.length === lengthBytes, 'a push is as long as it said');
        open = false;
        this.#put(keyOf(data.chunk, writer, number), data, nowMs);
      },
    };
  }

  /**
   * The data, taken out for the mutation that uses it: it no longer expires, and counts against the bound until
   * released. Undefined when it never came, expired, was taken before, or is another chunk's.
   */
  take(chunk: number, writer: number, number: number): TakenPush | undefined {
    const key = keyOf(chunk, writer, number);
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    let held = true;
    return {
      data: entry.data,
      release: () => {
        if (held) this.#usedBytes -= entry.data.length;
        held = false;
      },
    };
  }

  expire(nowMs: number): number {
    let count = 0;
    for (const [key, entry] of this.#entries) {
      if (nowMs - entry.arrivedMs < PUSH_LIFETIME_MS) break;
      this.#drop(key, entry);
      count += 1;
    }
    return count;
  }

  /** A push repeated after a lost answer replaces the first one: same id, same data. */
  #put(key: string, data: PushedData, nowMs: number): void {
    const before = this.#entries.get(key);
    if (before !== undefined) this.#drop(key, before);
    this.#entries.set(key, { data, arrivedMs: nowMs });
  }

  #drop(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#usedBytes -= entry.data.length;
  }
}

export interface Reservation {
  release(): void;
  keep(writer: number, number: number, data: PushedData, nowMs: number): void;
}

export interface TakenPush {
  readonly data: PushedData;
  release(): void;
}

interface Entry {
  readonly data: PushedData;
  readonly arrivedMs: number;
}

function keyOf(chunk: number, writer: number, number: number): string {
  return `${chunk}/${writer}/${number}`;
}
