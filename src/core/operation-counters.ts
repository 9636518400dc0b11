import { addLatencyCounts, countLatency, type LatencyCounts } from './latencies.ts';

/** What a server did, by operation: since it last said so, for heartbeats, and since it started. */
export class OperationCounters {
  #counters = new Map<string, OperationCount>();
  /** Of what was taken. */
  readonly #taken = new Map<string, OperationCount>();

  record(operation: string, outcome: { failed: boolean; bytes: number; latencyUs: number }): void {
    let counter = this.#counters.get(operation);
    if (counter === undefined) {
      counter = newCounter(operation);
      this.#counters.set(operation, counter);
    }
    const latencyUs = Math.round(outcome.latencyUs);
    counter.count += 1;
    if (outcome.failed) counter.errorCount += 1;
    counter.bytes += outcome.bytes;
    counter.latencyUsSum += latencyUs;
    counter.latencyUsMax = Math.max(counter.latencyUsMax, latencyUs);
    countLatency(counter.latencyCounts, latencyUs);
  }

  /** The counters since the last `take`; operations that did not happen are left out. */
  take(): OperationCount[] {
    const taken = [...this.#counters.values()];
    this.#counters = new Map();
    for (const counter of taken) addTo(this.#taken, counter);
    return taken;
  }

  /** Everything so far. */
  totals(): Iterable<Readonly<OperationCount>> {
    const totals = new Map<string, OperationCount>();
    for (const counters of [this.#taken, this.#counters])
      for (const counter of counters.values()) addTo(totals, counter);
    return totals.values();
  }
}

export interface OperationCount {
  readonly operation: string;
  count: number;
  errorCount: number;
  bytes: number;
  latencyUsSum: number;
  latencyUsMax: number;
  readonly latencyCounts: LatencyCounts;
}

export function addTo(totals: Map<string, OperationCount>, counter: Readonly<OperationCount>): void {
  let total = totals.get(counter.operation);
  if (total === undefined) {
    total = newCounter(counter.operation);
    totals.set(counter.operation, total);
  }
  total.count += counter.count;
  total.errorCount += counter.errorCount;
  total.bytes += counter.bytes;
  total.latencyUsSum += counter.latencyUsSum;
  total.latencyUsMax = Math.max(total.latencyUsMax, counter.latencyUsMax);
  addLatencyCounts(total.latencyCounts, counter.latencyCounts);
}

function newCounter(operation: string): OperationCount {
  return {
    operation,
    ...{ count: 0, errorCount: 0, bytes: 0 },
    ...{ latencyUsSum: 0, latencyUsMax: 0, latencyCounts: [] },
  };
}
