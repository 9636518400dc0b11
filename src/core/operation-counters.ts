/** What a server did since it last said so, by operation: for heartbeats and `gfs servers`. */
export class OperationCounters {
  #counters = new Map<string, OperationCount>();

  record(operation: string, outcome: { failed: boolean; bytes: number; latencyUs: number }): void {
    let counter = this.#counters.get(operation);
    if (counter === undefined) {
      counter = { operation, count: 0, errorCount: 0, bytes: 0, latencyUsSum: 0, latencyUsMax: 0 };
      this.#counters.set(operation, counter);
    }
    counter.count += 1;
    if (outcome.failed) counter.errorCount += 1;
    counter.bytes += outcome.bytes;
    counter.latencyUsSum += Math.round(outcome.latencyUs);
    counter.latencyUsMax = Math.max(counter.latencyUsMax, Math.round(outcome.latencyUs));
  }

  /** The counters since the last `take`; operations that did not happen are left out. */
  take(): OperationCount[] {
    const taken = [...this.#counters.values()];
    this.#counters = new Map();
    return taken;
  }
}

export interface OperationCount {
  readonly operation: string;
  count: number;
  errorCount: number;
  bytes: number;
  latencyUsSum: number;
  latencyUsMax: number;
}
