import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import {
  type DurationCounts,
  type Figure,
  type Labels,
  NO_LABELS,
  type Reading,
  type Sample,
} from '../base/metrics.ts';

/** A sample as prom-client writes it; `metricName` where that is not the figure's own. */
interface Value extends Sample {
  readonly metricName?: string;
}

/**
 * Figures in Prometheus' text format, and beside them what its users expect of any Node process: memory, processor, collections of
 * garbage, lag of the event loop, those last two from the first time that somebody asks.
 */
export class PrometheusPage {
  readonly #registry = new Registry();
  #figureCount = 0;

  /** Why it was not known what to show. */
  readonly #onUnreadable: (name: string, error: unknown) => void;

  constructor(onUnreadable: (name: string, error: unknown) => void) {
    this.#onUnreadable = onUnreadable;
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** `figures`: those of the time before, and perhaps more. */
  async text(figures: readonly Figure[]): Promise<string> {
    for (const figure of figures.slice(this.#figureCount)) {
      // Its own classes count by themselves, and look labels up for each count; all that a registry asks of one is this.
      const metric = { ...figure, get: async () => ({ ...figure, values: await this.#valuesOf(figure) }) };
      this.#registry.registerMetric(metric as unknown as Metric);
    }
    this.#figureCount = figures.length;
    return await this.#registry.metrics();
  }

  /** One that cannot be read, such as the space on a broken disk, is no reason to keep the others back. */
  async #valuesOf(figure: Figure): Promise<Value[]> {
    try {
      return await valuesOf(figure);
    } catch (error) {
      this.#onUnreadable(figure.name, error);
      return [];
    }
  }
}

async function valuesOf(figure: Figure): Promise<Value[]> {
  if (figure.type !== 'histogram') return samplesOf(await figure.read());
  const values: Value[] = [];
  for (const { labels, durations } of figure.read())
    values.push(...histogramOf(figure.name, labels, durations));
  return values;
}

function samplesOf(reading: Reading): Sample[] {
  if (reading === undefined) return [];
  return typeof reading === 'number' ? [{ labels: NO_LABELS, value: reading }] : Array.from(reading);
}

function histogramOf(name: string, labels: Labels, durations: DurationCounts): Value[] {
  const { buckets, count, sumSeconds } = durations;
  const metricName = `${name}_bucket`;
  return [
    ...buckets.map(({ upToSeconds, count: value }) => ({
      ...{ metricName, value },
      labels: { ...labels, le: String(upToSeconds) },
    })),
    { metricName, labels: { ...labels, le: '+Inf' }, value: count },
    { metricName: `${name}_sum`, labels, value: sumSeconds },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
