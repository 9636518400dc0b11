import type { Env } from '../base/env.ts';
import { Durations, type Figure, NO_LABELS } from '../base/metrics.ts';

/** What passes between a process and its files. */
export class DiskFigures {
  readBytes = 0;
  writtenBytes = 0;
  readonly #env: Env;
  readonly #syncs = new Durations();

  constructor(env: Env) {
    this.#env = env;
  }

  async timedSync(sync: Promise<void>): Promise<void> {
    const startMs = this.#env.monotonicMs();
    await sync;
    this.#syncs.record(this.#env.monotonicMs() - startMs);
  }

  figures(): Figure[] {
    return [
      {
        type: 'histogram',
        name: 'gfs_disk_sync_duration_seconds',
        help: 'How long syncs of files took: what a master logged, what a chunkserver was asked to make durable.',
        read: () => [{ labels: NO_LABELS, durations: this.#syncs }],
      },
      {
        type: 'counter',
        name: 'gfs_disk_read_bytes_total',
        help: "Bytes read from files, also where they were in the machine's memory; not those of the mapped tables.",
        read: () => this.readBytes,
      },
      {
        type: 'counter',
        name: 'gfs_disk_written_bytes_total',
        help: 'Bytes written to files; not those of the mapped tables.',
        read: () => this.writtenBytes,
      },
    ];
  }
}
