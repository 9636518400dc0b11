import { type Bytes, slice } from '../base/bytes.ts';
import { KiB, MiB } from '../base/units.ts';

/** What is fetched ahead in one request at most: one FUSE request, one mutation of a writer. */
const AHEAD_PIECE_BYTES_MAX = 1 * MiB;
const AHEAD_PIECE_BYTES_MIN = 64 * KiB;
/** The kernel sends the requests of one sequential reader in parallel, and they may pass each other by so much. */
const SLACK_BYTES = 2 * MiB;
/** A first read as large as this is the kernel's own readahead at work: more will follow. */
const SEQUENTIAL_READ_BYTES = 128 * KiB;

/** How much all readers of a client may have fetched ahead together. */
export class ReadaheadBudget {
  readonly #limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#limitBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}

export interface ReadStreamOptions {
  /** Of this reader. */
  readonly readaheadBytesMax: number;
  readonly budget: ReadaheadBudget;
  /** Reads ahead, with a patience of its own. */
  readonly fetch: (fileOffset: number, length: number) => Promise<Bytes>;
  readonly fileLength: () => number;
}

/** A stretch [start, end) that is fetched ahead. */
interface Ahead {
  readonly start: number;
  readonly end: number;
  /** Nothing: it could not be had; whoever wants it asks again, and hears why. */
  readonly bytes: Promise<Bytes | undefined>;
  unreadBytes: number;
}

/**
 * One open file's reads. While they follow one another, the stretch in front of them is fetched before it is asked for:
 * twice as much as was read so far, up to the bound, in pieces that are under way together - over chunk borders, and
 * thereby from several servers. What was handed out is dropped. A reader that jumps about gets nothing fetched ahead.
 */
export class ReadStream {
  readonly #options: ReadStreamOptions;
  #ahead: Ahead[] = [];
  /** Where the next read of a sequential reader begins. */
  #expected = 0;
  #sequentialCount = 0;
  #sequentialBytes = 0;

  constructor(options: ReadStreamOptions) {
    this.#options = options;
  }

  get isSequential(): boolean {
    return this.#sequentialCount > 1;
  }

  /** The bytes [start, end), all of which the file has. `direct` reads what was not fetched ahead. */
  async read(
    start: number,
    end: number,
    direct: (fileOffset: number, length: number, sequential: boolean) => Promise<Bytes>,
  ): Promise<Bytes> {
    this.#note(start, end);
    const sequential = this.isSequential;
    const parts: Promise<Bytes>[] = [];
    for (let position = start; position < end; ) {
      const ahead = this.#ahead.find((candidate) => candidate.end > position);
      const from = position;
      if (ahead === undefined || ahead.start > position) {
        const to = Math.min(end, ahead?.start ?? end);
        parts.push(direct(from, to - from, sequential));
        position = to;
      } else {
        const to = Math.min(end, ahead.end);
        parts.push(partOf(ahead, from, to, () => direct(from, to - from, sequential)));
        this.#consumed(ahead, to - from);
        position = to;
      }
    }
    this.#fetchAhead(end);
    const only = parts[0];
    if (only !== undefined && parts.length === 1) return await only;
    return (await Promise.all(parts)).flat();
  }

  /** Somebody writes to [start, end): what was fetched of it is old. */
  drop(start: number, end: number): void {
    if (this.#ahead.length > 0) this.#keep((ahead) => ahead.end <= start || ahead.start >= end);
  }

  close(): void {
    this.#keep(() => false);
  }

  /** Sees whether this read follows the others. */
  #note(start: number, end: number): void {
    const slack = this.#ahead.length > 0 ? SLACK_BYTES : 0;
    if (Math.abs(start - this.#expected) <= slack) {
      this.#sequentialCount += end - start >= SEQUENTIAL_READ_BYTES ? 2 : 1;
      this.#sequentialBytes += end - start;
      this.#expected = Math.max(this.#expected, end);
      // Far behind the reader: it jumped over it.
      const passed = this.#expected - SLACK_BYTES;
      if ((this.#ahead[0]?.end ?? passed) < passed) this.#keep((ahead) => ahead.end >= passed);
    } else {
      this.#keep(() => false);
      this.#sequentialCount = 0;
      this.#sequentialBytes = end - start;
      this.#expected = end;
    }
  }

  #fetchAhead(readEnd: number): void {
    if (!this.isSequential) return;
    const { readaheadBytesMax, budget, fetch, fileLength } = this.#options;
    const window = Math.min(readaheadBytesMax, Math.max(AHEAD_PIECE_BYTES_MIN, this.#sequentialBytes * 2));
    const limit = Math.min(fileLength(), this.#expected + window);
    const size = Math.min(
      AHEAD_PIECE_BYTES_MAX,
      Math.max(AHEAD_PIECE_BYTES_MIN, 2 ** Math.floor(Math.log2(window / 4))),
    );
    let position = Math.max(this.#ahead.at(-1)?.end ?? 0, readEnd, this.#expected);
    while (position < limit) {
      // Pieces of the full size begin and end at multiples of it, which are borders of blocks and often of chunks.
      const end = Math.min(fileLength(), (Math.floor(position / size) + 1) * size);
      // Part of a piece is not worth a request; it comes with the next read.
      if (end > limit || !budget.take(end - position)) return;
      const bytes = fetch(position, end - position).catch(() => undefined);
      this.#ahead.push({ start: position, end, bytes, unreadBytes: end - position });
      position = end;
    }
  }

  #consumed(ahead: Ahead, bytes: number): void {
    ahead.unreadBytes -= bytes;
    if (ahead.unreadBytes <= 0) this.#keep((other) => other !== ahead);
  }

  #keep(wanted: (ahead: Ahead) => boolean): void {
    const { budget } = this.#options;
    this.#ahead = this.#ahead.filter((ahead) => {
      if (wanted(ahead)) return true;
      // Until the answer is here it takes memory, whoever still wants it.
      void ahead.bytes.then(() => budget.give(ahead.end - ahead.start));
      return false;
    });
  }
}

async function partOf(
  ahead: Ahead,
  start: number,
  end: number,
  direct: () => Promise<Bytes>,
): Promise<Bytes> {
  const bytes = await ahead.bytes;
  if (bytes === undefined) return await direct();
  return start === ahead.start && end === ahead.end
    ? bytes
    : slice(bytes, start - ahead.start, end - ahead.start);
}
