import type { Random } from './random.ts';

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512;

/**
 * Bytes that grow: a file's contents, zeros where nobody wrote. They are made of the pieces that were written, which nobody
 * changes any more: a copy of each byte for each file would be most of what a run allocates.
 */
class Contents {
  /** In order, without overlap. */
  #starts: number[] = [];
  #pieces: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  copy(): Contents {
    const copy = new Contents();
    copy.#starts = [...this.#starts];
    copy.#pieces = [...this.#pieces];
    copy.#length = this.#length;
    return copy;
  }

  /** How many bytes there were. */
  read(into: Uint8Array, position: number): number {
    const end = Math.min(this.#length, position + into.length);
    let at = position;
    for (let index = this.#firstBehind(position); at < end; index += 1) {
      const start = Math.min(end, this.#starts[index] ?? end);
      if (start > at) into.fill(0, at - position, start - position);
      at = Math.max(at, start);
      const piece = this.#pieces[index];
      if (piece === undefined || at >= end) continue;
      const stop = Math.min(end, start + piece.length);
      into.set(
        at === start && stop === start + piece.length ? piece : piece.subarray(at - start, stop - start),
        at - position,
      );
      at = stop;
    }
    return Math.max(0, end - position);
  }

  /** Keeps the data. */
  write(data: Uint8Array, position: number): void {
    if (data.length === 0) return;
    const end = position + data.length;
    if (position >= this.#lastEnd) {
      this.#starts.push(position);
      this.#pieces.push(data);
    } else {
      this.#replace(position, end, data);
    }
    this.#length = Math.max(this.#length, end);
  }

  setLength(length: number): void {
    if (length < this.#length) this.#replace(length, this.#length, undefined);
    this.#length = length;
  }

  /** Zeros in [start, end), as far as the contents go. */
  clear(start: number, end: number): void {
    if (start < this.#length) this.#replace(start, end, undefined);
  }

  get #lastEnd(): number {
    const last = this.#pieces.length - 1;
    return last < 0 ? 0 : (this.#starts[last] ?? 0) + (this.#pieces[last]?.length ?? 0);
  }

  /** The first piece that ends behind the position. */
  #firstBehind(position: number): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const end = (this.#starts[middle] ?? 0) + (this.#pieces[middle]?.length ?? 0);
      if (end > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Undefined data: zeros. */
  #replace(from: number, to: number, data: Uint8Array | undefined): void {
    const first = this.#firstBehind(from);
    const starts: number[] = [];
    const pieces: Uint8Array[] = [];
    const add = (start: number, piece: Uint8Array) => {
      starts.push(start);
      pieces.push(piece);
    };
    let past = first;
    for (; past < this.#pieces.length && (this.#starts[past] ?? 0) < to; past += 1) {
      const start = this.#starts[past] ?? 0;
      const piece = this.#pieces[past] as Uint8Array;
      if (start < from) add(start, piece.subarray(0, from - start));
      if (past === first && data !== undefined) add(from, data);
      if (start + piece.length > to) add(to, piece.subarray(to - start));
    }
    if (past === first && data !== undefined) add(from, data);
    this.#starts.splice(first, past - first, ...starts);
    this.#pieces.splice(first, past - first, ...pieces);
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
  /** As the disk was certain to have it after the last loss of power. */
  readonly #base = new Contents();
  /** Since then, in order, numbered through. They stay here when they are synced: few files ever lose power. */
  readonly #changes: Change[] = [];
  #changeFirst = 0;
  /** Those below are certain to be on the disk. */
  #changeUnsynced = 0;

  get length(): number {
    return this.#cached.length;
  }

  read(into: Uint8Array, position: number): number {
    return this.#cached.read(into, position);
  }

  /** Keeps the data. */
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
    return this.#changeFirst + this.#changes.length;
  }

  sync(point: number): void {
    this.#changeUnsynced = Math.max(this.#changeUnsynced, point);
  }

  /** Whether anything was lost that had not been synced, and whether a write was torn. */
  losePower(dice: Random): { lost: boolean; torn: boolean } {
    const outcome = { lost: false, torn: false };
    this.#settle();
    const unsynced = this.#changes.splice(0);
    this.#changeFirst += unsynced.length;
    this.#changeUnsynced = this.#changeFirst;
    if (unsynced.length === 0) return outcome;
    const survivor = this.#base;
    const ageOf = ageDealer(dice, unsynced.length);
    const ageOfLength = ageOf();
    const ageOfSector = new Map<number, number>();
    const lengthSynced = survivor.length;
    let length = lengthSynced;
    for (const [index, change] of unsynced.entries()) {
      const { start, end, lengthAfter: lengthNext } = extentOf(change, length);
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
      length = lengthNext;
    }
    survivor.setLength(lengthAfter(lengthSynced, unsynced.slice(0, ageOfLength)));
    this.#cached = survivor.copy();
    return outcome;
  }

  /** On the disk itself: what was synced behind it is lost. */
  cut(length: number): void {
    this.#settle();
    for (const contents of [this.#cached, this.#base]) contents.setLength(length);
  }

  /** On the disk itself: no sync is involved, and no cache hides it. */
  flipBit(position: number, bit: number): void {
    this.#settle();
    for (const contents of [this.#cached, this.#base]) {
      const byte = Buffer.alloc(1);
      if (contents.read(byte, position) > 0)
        contents.write(Buffer.of(byte.readUInt8(0) ^ (1 << bit)), position);
    }
  }

  /** Brings the base up to the last sync; the changes that are left come after it. */
  #settle(): void {
    for (const change of this.#changes.splice(0, this.#changeUnsynced - this.#changeFirst)) {
      if (change.kind === 'write') this.#base.write(change.data, change.position);
      else this.#base.setLength(change.length);
    }
    this.#changeFirst = this.#changeUnsynced;
  }
}

/** Deals how many of the changes a sector, or the length, has seen. */
function ageDealer(dice: Random, count: number): () => number {
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

function lengthAfter(lengthBefore: number, changes: readonly Change[]): number {
  let length = lengthBefore;
  for (const change of changes) length = extentOf(change, length).lengthAfter;
  return length;
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
