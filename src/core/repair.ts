import type { ChunkHandle, ServerId } from '../base/ids.ts';
import { MINUTE_MS, SECOND_MS } from '../base/units.ts';
import type { ReplicaReport } from './chunk-locations.ts';

/** A repair that failed is tried again after this, and then after twice as long each time. */
const RETRY_MS_MIN = 2 * SECOND_MS;
const RETRY_MS_MAX = 1 * MINUTE_MS;
/** What is known of chunks to repair takes some tens of megabytes at most; the rest is found again when these are done. */
const CHUNKS_MAX = 200_000;

/** Copies of a chunk, as a repair sees them. */
export interface CopyCount {
  /** Members that are there, or have not been away for long enough to count as lost. */
  readonly present: number;
  readonly lost: number;
}

interface Entry {
  copies: number;
  dueMs: number;
  retryMs: number;
  /** Where the last attempt failed. */
  failedAt: ServerId | undefined;
}

/**
 * Chunks that have fewer members than their goal, or lost ones among them: which one is next (§4.3). Those with the fewest
 * copies first; among these, who waits the longest.
 */
export class RepairQueue {
  readonly #entries = new Map<ChunkHandle, Entry>();
  #overflowed = false;

  /** The chunk needs a copy, and is due then. Seen again, it is due at the sooner of the two times. */
  note(chunk: ChunkHandle, copies: number, dueMs: number): void {
    const known = this.#entries.get(chunk);
    if (known !== undefined) {
      known.copies = copies;
      if (known.failedAt === undefined) known.dueMs = Math.min(known.dueMs, dueMs);
    } else if (this.#entries.size < CHUNKS_MAX) {
      this.#entries.set(chunk, { copies, dueMs, retryMs: RETRY_MS_MIN, failedAt: undefined });
    } else {
      this.#overflowed = true;
    }
  }

  /** It has what it needs, or nothing can be done for it. */
  forget(chunk: ChunkHandle): void {
    this.#entries.delete(chunk);
  }

  failed(chunk: ChunkHandle, nowMs: number, at: ServerId | undefined): void {
    const entry = this.#entries.get(chunk);
    if (entry === undefined) return;
    entry.failedAt = at;
    entry.dueMs = nowMs + entry.retryMs;
    entry.retryMs = Math.min(entry.retryMs * 2, RETRY_MS_MAX);
  }

  failedAt(chunk: ChunkHandle): ServerId | undefined {
    return this.#entries.get(chunk)?.failedAt;
  }

  /** The next one that is due and not `busy`. */
  next(nowMs: number, busy: (chunk: ChunkHandle) => boolean): ChunkHandle | undefined {
    let found: { chunk: ChunkHandle; entry: Entry } | undefined;
    for (const [chunk, entry] of this.#entries) {
      if (entry.dueMs > nowMs || busy(chunk)) continue;
      if (found === undefined || isBefore(entry, found.entry)) found = { chunk, entry };
    }
    return found?.chunk;
  }

  /** Chunks were left out for want of room, and there is room again. */
  takeOverflow(): boolean {
    if (!this.#overflowed || this.#entries.size > CHUNKS_MAX / 2) return false;
    this.#overflowed = false;
    return true;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.copies === b.copies ? a.dueMs < b.dueMs : a.copies < b.copies;
}

/** When a chunk is due for a copy; undefined: it needs none, or there is nobody left to copy from. */
export function repairDueMs(
  { present, lost }: CopyCount,
  goal: number,
  { nowMs, graceMs }: { nowMs: number; graceMs: number },
): number | undefined {
  if (present === 0 || present >= goal) return undefined;
  // Who is lost has had the grace already. A place that was given up may have been so a moment ago.
  return lost > 0 ? nowMs : nowMs + graceMs;
}

/**
 * Whether a version is active with as many members as its chunk should have (P4): only then are copies outside of it of no
 * use to anybody (P24). `answers`: what its members said just now.
 */
export function isActiveWithGoal(
  { version, members, goal }: { version: number; members: readonly ServerId[]; goal: number },
  answers: readonly (ReplicaReport | undefined)[],
): boolean {
  if (members.length < goal || answers.length < members.length) return false;
  return answers.every(
    (replica) => replica?.version === version && replica.whole && replica.reconciled && !replica.learner,
  );
}
