import { type ChildProcess, fork } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import type { Env } from '../../base/env.ts';
import { GfsError } from '../../base/errors.ts';
import { NODE_FLAGS } from '../../base/node-flags.ts';
import { SECOND_MS } from '../../base/units.ts';
import type { Done, FileSizes } from './arithmetic.ts';
import type { Site } from './site.ts';
import type { Answer, Order, Task } from './worker-messages.ts';

/** A client that takes longer to close its session is stuck. */
const ORDERLY_END_MS = 3 * SECOND_MS;

export interface CrewInit {
  readonly env: Env;
  readonly count: number;
  readonly sites: readonly Site[];
  readonly signal: AbortSignal;
}

/** The clients of a measurement, each a process of its own. */
export class Crew {
  readonly #env: Env;
  readonly #workers: readonly WorkerProcess[];
  /** Clients of a cluster have sessions to give back; others are ended in the midst of a call. */
  readonly #haveSessions: boolean;

  constructor({ env, count, sites, signal }: CrewInit) {
    this.#env = env;
    // Without one of them nothing can be measured: nobody waits for the others any more.
    const failing = new AbortController();
    const onDied = (how: string) =>
      failing.abort(new GfsError('UNAVAILABLE', `a client's process ended: ${how}`));
    const either = AbortSignal.any([signal, failing.signal]);
    setMaxListeners(0, either);
    this.#workers = Array.from({ length: count }, () => new WorkerProcess(either, onDied));
    this.#haveSessions = sites.some(({ kind }) => kind === 'cluster');
  }

  /** Before anything is made there: from then on it is removed also when this process is killed. */
  async adopt(sites: readonly Site[]): Promise<void> {
    await this.#each((worker, index) => worker.ask({ kind: 'adopt', index, sites }));
  }

  async begin(sizes: FileSizes): Promise<void> {
    await this.#each((worker) => worker.ask({ kind: 'begin', ...sizes }));
  }

  /** Has the first so many get ready. */
  async prepare(count: number, task: Task): Promise<void> {
    await this.#each((worker) => worker.ask(task), count);
  }

  /** And do it, together. */
  async go(count: number, timeMs: number): Promise<Done[]> {
    const answers = await this.#each((worker) => worker.ask({ kind: 'go', timeMs }), count);
    return answers.flatMap((answer) => (answer.kind === 'done' ? [answer.done] : []));
  }

  /** Resolves when all have ended. */
  async end(): Promise<void> {
    await Promise.all(
      this.#workers.map((worker) => worker.end(this.#env, this.#haveSessions ? ORDERLY_END_MS : 0)),
    );
  }

  async #each(
    order: (worker: WorkerProcess, index: number) => Promise<Answer>,
    count = this.#workers.length,
  ): Promise<Answer[]> {
    return await Promise.all(this.#workers.slice(0, count).map(order));
  }
}

class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #signal: AbortSignal;
  readonly #ended: Promise<unknown>;
  #ending = false;

  constructor(signal: AbortSignal, onDied: (how: string) => void) {
    this.#signal = signal;
    this.#child = fork(join(import.meta.dirname, 'worker.js'), [], {
      execArgv: [...NODE_FLAGS],
      // What is measured goes by as it is, latencies of each operation included.
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('exit', (code, signalName) => {
        resolve(undefined);
        if (!this.#ending) onDied(signalName ?? `exit code ${code}`);
      });
    });
    // That it cannot be started, or be told something as it has just gone.
    this.#child.on('error', ({ message }) => onDied(message));
  }

  /** One task at a time. */
  ask(task: Task): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const settle = (done: () => void) => {
        this.#child.off('message', onMessage);
        this.#signal.removeEventListener('abort', onAbort);
        done();
      };
      const onMessage = (answer: Answer) =>
        settle(() =>
          answer.kind === 'failed' ? reject(new GfsError(answer.code, answer.message)) : resolve(answer),
        );
      const onAbort = () => settle(() => reject(this.#signal.reason));
      this.#child.on('message', onMessage);
      this.#signal.addEventListener('abort', onAbort);
      if (this.#signal.aborted) onAbort();
      else this.#child.send(task);
    });
  }

  async end(env: Env, patienceMs: number): Promise<void> {
    this.#ending = true;
    if (this.#child.pid === undefined) return;
    const timer = env.setTimer(patienceMs, () => this.#child.kill('SIGKILL'));
    if (this.#child.connected) this.#child.send({ kind: 'end' } satisfies Order);
    await this.#ended;
    timer.cancel();
  }
}
