import {
  type Done,
  type FileSizes,
  inUnit,
  type Latency,
  latencyOf,
  median,
  operationRate,
} from './arithmetic.ts';
import type { Figure } from './figures.ts';
import type { Machine } from './machine.ts';
import type { NetworkPath } from './network-limit.ts';
import type { PlaceFacts } from './place.ts';

/** One figure, with so many clients, at one place. */
export interface Measured {
  /** The median of the rounds, in the figure's unit. */
  readonly rate: number;
  readonly rounds: readonly number[];
  /** Of single operations, in all rounds. */
  readonly latencyMs: Latency;
}

export interface Row {
  readonly figure: Figure;
  readonly clients: number;
  readonly here: Measured;
  readonly there?: Measured | undefined;
}

export interface NetworkResult {
  readonly path: NetworkPath;
  /** How often each written byte crosses what was measured. */
  readonly writtenCrossings: number;
  /** By number of clients. */
  readonly bytesPerSecond: ReadonlyMap<number, number>;
}

export interface Sizes extends FileSizes {
  /** Of one measurement, at most. */
  readonly timeMs: number;
  readonly rounds: number;
}

export interface Results extends Sizes {
  readonly startedAtMs: number;
  readonly tookMs: number;
  readonly machine: Machine;
  readonly here: PlaceFacts;
  readonly there?: PlaceFacts | undefined;
  readonly network?: NetworkResult | undefined;
  readonly rows: readonly Row[];
  /** What has to be known to read the figures. */
  readonly notes: readonly string[];
}

export function measured(figure: Figure, rounds: readonly (readonly Done[])[]): Measured {
  const rates = rounds.map((done) => inUnit(figure, operationRate(done)));
  const latencies = rounds.flatMap((done) => done.map(({ latenciesMs }) => latenciesMs));
  return { rate: median(rates), rounds: rates, latencyMs: latencyOf(latencies) };
}

/** The rate that the network would allow, in the figure's unit; undefined: it is not known, or bounds nothing here. */
export function networkLimit({ network }: Results, { figure, clients }: Row): number | undefined {
  const bytesPerSecond = network?.bytesPerSecond.get(clients);
  if (network === undefined || bytesPerSecond === undefined || figure.direction === undefined)
    return undefined;
  const crossings = figure.direction === 'written' ? network.writtenCrossings : 1;
  return inUnit(figure, bytesPerSecond / crossings / figure.operationBytes);
}

/** Of the network's limit. */
export function share(results: Results, row: Row): number | undefined {
  const limit = networkLimit(results, row);
  return limit === undefined ? undefined : row.here.rate / limit;
}

/** How many times as much as at the other place. */
export function ratio({ here, there }: Row): number | undefined {
  return there === undefined ? undefined : here.rate / there.rate;
}

/** Everything, for programs. */
export function resultsJson(results: Results): unknown {
  const { network, rows, ...others } = results;
  return {
    ...others,
    ...(network === undefined ? {} : { network: networkJson(network) }),
    figures: rows.map((row) => {
      const { name, description, unit, cold } = row.figure;
      return {
        ...{ name, description, unit, cold, clients: row.clients },
        ...row.here,
        networkLimit: networkLimit(results, row),
        shareOfNetwork: share(results, row),
        compare: row.there,
        ratio: ratio(row),
      };
    }),
  };
}

function networkJson({ path, writtenCrossings, bytesPerSecond }: NetworkResult): unknown {
  const limits = [...bytesPerSecond].map(([clients, rate]) => ({ clients, bytesPerSecond: rate }));
  return { path, writtenCrossings, limits };
}
