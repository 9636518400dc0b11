import { must } from '../base/assert.ts';
import type { TaskGroup } from '../base/task-group.ts';
import { MiB } from '../base/units.ts';

/** Changes that go out in one write. (Kernels take 4 MiB in one call far slower, now and then, than four times 1 MiB.) */
const BATCH_BYTES_MAX = 1 * MiB;
const BATCH_COUNT_MAX = 1024;

/**
 * A change goes out with its neighbours in one write; work alone has the replica for itself; an ending is work on a
 * replica that need not be usable any more.
 */
export type JobKind = 'change' | 'alone' | 'ending';

interface Job {
  readonly kind: JobKind;
  readonly run: () => Promise<unknown>;
  /** What it resolved to. */
  answer?: unknown;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What a queue asks of its replica. */
export interface QueueOwner {
  readonly tasks: TaskGroup;
  /** Throws where the replica cannot be used; else its content is there when it resolves. */
  prepare(): Promise<void> | undefined;
  plannedBytes(): number;
  /** Everything planned is in the OS, or the replica is as if it had never been planned. */
  write(): Promise<void>;
  /** After each batch and each piece of work alone. */
  afterwards(): Promise<void> | undefined;
}

/** What is asked of one replica, taken one after another in the order in which it was asked. */
export class ReplicaQueue {
  readonly #owner: QueueOwner;
  readonly #jobs: Job[] = [];
  #busy = false;

  constructor(owner: QueueOwner) {
    this.#owner = owner;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** A change plans what it writes; it is done when that is written. Resolves to what `run` did. */
  add<T>(kind: JobKind, run: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({ kind, run, resolve: (answer) => resolve(answer as T), reject });
      if (!this.#busy) this.#owner.tasks.run(() => this.#drain());
    });
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    while (this.#jobs.length > 0) {
      if (this.#jobs[0]?.kind === 'change') await this.#runChanges();
      else await this.#runAlone();
      await this.#owner.afterwards();
    }
    this.#busy = false;
  }

  async #runAlone(): Promise<void> {
    const job = must(this.#jobs.shift(), 'the queue is not empty');
    try {
      if (job.kind === 'alone') await this.#owner.prepare();
      job.resolve(await job.run());
    } catch (error) {
      job.reject(error);
    }
  }

  /** All changes that wait go out in one write; each is refused or planned on its own. */
  async #runChanges(): Promise<void> {
    const planned: Job[] = [];
    for (let job = this.#jobs[0]; job?.kind === 'change'; job = this.#jobs[0]) {
      this.#jobs.shift();
      try {
        await this.#owner.prepare();
        job.answer = await job.run();
        planned.push(job);
      } catch (error) {
        job.reject(error);
      }
      if (this.#owner.plannedBytes() >= BATCH_BYTES_MAX || planned.length >= BATCH_COUNT_MAX) break;
    }
    if (planned.length === 0) return;
    try {
      await this.#owner.write();
      for (const job of planned) job.resolve(job.answer);
    } catch (error) {
      for (const job of planned) job.reject(error);
    }
  }
}
