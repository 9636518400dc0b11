import type { Env, Timer } from '../base/env.ts';
import { messageOf } from '../base/errors.ts';
import type { TaskGroup } from '../base/task-group.ts';

/** So long a close may wait for a command to go with. */
const WAIT_MS = 10;
/** After the master did not answer. */
const RETRY_MS = 1000;
/** One command takes so many along. */
const COUNT_MAX = 1024;

export interface ClosedFilesOptions {
  readonly env: Env;
  readonly tasks: TaskGroup;
  /** A command, for the sake of those that are taken along. */
  readonly tell: () => Promise<void>;
}

/**
 * Files that were only read, and are closed: of those the master need not know more than that, nor at once. It hears of them with
 * the next command, which is often the next file's opening, or a moment later.
 */
export class ClosedFiles {
  readonly #options: ClosedFilesOptions;
  #openIds: number[] = [];
  #timer: Timer | undefined;
  #isOver = false;

  constructor(options: ClosedFilesOptions) {
    this.#options = options;
  }

  add(openId: number): void {
    this.#openIds.push(openId);
    this.#tellIn(WAIT_MS);
  }

  /** For a command that is about to be sent. */
  take(): number[] {
    return this.#openIds.splice(0, COUNT_MAX);
  }

  /** The command may not have been heard. Heard twice, they do no harm. */
  putBack(openIds: readonly number[]): void {
    if (openIds.length === 0) return;
    this.#openIds.push(...openIds);
    this.#tellIn(RETRY_MS);
  }

  /** Their session ended, and all that was open in it. */
  forget(): void {
    this.#openIds = [];
  }

  /** Nothing more is told. */
  close(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  #tellIn(delayMs: number): void {
    const { env, tasks, tell } = this.#options;
    if (this.#isOver || this.#timer !== undefined) return;
    this.#timer = env.setTimer(delayMs, () => {
      this.#timer = undefined;
      if (this.#openIds.length === 0) return;
      tasks.run(async () => {
        try {
          while (this.#openIds.length > 0) await tell();
        } catch (error) {
          env.log
            .of('files')
            .debug({ error: messageOf(error) }, 'the master has not heard which files are closed');
        }
      });
    });
  }
}
