import type { Random } from './random.ts';

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512;

/** Bytes that grow: a file's contents, zeros where nobody wrote. */
class Contents {
  #bytes: Buffer;
  #length = 0;

  constructor(from?: Contents) {
    this.#bytes = from === undefined ? Buffer.alloc(0) : Buffer.from(from.view());
    this.#length = this.#bytes.length;
  }

  get length(): number {
    return this.#length;
  }

  view(start = 0, end = this.#length): Buffer {
    return this.#bytes.subarray(start, Math.min(end, this.#length));
  }

  write(data: Uint8Array, position: number): void {
    if (data.length === 0) return;
    if (position + data.length > this.#length) this.setLength(position + data.length);
    this.#bytes.set(data, position);
  }

  setLength(length: number): void {
    if (length < this.#length) this.#bytes.fill(0, length, this.#length);
    if (length > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(length, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#length = length;
  }

  /** Zeros in [start, end), as far as the contents go. */
  clear(start: number, end: number): void {
    if (start < this.#length) this.#bytes.fill(0, start, Math.min(end, this.#length));
  }
}

/** Something done to a file that is not certain to be on the disk yet. */
type Change =
  | { readonly kind: 'write'; readonly position: number; readonly data: Buffer }
  | { readonly kind: 'truncate'; readonly length: number; readonly lengthBefore: number };

/** How a power cut treats one file; each way finds other bugs. */
const LOSSES = ['all', 'nothing', 'tail', 'sectors'] as const;

/**
 * A file as the page cache has it, and as the disk is certain to have it. In between, each sector on the disk may be
 * of any age since the last sync, and so may the length.
 */
export class SimFile {
  readonly kind = 'file';
  #cached = new Contents();
  #durable = new Contents();
  /** In order; the first has the number `#changesDurable`. */
  #changes: Change[] = [];
  #changesDurable = 0;

  get length(): number {
    return this.#cached.length;
  }

  read(into: Uint8Array, position: number): number {
    const found = this.#cached.view(position, position + into.length);
    into.set(found);
    return found.length;
  }

  write(data: Buffer, position: number): void {
    this.#cached.write(data, position);
    this.#changes.push({ kind: 'write', position, data });
  }

  truncate(length: number): void {
    this.#changes.push({ kind: 'truncate', length, lengthBefore: this.#cached.length });
    this.#cached.setLength(length);
  }

  /** What a sync that starts now has to make durable. */
  syncPoint(): number {
    return this.#changesDurable + this.#changes.length;
  }

  sync(point: number): void {
    const count = Math.max(0, point - this.#changesDurable);
    for (const change of this.#changes.splice(0, count)) {
      if (change.kind === 'write') this.#durable.write(change.data, change.position);
      else this.#durable.setLength(change.length);
    }
    this.#changesDurable += count;
  }

  /** Whether anything was lost that had not been synced, and whether a write was torn. */
  losePower(dice: Random): { lost: boolean; torn: boolean } {
    const outcome = { lost: false, torn: false };
    if (this.#changes.length === 0) return outcome;
    const survivor = new Contents(this.#durable);
    const ageOf = this.#ageDealer(dice);
    const ageOfLength = ageOf();
    const ageOfSector = new Map<number, number>();
    let length = this.#durable.length;
    for (const [index, change] of this.#changes.entries()) {
      const { start, end, lengthAfter } = extentOf(change, length);
      survivor.setLength(Math.max(survivor.length, end));
      let kept = 0;
      let missing = 0;
      for (let at = start; at < end; at = sectorEnd(at)) {
        const sector = Math.floor(at / SECTOR_BYTES);
        const age = ageOfSector.get(sector) ?? ageOf();
        ageOfSector.set(sector, age);
        if (index < age) redo(survivor, change, at, Math.min(end, sectorEnd(at)));
        if (index < age) kept += 1;
        else missing += 1;
      }
      outcome.lost ||= missing > 0;
      outcome.torn ||= missing > 0 && kept > 0;
      length = lengthAfter;
    }
    survivor.setLength(this.#lengthAfter(ageOfLength));
    this.#changesDurable += this.#changes.length;
    this.#changes = [];
    this.#durable = survivor;
    this.#cached = new Contents(survivor);
    return outcome;
  }

  /** On the disk itself: no sync is involved, and no cache hides it. */
  flipBit(position: number, bit: number): void {
    for (const contents of [this.#cached, this.#durable]) {
      const [byte] = contents.view(position, position + 1);
      if (byte !== undefined) contents.write(Buffer.of(byte ^ (1 << bit)), position);
    }
  }

  /** Deals how many of the changes a sector, or the length, has seen. */
  #ageDealer(dice: Random): () => number {
    const count = this.#changes.length;
    const loss = dice.pick(LOSSES);
    const tail = dice.below(count + 1);
    return () => {
      switch (loss) {
        case 'all':
          return 0;
        case 'nothing':
          return count;
        case 'tail':
          // The change where it breaks off is torn.
          return tail === count || dice.chance(0.5) ? tail : tail + 1;
        case 'sectors':
          return dice.below(count + 1);
      }
    };
  }

  #lengthAfter(changeCount: number): number {
    let length = this.#durable.length;
    for (const change of this.#changes.slice(0, changeCount)) length = extentOf(change, length).lengthAfter;
    return length;
  }
}

/** The bytes that a change touches in a file of this length, and the length after it. */
function extentOf(change: Change, length: number): { start: number; end: number; lengthAfter: number } {
  if (change.kind === 'write') {
    const end = change.position + change.data.length;
    return {
      start: change.position,
      end,
      lengthAfter: change.data.length === 0 ? length : Math.max(length, end),
    };
  }
  return {
    start: change.length,
    end: Math.max(change.lengthBefore, change.length),
    lengthAfter: change.length,
  };
}

/** The part [from, to) of a change. */
function redo(contents: Contents, change: Change, from: number, to: number): void {
  if (change.kind === 'truncate') contents.clear(from, to);
  else contents.write(change.data.subarray(from - change.position, to - change.position), from);
}

function sectorEnd(position: number): number {
  return (Math.floor(position / SECTOR_BYTES) + 1) * SECTOR_BYTES;
}
