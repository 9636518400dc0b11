// Processes that run seeds, one for each processor.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { WorkloadName } from './story.ts';

/** What a worker is asked for, and what it answers. */
export interface Task {
  readonly seed: number;
  readonly twice: boolean;
  readonly workloads: readonly WorkloadName[] | undefined;
}
export type Outcome =
  | {
      readonly traceHash: string;
      readonly counts: readonly (readonly [string, number])[];
      /** Of the processor. */
      readonly seconds: number;
    }
  | { readonly error: string };

export interface Work {
  /** Undefined: there are no more. */
  nextSeed(): number | undefined;
  readonly twice: (seed: number) => boolean;
  readonly workloads: readonly WorkloadName[] | undefined;
}

export class Pool {
  readonly #workers: readonly ChildProcess[];

  constructor() {
    // A young generation that holds a whole run is collected a third as often; helpers would take the other worker's processor.
    const execArgv = ['--max-semi-space-size=64', '--single-threaded-gc'];
    this.#workers = Array.from({ length: availableParallelism() }, () =>
      fork(join(import.meta.dirname, 'worker.js'), { execArgv }),
    );
  }

  async run(work: Work, onOutcome: (seed: number, outcome: Outcome) => void): Promise<void> {
    await Promise.all(this.#workers.map((worker) => drive(worker, work, onOutcome)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.#workers) worker.disconnect();
    await Promise.all(this.#workers.map((worker) => worker.exitCode ?? once(worker, 'exit')));
  }
}

async function drive(
  worker: ChildProcess,
  { nextSeed, twice, workloads }: Work,
  onOutcome: (seed: number, outcome: Outcome) => void,
): Promise<void> {
  for (let seed = nextSeed(); seed !== undefined; seed = nextSeed()) {
    const task: Task = { seed, twice: twice(seed), workloads };
    worker.send(task);
    const [outcome] = (await once(worker, 'message')) as [Outcome];
    onOutcome(seed, outcome);
  }
}
