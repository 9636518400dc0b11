// What a file may hold. Every write fills its range with its own number, so each word read says which write it is of.
import { assert } from '../../../src/base/assert.ts';

const WORD_BYTES = 4;

interface Range {
  readonly start: number;
  readonly end: number;
}

export interface ModelWrite {
  readonly id: number;
  readonly offset: number;
  readonly bytes: Buffer;
}

export interface ModelTruncate {
  readonly id: number;
  readonly length: number;
}

/** A file with one writer at a time. Numbers of writes rise. */
export class FileModel {
  readonly name: string;
  readonly sizeMax: number;
  /** By word: the newest write that a sync has covered; nothing older may ever be read there again. */
  readonly #floor: Uint32Array;
  /** By word: the newest write that was begun. */
  readonly #latest: Uint32Array;
  /** By word: the newest truncation that was begun below it, or zeros there; since then it may be zero. */
  readonly #zeroed: Uint32Array;
  readonly #writes = new Map<number, Range>();
  /** Taken by the client, and no sync has covered them yet. */
  #unsynced: number[] = [];
  #idNext = 1;
  /** What the writer wrote from this one on it reads back exactly. */
  #exactFrom = 1;
  #lengthSynced = 0;
  #syncedWriteCount = 0;

  constructor(name: string, sizeMax: number) {
    this.name = name;
    this.sizeMax = sizeMax;
    this.#floor = new Uint32Array(sizeMax / WORD_BYTES);
    this.#latest = new Uint32Array(sizeMax / WORD_BYTES);
    this.#zeroed = new Uint32Array(sizeMax / WORD_BYTES);
  }

  /** The file is at least this long for every reader. */
  get lengthSynced(): number {
    return this.#lengthSynced;
  }

  get syncedWriteCount(): number {
    return this.#syncedWriteCount;
  }

  begin(offset: number, length: number): ModelWrite {
    assert(offset % WORD_BYTES === 0 && length % WORD_BYTES === 0, 'writes are of whole words');
    const id = this.#idNext;
    this.#idNext += 1;
    const range = { start: offset / WORD_BYTES, end: (offset + length) / WORD_BYTES };
    this.#writes.set(id, range);
    this.#latest.fill(id, range.start, range.end);
    const words = new Uint32Array(length / WORD_BYTES).fill(id);
    return { id, offset, bytes: Buffer.from(words.buffer) };
  }

  taken({ id }: Pick<ModelWrite, 'id'>): void {
    this.#unsynced.push(id);
  }

  /** A range becomes zeros, as a write of them would make it; it makes the file no longer. */
  beginZeros(offset: number, length: number): Pick<ModelWrite, 'id'> {
    const { id } = this.begin(offset, length);
    this.#zeroed.fill(id, offset / WORD_BYTES, (offset + length) / WORD_BYTES);
    return { id };
  }

  /** Cuts or extends the file: all from `length` on is zero. */
  beginTruncate(length: number): ModelTruncate {
    const id = this.#idNext;
    this.#idNext += 1;
    this.#latest.fill(id, length / WORD_BYTES);
    this.#zeroed.fill(id, length / WORD_BYTES);
    this.#lengthSynced = Math.min(this.#lengthSynced, length);
    return { id, length };
  }

  /** It is in the master's log: nothing older will be seen there again. */
  truncated({ id, length }: ModelTruncate): void {
    this.#floor.fill(id, length / WORD_BYTES);
    this.#lengthSynced = length;
  }

  /** What a sync that starts now will cover. */
  syncPoint(): readonly number[] {
    return [...this.#unsynced];
  }

  synced(point: readonly number[]): void {
    for (const id of point) {
      const { start, end } = this.#writes.get(id) ?? { start: 0, end: 0 };
      for (let word = start; word < end; word += 1) {
        this.#floor[word] = Math.max(this.#floor[word] ?? 0, id);
        // What was cut off since does not count, nor what may have been.
        if ((this.#zeroed[word] ?? 0) < id)
          this.#lengthSynced = Math.max(this.#lengthSynced, (word + 1) * WORD_BYTES);
      }
    }
    this.#syncedWriteCount += point.length;
    const covered = new Set(point);
    this.#unsynced = this.#unsynced.filter((id) => !covered.has(id));
  }

  /** The writer was told of a failure, or died: of what was not synced anything may be there, for ever. */
  lost(): void {
    this.#unsynced = [];
    this.#exactFrom = this.#idNext;
  }

  /** A machine lost power: what was acknowledged and not synced may vanish before the writer is told. */
  powerLost(): void {
    this.#exactFrom = this.#idNext;
  }

  /** What any reader who opens the file now has to see at least, there: by word. */
  floorOf(offset: number, length: number): Uint32Array {
    return this.#floor.slice(offset / WORD_BYTES, (offset + length) / WORD_BYTES);
  }

  /** What was read at `offset`, by somebody who opened the file when that was its floor there. */
  check(bytes: Buffer, offset: number, floor: Uint32Array): void {
    let known: Range = { start: 0, end: 0 };
    let knownId = 0;
    const words = wordsOf(bytes);
    for (let index = 0; index < words.length; index += 1) {
      const id = words[index] ?? 0;
      const word = offset / WORD_BYTES + index;
      if (id !== 0 && id !== knownId) {
        knownId = id;
        known = this.#writes.get(id) ?? { start: 0, end: 0 };
      }
      if (id !== 0 && (word < known.start || word >= known.end)) {
        throw this.#wrong(word, id, 'was never written there');
      }
      const oldest = floor[index] ?? 0;
      if (this.#age(id, word) < oldest)
        throw this.#wrong(word, id, `is older than ${oldest}, which was synced`);
    }
  }

  /** What the writer itself read. */
  checkOwn(bytes: Buffer, offset: number): void {
    this.check(bytes, offset, this.floorOf(offset, bytes.length));
    const words = wordsOf(bytes);
    for (let index = 0; index < words.length; index += 1) {
      const id = words[index] ?? 0;
      const word = offset / WORD_BYTES + index;
      const latest = this.#latest[word] ?? 0;
      if (latest < this.#exactFrom || this.#age(id, word) === latest) continue;
      throw this.#wrong(word, id, `is not ${latest}, which was written last`);
    }
  }

  /** The newest of what a word of this content may come from. */
  #age(id: number, word: number): number {
    return id === 0 ? (this.#zeroed[word] ?? 0) : id;
  }

  #wrong(word: number, id: number, what: string): WrongBytes {
    return new WrongBytes(
      `${this.name}, byte ${word * WORD_BYTES}: ${id === 0 ? 'nothing' : `write ${id}`} ${what}`,
    );
  }
}

function wordsOf(bytes: Buffer): Uint32Array {
  const copy = Uint8Array.from(bytes);
  return new Uint32Array(copy.buffer, 0, Math.floor(copy.length / WORD_BYTES));
}

/** A promise was broken. */
export class WrongBytes extends Error {
  override name = 'WrongBytes';
}
