// What files may hold that are copied to one another. They are made of cells, each filled with the number of the write that
// it is of; numbers are dealt once for all files, so a cell tells which write it is, wherever it was copied to.
import { assert } from '../../../src/base/assert.ts';
import { KiB } from '../../../src/base/units.ts';
import { WrongBytes } from './acknowledged-bytes.ts';

export const CELL_BYTES = 4 * KiB;
const WORDS = CELL_BYTES / 4;

/** One that changed a cell: what it then may be. */
interface Change {
  readonly event: number;
  readonly values: ReadonlySet<number>;
}

export interface CellEvent {
  readonly event: number;
  readonly first: number;
  readonly end: number;
}

const ZEROS: ReadonlySet<number> = new Set([0]);

/** Deals the numbers of events, which are those of writes too. */
export class EventCounter {
  #next = 1;

  next(): number {
    this.#next += 1;
    return this.#next - 1;
  }
}

/** A file of a fixed length with one writer. */
export class CellFile {
  readonly name: string;
  readonly cellCount: number;
  readonly #events: EventCounter;
  readonly #writesFail: boolean;
  /** By cell, in the order of events. */
  readonly #changes: Change[][];
  /** By cell: the newest change that a sync has covered; nothing older may be read there again. */
  readonly #floors: number[];
  /** Taken, and no sync has covered them. */
  #unsynced: CellEvent[] = [];
  #exactFrom = 0;

  /** `writesFail`: what was taken may be given up before the writer is told. */
  constructor(
    name: string,
    cellCount: number,
    { events, writesFail }: { events: EventCounter; writesFail: boolean },
  ) {
    this.name = name;
    this.cellCount = cellCount;
    this.#events = events;
    this.#writesFail = writesFail;
    this.#changes = Array.from({ length: cellCount }, () => [{ event: 0, values: ZEROS }]);
    this.#floors = Array.from({ length: cellCount }, () => 0);
  }

  get lengthBytes(): number {
    return this.cellCount * CELL_BYTES;
  }

  /** Cells [first, end) are written, or become zeros. */
  begin(first: number, end: number, kind: 'write' | 'zeros'): CellEvent {
    const event = this.#events.next();
    const values = kind === 'zeros' ? ZEROS : new Set([event]);
    for (let cell = first; cell < end; cell += 1) this.#changes[cell]?.push({ event, values });
    return { event, first, end };
  }

  /** As many cells of another file, from `source` on, take the place of those from `first` on. */
  beginCopy(from: CellFile, source: number, first: number, count: number): CellEvent {
    const event = this.#events.next();
    for (let index = 0; index < count; index += 1)
      this.#changes[first + index]?.push({ event, values: from.#toWriter(source + index) });
    return { event, first, end: first + count };
  }

  taken(event: CellEvent): void {
    this.#unsynced.push(event);
  }

  /** What was there before is not seen again. */
  settled({ event, first, end }: CellEvent): void {
    for (let cell = first; cell < end; cell += 1) {
      const index = this.#changes[cell]?.findIndex((change) => change.event === event) ?? 0;
      this.#floors[cell] = Math.max(this.#floors[cell] ?? 0, index);
    }
  }

  syncPoint(): readonly CellEvent[] {
    return [...this.#unsynced];
  }

  synced(point: readonly CellEvent[]): void {
    for (const event of point) this.settled(event);
    this.#unsynced = this.#unsynced.filter((event) => !point.includes(event));
  }

  /** The writer was told of a failure, or died, or power was lost: of what was not synced anything may be there. */
  lost(isWriterGone: boolean): void {
    if (isWriterGone) this.#unsynced = [];
    this.#exactFrom = this.#events.next();
  }

  /** What whoever opens the file now has to see at least, by cell. */
  floors(): readonly number[] {
    return [...this.#floors];
  }

  /** The whole file, as somebody read it who opened it when these were its floors. */
  check(bytes: Buffer, floors: readonly number[]): void {
    for (let cell = 0; cell < this.cellCount; cell += 1)
      this.#checkCell(bytes.subarray(cell * CELL_BYTES), cell, this.#since(cell, floors[cell] ?? 0));
  }

  /** Cells from `first` on, as the writer itself read them. */
  checkOwn(bytes: Buffer, first: number, end: number): void {
    for (let cell = first; cell < end; cell += 1)
      this.#checkCell(bytes.subarray((cell - first) * CELL_BYTES), cell, this.#toWriter(cell));
  }

  #toWriter(cell: number): ReadonlySet<number> {
    const newest = this.#changes[cell]?.at(-1);
    assert(newest !== undefined, 'something was there from the beginning');
    const isExact = !this.#writesFail && newest.event >= this.#exactFrom;
    return isExact ? newest.values : this.#since(cell, this.#floors[cell] ?? 0);
  }

  #since(cell: number, floor: number): ReadonlySet<number> {
    return new Set(this.#changes[cell]?.slice(floor).flatMap(({ values }) => [...values]));
  }

  #checkCell(bytes: Buffer, cell: number, values: ReadonlySet<number>): void {
    for (let word = 0; word < WORDS; word += 1) {
      const id = bytes.length >= (word + 1) * 4 ? bytes.readUInt32LE(word * 4) : 0;
      if (values.has(id)) continue;
      const what = id === 0 ? 'nothing' : `write ${id}`;
      throw new WrongBytes(`${this.name}, cell ${cell}: ${what} is there, not ${[...values].join(' or ')}`);
    }
  }
}

/** Of so many cells that are of this write. */
export function bytesOf({ event, first, end }: CellEvent): Buffer {
  return Buffer.from(new Uint32Array((end - first) * WORDS).fill(event).buffer);
}
