import { must } from '../base/assert.ts';
import { type Bytes, slice } from '../base/bytes.ts';
import { MUTATION_BYTES_MAX } from '../base/constants.ts';
import type { Env, Timer } from '../base/env.ts';
import { joinedRequestIds } from '../base/request-ids.ts';
import type { TaskGroup } from '../base/task-group.ts';
import { KiB, MiB } from '../base/units.ts';
import {
  type Asked,
  type Dirty,
  DirtyRanges,
  type Epoch,
  NOBODY,
  type Owner,
  type Slice,
} from './dirty-ranges.ts';
import { WriteBudget } from './write-budget.ts';

/** Of one file, at a time: enough to keep every hop busy. */
const IN_FLIGHT_BYTES_MAX = 8 * MiB;
const IN_FLIGHT_COUNT_MAX = 16;
/** A writer who jumps about has this many pieces waiting at most. */
const SEGMENT_COUNT_MAX = 256;
/** Small writes wait so long for others to join them. */
const GATHER_MS = 200;
const COPY_BLOCK_BYTES_MIN = 4 * KiB;
const COPY_BLOCK_BYTES_MAX = 1 * MiB;

/** What all files of a client share: the budget, and the clock that sends small writes out after a while. */
export class WriteBehindShare {
  readonly budget: WriteBudget;
  readonly tasks: TaskGroup;
  readonly #env: Env;
  readonly #gathering = new Set<WriteBehind>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(env: Env, tasks: TaskGroup, limitBytes: number) {
    this.#env = env;
    this.tasks = tasks;
    this.budget = new WriteBudget(limitBytes, () => this.#sendAll());
  }

  /** This file has small writes that wait for more. */
  gathering(file: WriteBehind): void {
    this.#gathering.add(file);
    if (this.#closed) return;
    this.#timer ??= this.#env.setTimer(GATHER_MS, () => {
      this.#timer = undefined;
      this.#sendAll();
    });
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #sendAll(): void {
    const files = [...this.#gathering];
    this.#gathering.clear();
    for (const file of files) file.send();
  }
}

export interface WriteBehindOptions {
  readonly share: WriteBehindShare;
  readonly chunkSizeBytes: number;
  /** Brings one mutation's worth of bytes to the cluster; gives up by itself. */
  readonly write: (fileOffset: number, bytes: Bytes, requestId: string) => Promise<void>;
  /** These bytes are at the cluster. They are lent until it returns. */
  readonly onWritten: (start: number, bytes: Bytes) => void;
  /** Some bytes could not be written; what was waiting behind them is dropped too. */
  readonly onFailed: (error: unknown) => void;
}

interface InFlight extends Dirty {
  readonly bytes: Bytes;
}

/**
 * Writes of one file that were taken and are on their way (§3.1): small ones are gathered into mutations, several
 * mutations are in flight, never two that overlap (P10).
 */
