import { getSystemErrorName } from 'node:util';
import type { Env } from '../src/base/env.ts';
import { Durations, type Figure, type Sample } from '../src/base/metrics.ts';
import type { Operation } from './wire/requests.ts';

/** libfuse asks also what the kernel driver is never asked. */
export type Kind = Operation['kind'] | 'access';

/** What a driver knows of the requests themselves. */
interface Requests {
  /** By operation. */
  readonly counts: () => Readonly<Record<string, number>>;
  readonly inFlightCount: () => number;
}

/** What is known of the operations that the file system was asked for. What is answered on the spot is counted elsewhere. */
export class FuseFigures {
  readBytes = 0;
  writtenBytes = 0;
  readonly #env: Env;
  readonly #durations = new Map<Kind, Durations>();
  /** By operation and errno. */
  readonly #errors = new Map<Kind, Map<number, number>>();

  constructor(env: Env) {
    this.#env = env;
  }

  /** For `done`. */
  begin(): number {
    return this.#env.monotonicMs();
  }

  /** How long it took. */
  done(kind: Kind, begunMs: number): number {
    let durations = this.#durations.get(kind);
    if (durations === undefined) {
      durations = new Durations();
      this.#durations.set(kind, durations);
    }
    const durationMs = this.#env.monotonicMs() - begunMs;
    durations.record(durationMs);
    return durationMs;
  }

  failed(kind: Kind, errno: number): void {
    const counts = this.#errors.get(kind) ?? new Map<number, number>();
    this.#errors.set(kind, counts.set(errno, (counts.get(errno) ?? 0) + 1));
  }

  figures({ counts, inFlightCount }: Requests): Figure[] {
    return [
      {
        type: 'counter',
        name: 'gfs_fuse_requests_total',
        help: 'What the kernel asked for, by operation, also what was answered on the spot.',
        read: () => Object.entries(counts()).map(([operation, value]) => ({ labels: { operation }, value })),
      },
      {
        type: 'gauge',
        name: 'gfs_fuse_requests_in_flight',
        help: 'Requests that the kernel waits for.',
        read: inFlightCount,
      },
      {
        type: 'histogram',
        name: 'gfs_fuse_operation_duration_seconds',
        help: 'How long operations took that were not answered on the spot, from the request to the answer.',
        read: () =>
          [...this.#durations].map(([operation, durations]) => ({ labels: { operation }, durations })),
      },
      {
        type: 'counter',
        name: 'gfs_fuse_errors_total',
        help: 'Operations that were answered with an error, some of which are ordinary, as ENOENT of a lookup.',
        read: () => this.#errorSamples(),
      },
      {
        type: 'counter',
        name: 'gfs_fuse_read_bytes_total',
        help: "Bytes of files that the kernel read; what programs read from the kernel's own cache is not in it.",
        read: () => this.readBytes,
      },
      {
        type: 'counter',
        name: 'gfs_fuse_written_bytes_total',
        help: 'Bytes of files that the kernel wrote.',
        read: () => this.writtenBytes,
      },
    ];
  }

  #errorSamples(): Sample[] {
    return [...this.#errors].flatMap(([operation, counts]) =>
      [...counts].map(([errno, value]) => ({
        labels: { operation, errno: getSystemErrorName(-errno) },
        value,
      })),
    );
  }
}
