import { SECOND_MS } from '../base/units.ts';
import type { OperationCount } from './operation-counters.ts';

/** Long enough to be steady, short enough to be now. */
const WINDOW_MS = 5 * SECOND_MS;
const US_PER_MS = 1000;

/** What passes through a server. */
export interface Traffic {
  readonly readBytesPerSecond: number;
  readonly writtenBytesPerSecond: number;
  readonly operationsPerSecond: number;
  readonly errorsPerSecond: number;
  /** Of clients. */
  readonly readsPerSecond: number;
  readonly mutationsPerSecond: number;
  /** How long one took on average; 0: there was none. */
  readonly readMs: number;
  readonly mutateMs: number;
}

interface Beat {
  readonly atMs: number;
  readonly operations: readonly Readonly<OperationCount>[];
}

/** The traffic of a server, by what it counted from one heartbeat to the next. */
export class RecentTraffic {
  /** The first one says since when; what it counted was before. */
  readonly #beats: Beat[] = [];

  note(operations: readonly Readonly<OperationCount>[], nowMs: number): void {
    this.#beats.push({ atMs: nowMs, operations });
    while (this.#beats.length > 2 && (this.#beats[1]?.atMs ?? nowMs) <= nowMs - WINDOW_MS)
      this.#beats.shift();
  }

  /** Undefined: it has not told enough yet. */
  get average(): Traffic | undefined {
    const [first, ...later] = this.#beats;
    const last = later.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return undefined;
    const operations = later.flatMap((beat) => beat.operations);
    const seconds = (last.atMs - first.atMs) / SECOND_MS;
    const { readBytes, writtenBytes } = bytesOf(operations);
    return {
      readBytesPerSecond: readBytes / seconds,
      writtenBytesPerSecond: writtenBytes / seconds,
      operationsPerSecond: sumOf(operations, ({ count }) => count) / seconds,
      errorsPerSecond: sumOf(operations, ({ errorCount }) => errorCount) / seconds,
      readsPerSecond: sumOf(operations, countOf('Read')) / seconds,
      mutationsPerSecond: sumOf(operations, countOf('Mutate')) / seconds,
      readMs: meanMs(operations, 'Read'),
      mutateMs: meanMs(operations, 'Mutate'),
    };
  }
}

/** Of several servers. */
export function trafficOfAll(servers: readonly Traffic[]): Traffic {
  const sum = (part: (traffic: Traffic) => number) => sumOf(servers, part);
  const readsPerSecond = sum((one) => one.readsPerSecond);
  const mutationsPerSecond = sum((one) => one.mutationsPerSecond);
  return {
    readBytesPerSecond: sum((one) => one.readBytesPerSecond),
    writtenBytesPerSecond: sum((one) => one.writtenBytesPerSecond),
    operationsPerSecond: sum((one) => one.operationsPerSecond),
    errorsPerSecond: sum((one) => one.errorsPerSecond),
    readsPerSecond,
    mutationsPerSecond,
    readMs: ratio(
      sum((one) => one.readMs * one.readsPerSecond),
      readsPerSecond,
    ),
    mutateMs: ratio(
      sum((one) => one.mutateMs * one.mutationsPerSecond),
      mutationsPerSecond,
    ),
  };
}

/** Data that servers gave out, and that they took: pushed, with a mutation or an order, or from another replica. */
export function bytesOf(operations: Iterable<Readonly<OperationCount>>): {
  readBytes: number;
  writtenBytes: number;
} {
  let readBytes = 0;
  let writtenBytes = 0;
  for (const { operation, bytes } of operations) {
    if (operation === 'Read' || operation === 'ReadBlock') readBytes += bytes;
    else writtenBytes += bytes;
  }
  return { readBytes, writtenBytes };
}

function meanMs(operations: readonly Readonly<OperationCount>[], operation: string): number {
  const some = operations.filter((one) => one.operation === operation);
  const latencyUs = sumOf(some, ({ latencyUsSum }) => latencyUsSum);
  return ratio(latencyUs, sumOf(some, countOf(operation))) / US_PER_MS;
}

function countOf(operation: string): (one: Readonly<OperationCount>) => number {
  return (one) => (one.operation === operation ? one.count : 0);
}

function ratio(sum: number, count: number): number {
  return count === 0 ? 0 : sum / count;
}

function sumOf<T>(items: readonly T[], part: (item: T) => number): number {
  return items.reduce((sum, item) => sum + part(item), 0);
}
