/**
 * Figures about a process, for those who watch it. Whoever knows a number says once how it is read; it is read when somebody
 * asks, so that nobody pays for figures that nobody looks at, and nothing is counted twice.
 */
export interface Metrics {
  add(figures: readonly Figure[]): void;
}

/** For processes that nobody watches, such as those of the simulator. */
export const noMetrics: Metrics = { add() {} };

/**
 * Named as Prometheus wants it: "gfs_" and what it is about, the base unit (`_seconds`, `_bytes`), and `_total` where it only
 * ever goes up.
 */
export type Figure = NumberFigure | DurationsFigure;

export interface NumberFigure {
  /** A counter only goes up, while its process lives; a gauge goes both ways. */
  readonly type: 'counter' | 'gauge';
  readonly name: string;
  /** A sentence for people. */
  readonly help: string;
  readonly read: () => Reading | Promise<Reading>;
}

export interface DurationsFigure {
  readonly type: 'histogram';
  readonly name: string;
  readonly help: string;
  readonly read: () => Iterable<{ readonly labels: Labels; readonly durations: DurationCounts }>;
}

/** Few, and of few values each: every combination is a series of its own for ever. */
export type Labels = Readonly<Record<string, string>>;

/** A number, or one for each of several labels. Undefined: it is not known. */
export type Reading = number | undefined | Iterable<Sample>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

export const NO_LABELS: Labels = {};

/** How long something took, how often, as it is shown. */
export interface DurationCounts {
  readonly count: number;
  readonly sumSeconds: number;
  /** How many took no longer than each of `BOUNDS_MS`. */
  readonly buckets: readonly { readonly upToSeconds: number; readonly count: number }[];
}

/** From what a call over loopback takes to what nobody waits for. */
export const BOUNDS_MS: readonly number[] = [
  0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000,
];

/** Recording is a few comparisons and additions: it happens in every call. */
export class Durations implements DurationCounts {
  /** Of those up to each bound and above the one before; the last are above all bounds. */
  readonly #counts = new Float64Array(BOUNDS_MS.length + 1);
  #sumMs = 0;

  record(durationMs: number): void {
    let index = 0;
    while (index < BOUNDS_MS.length && durationMs > (BOUNDS_MS[index] ?? 0)) index += 1;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sumMs += durationMs;
  }

  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  get sumSeconds(): number {
    return this.#sumMs / 1000;
  }

  get buckets(): DurationCounts['buckets'] {
    let count = 0;
    return BOUNDS_MS.map((boundMs, index) => {
      count += this.#counts[index] ?? 0;
      return { upToSeconds: boundMs / 1000, count };
    });
  }
}
