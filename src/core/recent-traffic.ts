import { SECOND_MS } from '../base/units.ts';
import { Latencies } from './latencies.ts';
import type { OperationCount } from './operation-counters.ts';

/** Long enough to be steady, short enough to be now. */
const WINDOW_MS = 5 * SECOND_MS;

/** What passes through a server. */
export interface Traffic {
  readonly readBytesPerSecond: number;
  readonly writtenBytesPerSecond: number;
  readonly operationsPerSecond: number;
  readonly errorsPerSecond: number;
  /** Of clients. */
  readonly readsPerSecond: number;
  readonly mutationsPerSecond: number;
  /** How long those took. */
  readonly reads: Latencies;
  readonly mutations: Latencies;
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
    const reads = latenciesOf(operations, 'Read');
    const mutations = latenciesOf(operations, 'Mutate');
    return {
      readBytesPerSecond: readBytes / seconds,
      writtenBytesPerSecond: writtenBytes / seconds,
      operationsPerSecond: sumOf(operations, ({ count }) => count) / seconds,
      errorsPerSecond: sumOf(operations, ({ errorCount }) => errorCount) / seconds,
      readsPerSecond: reads.count / seconds,
      mutationsPerSecond: mutations.count / seconds,
      reads,
      mutations,
    };
  }
}

/** Of several servers. */
export function trafficOfAll(servers: readonly Traffic[]): Traffic {
  const sum = (part: (traffic: Traffic) => number) => sumOf(servers, part);
  return {
    readBytesPerSecond: sum((one) => one.readBytesPerSecond),
    writtenBytesPerSecond: sum((one) => one.writtenBytesPerSecond),
    operationsPerSecond: sum((one) => one.operationsPerSecond),
    errorsPerSecond: sum((one) => one.errorsPerSecond),
    readsPerSecond: sum((one) => one.readsPerSecond),
    mutationsPerSecond: sum((one) => one.mutationsPerSecond),
    reads: Latencies.merged(servers.map(({ reads }) => reads)),
    mutations: Latencies.merged(servers.map(({ mutations }) => mutations)),
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

function latenciesOf(operations: readonly Readonly<OperationCount>[], operation: string): Latencies {
  return new Latencies(operations.filter((one) => one.operation === operation));
}

function sumOf<T>(items: readonly T[], part: (item: T) => number): number {
  return items.reduce((sum, item) => sum + part(item), 0);
}
