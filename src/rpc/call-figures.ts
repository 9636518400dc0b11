import { Durations, type Figure, type Sample } from '../base/metrics.ts';
import type { Route } from './contract.ts';

/** What is known of the calls of one side, by method: over all connections and transports of a `NodeNetwork`. */
export class CallFigures {
  readonly #methods = new Map<Route, MethodFigures>();

  of(route: Route): MethodFigures {
    let figures = this.#methods.get(route);
    if (figures === undefined) {
      figures = new MethodFigures(route.fullName);
      this.#methods.set(route, figures);
    }
    return figures;
  }

  /** As they are shown: `side` goes into their names, `whose` into what is said of them. */
  figures(side: 'server' | 'client', whose: string): Figure[] {
    const prefix = `gfs_rpc_${side}`;
    const each = (read: (figures: MethodFigures) => number) => (): Sample[] =>
      [...this.#methods.values()].map((figures) => ({ labels: figures.labels, value: read(figures) }));
    return [
      {
        type: 'histogram',
        name: `${prefix}_duration_seconds`,
        help: `How long calls ${whose} took, from the request to the answer; streams: as long as they were open.`,
        read: () => this.#methods.values(),
      },
      {
        type: 'counter',
        name: `${prefix}_calls_total`,
        help: `Calls ${whose} that have ended, by what came of them: OK, or the code of an error.`,
        read: () => [...this.#methods.values()].flatMap((figures) => figures.outcomes()),
      },
      {
        type: 'gauge',
        name: `${prefix}_calls_in_flight`,
        help: `Calls ${whose} that have not ended.`,
        read: each(({ inFlight }) => inFlight),
      },
      {
        type: 'counter',
        name: `${prefix}_received_bytes_total`,
        help: `Bytes received in calls ${whose}: messages, and the data beside them.`,
        read: each(({ receivedBytes }) => receivedBytes),
      },
      {
        type: 'counter',
        name: `${prefix}_sent_bytes_total`,
        help: `Bytes sent in calls ${whose}: messages, and the data beside them.`,
        read: each(({ sentBytes }) => sentBytes),
      },
    ];
  }
}

/** Of one method. Kept by each call, so that nothing is looked up when bytes come. */
export class MethodFigures {
  readonly labels: { readonly method: string };
  readonly durations = new Durations();
  receivedBytes = 0;
  sentBytes = 0;
  inFlight = 0;
  #okCount = 0;
  readonly #failures = new Map<string, number>();

  constructor(method: string) {
    this.labels = { method };
  }

  begun(): void {
    this.inFlight += 1;
  }

  ended(durationMs: number, code: string): void {
    this.inFlight -= 1;
    this.durations.record(durationMs);
    if (code === OK) this.#okCount += 1;
    else this.#failures.set(code, (this.#failures.get(code) ?? 0) + 1);
  }

  outcomes(): Sample[] {
    return [[OK, this.#okCount] as const, ...this.#failures].map(([code, value]) => ({
      labels: { ...this.labels, code },
      value,
    }));
  }
}

/** What came of a call that went well. */
export const OK = 'OK';