export class WriteBehind {
  readonly #options: WriteBehindOptions;
  readonly #dirty: DirtyRanges;
  readonly #inFlight = new Set<InFlight>();
  /** Epochs with something outstanding, and the current one at the end. */
  readonly #epochs: { epoch: Epoch; waiting: (() => void)[] }[] = [
    { epoch: { number: 0, outstandingBytes: 0 }, waiting: [] },
  ];
  #inFlightBytes = 0;
  #holdCount = 0;
  #block: { buffer: Buffer; used: number } = { buffer: Buffer.alloc(0), used: 0 };

  constructor(options: WriteBehindOptions) {
    this.#options = options;
    const unitBytes = Math.min(MUTATION_BYTES_MAX, options.chunkSizeBytes);
    this.#dirty = new DirtyRanges(unitBytes, (dropped) => this.#done(dropped));
  }

  /** Nothing is waiting and nothing in flight. */
  get isIdle(): boolean {
    return this.#inFlight.size === 0 && this.#dirty.bytes === 0;
  }

  /** Outstanding. */
  get bytes(): number {
    return this.#dirty.bytes + this.#inFlightBytes;
  }

  /** Where the furthest outstanding byte ends; 0 when there is none. */
  get end(): number {
    let end = this.#dirty.end;
    for (const mutation of this.#inFlight) end = Math.max(end, mutation.end);
    return end;
  }

  /** Takes a write for which there is room in the budget. Without an owner the bytes are copied. */
  accept(fileOffset: number, bytes: Uint8Array, owner: Owner | undefined, asked: Asked | undefined): void {
    const { epoch } = must(this.#epochs.at(-1), 'there is a current epoch');
    const kept = owner === undefined ? this.#copy(bytes) : bytes;
    this.#dirty.put(fileOffset, { bytes: kept, epoch, owner, asked: asked === undefined ? NOBODY : [asked] });
    if (this.#dirty.segmentCount > SEGMENT_COUNT_MAX) this.#dirty.force();
    this.#pump();
    if (this.#dirty.bytes > 0) this.#options.share.gathering(this);
  }

  /** What waits for more bytes to join it goes out now. */
  send(): void {
    this.#dirty.force();
    this.#pump();
  }

  /** What is not in flight yet is given up. */
  dropWaiting(error: unknown): void {
    if (this.#dirty.bytes === 0) return;
    this.#dirty.dropAll();
    this.#options.onFailed(error);
  }

  /** Resolves when all that was taken so far is at the cluster, or given up. */
  async drained(): Promise<void> {
    if (this.isIdle) return;
    const current = must(this.#epochs.at(-1), 'there is a current epoch');
    if (current.epoch.outstandingBytes > 0) {
      this.#epochs.push({ epoch: { number: current.epoch.number + 1, outstandingBytes: 0 }, waiting: [] });
    }
    const last = this.#epochs.at(-2);
    this.send();
    if (last !== undefined && this.#epochs.includes(last)) {
      await new Promise<void>((resolve) => last.waiting.push(resolve));
    }
  }

  /** Nothing new is sent until it is disposed: the file's length is being changed meanwhile. */
  hold(): Disposable {
    this.#holdCount += 1;
    return {
      [Symbol.dispose]: () => {
        this.#holdCount -= 1;
        this.#pump();
      },
    };
  }

  /** What [start, end) of the file will hold that the cluster may not yet: in order, copied. */
  overlay(start: number, end: number): { start: number; end: number; bytes: Bytes }[] {
    if (this.isIdle) return [];
    let pieces: Dirty[] = [];
    for (const older of this.#inFlight) {
      if (older.start < end && older.end > start) pieces.push(older);
    }
    for (const newer of this.#dirty.overlapping(start, end)) pieces = over(pieces, newer);
    return pieces
      .filter((piece) => piece.start < end && piece.end > start)
      .sort((a, b) => a.start - b.start)
      .map((piece) => {
        const from = Math.max(start, piece.start);
        const to = Math.min(end, piece.end);
        const views = slice(viewsOf(piece.slices), from - piece.start, to - piece.start);
        // Their owner may use the buffers again before the reader has read.
        return { start: from, end: to, bytes: [Buffer.concat(views)] };
      });
  }

  #pump(): void {
    while (
      this.#holdCount === 0 &&
      this.#inFlight.size < IN_FLIGHT_COUNT_MAX &&
      this.#inFlightBytes < IN_FLIGHT_BYTES_MAX
    ) {
      const next = this.#dirty.take((start, end) => this.#overlapsInFlight(start, end));
      if (next === undefined) return;
      // A segment that goes on living is not the one in flight.
      const { start, end, slices } = next;
      this.#start({ start, end, slices, bytes: viewsOf(slices) });
    }
  }

  #start(mutation: InFlight): void {
    const { share, write, onWritten, onFailed } = this.#options;
    this.#inFlight.add(mutation);
    this.#inFlightBytes += mutation.end - mutation.start;
    share.tasks.run(async () => {
      try {
        await write(mutation.start, mutation.bytes, joinedRequestIds(namesOf(mutation)));
        onWritten(mutation.start, mutation.bytes);
      } catch (error) {
        // By then nothing of it is outstanding: the file is no longer than what arrived.
        this.#inFlight.delete(mutation);
        this.#dirty.dropAll();
        onFailed(error);
      } finally {
        this.#inFlight.delete(mutation);
        this.#inFlightBytes -= mutation.end - mutation.start;
        mutation.slices.forEach((part) => {
          this.#done(part);
        });
        this.#pump();
      }
    });
  }

  #overlapsInFlight(start: number, end: number): boolean {
    for (const mutation of this.#inFlight) {
      if (mutation.start < end && mutation.end > start) return true;
    }
    return false;
  }

  #done({ bytes, epoch, owner }: Slice): void {
    epoch.outstandingBytes -= bytes.length;
    if (owner !== undefined) giveBack(owner, bytes.length);
    this.#options.share.budget.give(bytes.length);
    if (epoch.outstandingBytes === 0) this.#settle();
  }

  /** Epochs end in order: the first whose bytes are outstanding holds up those behind it. */
  #settle(): void {
    for (let first = this.#epochs[0]; first !== undefined; first = this.#epochs[0]) {
      if (this.#epochs.length === 1 || first.epoch.outstandingBytes > 0) return;
      this.#epochs.shift();
      for (const resolve of first.waiting) resolve();
    }
  }

  /** Copies into a block of our own, where the next write's bytes come to lie right behind. */
  #copy(bytes: Uint8Array): Uint8Array {
    const room = this.#block.buffer.length - this.#block.used;
    if (bytes.length > room) {
      // A file's first small write gets just its size; one that goes on writing gets ever larger blocks.
      const grown = Math.max(COPY_BLOCK_BYTES_MIN, this.#block.buffer.length * 4);
      const size = this.#block.buffer.length === 0 ? bytes.length : Math.min(grown, COPY_BLOCK_BYTES_MAX);
      this.#block = { buffer: Buffer.allocUnsafeSlow(Math.max(size, bytes.length)), used: 0 };
    }
    const { buffer, used } = this.#block;
    buffer.set(bytes, used);
    this.#block.used += bytes.length;
    return buffer.subarray(used, used + bytes.length);
  }
}

/** So much less of the buffer is needed; its owner gets it back with the last of it. */
export function giveBack(owner: Owner, bytes: number): void {
  owner.remainingBytes -= bytes;
  if (owner.remainingBytes === 0) owner.release();
}

/** Of the operations that wrote it. */
function* namesOf({ slices }: Dirty): Iterable<string> {
  for (const { asked } of slices) {
    for (const { requestId } of asked) if (requestId !== undefined) yield requestId;
  }
}

function viewsOf(slices: readonly Slice[]): Bytes {
  return slices.map(({ bytes }) => bytes);
}

/** The pieces with `newer` on top of them. */
function over(pieces: readonly Dirty[], newer: Dirty): Dirty[] {
  const result: Dirty[] = [newer];
  for (const { start, end, slices } of pieces) {
    if (end <= newer.start || start >= newer.end) result.push({ start, end, slices });
    if (start < newer.start && end > newer.start) result.push(cut(slices, start, start, newer.start));
    if (end > newer.end && start < newer.end) result.push(cut(slices, start, newer.end, end));
  }
  return result;
}

function cut(slices: readonly Slice[], start: number, from: number, to: number): Dirty {
  const views = slice(viewsOf(slices), from - start, to - start);
  const { epoch } = must(slices[0], 'a mutation is not empty');
  return {
    start: from,
    end: to,
    slices: views.map((bytes) => ({ bytes, epoch, owner: undefined, asked: NOBODY })),
  };
}
