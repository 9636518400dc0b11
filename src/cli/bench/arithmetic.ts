import { SECOND_MS } from '../../base/units.ts';
import { type Figure, SMALL_BYTES } from './figures.ts';

const MEGABYTE = 1e6;
/** Files that a client has at a time which are as long as `--size` says: one that is read, one that is written, its records. */
const LARGE_FILES = 3;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [(sorted.length - 1) >> 1, sorted.length >> 1].map(
    (index) => sorted[index] ?? Number.NaN,
  );
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}

/** The smallest value that so large a part of them does not exceed. `sorted`: ascending. */
export function quantile(sorted: Float64Array, part: number): number {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}

/** Numbers of clients to measure with: doubled each time, up to all of them. */
export function levelsUpTo(clientCount: number): number[] {
  const levels: number[] = [];
  for (let level = 1; level < clientCount; level *= 2) levels.push(level);
  return [...levels, clientCount];
}

export interface FileSizes {
  /** Of each client's large files. */
  readonly sizeBytes: number;
  /** Small ones of each client. */
  readonly fileCount: number;
}

/** Room for what all clients have at a time. */
export function neededBytes(clientCount: number, { sizeBytes, fileCount }: FileSizes): number {
  return clientCount * (LARGE_FILES * sizeBytes + fileCount * SMALL_BYTES);
}

/** What one client did in one step. */
export interface Done {
  readonly operations: number;
  readonly ms: number;
  /** Of each operation. */
  readonly latenciesMs: Float64Array;
}

/** Operations per second of clients that began together: until the last one ended. */
export function operationRate(done: readonly Done[]): number {
  const operations = done.reduce((sum, each) => sum + each.operations, 0);
  return (operations * SECOND_MS) / Math.max(...done.map(({ ms }) => ms));
}

export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export function latencyOf(samples: readonly Float64Array[]): Latency {
  const all = new Float64Array(samples.reduce((sum, { length }) => sum + length, 0));
  let position = 0;
  for (const each of samples) {
    all.set(each, position);
    position += each.length;
  }
  all.sort();
  return { p50: quantile(all, 0.5), p99: quantile(all, 0.99), max: quantile(all, 1) };
}

/** In the figure's unit. */
export function inUnit(figure: Figure, operationsPerSecond: number): number {
  return figure.unit === 'MB/s'
    ? (operationsPerSecond * figure.operationBytes) / MEGABYTE
    : operationsPerSecond;
}
