import { must } from '../base/assert.ts';
import { GfsError } from '../base/errors.ts';
import type { Result } from '../base/result.ts';
import type { Command, CommandResult } from '../core/metadata/commands.ts';

/** Applied without a pause: some milliseconds. */
const BATCH_COUNT_MAX = 256;
/** More than all clients together have in flight; beyond it they are told to come back. */
const WAITING_COUNT_MAX = 65_536;

/**
 * Group commit: while one batch is on its way to the disk, the next one gathers, so that all that wait share one fsync.
 */
export class CommandQueue {
  readonly #write: (commands: readonly Command[]) => Promise<Result<CommandResult>[]>;
  readonly #run: (work: () => Promise<void>) => void;
  readonly #waiting: Waiting[] = [];
  /** What is waiting or on its way, of commands that sessions numbered: a retry joins the first try. */
  readonly #numbered = new Map<string, Promise<Result<CommandResult>>>();
  #pumping = false;
  #failure: GfsError | undefined;

  constructor(options: {
    /** Makes a batch durable and applies it; after it failed once the queue takes nothing more. */
    write: (commands: readonly Command[]) => Promise<Result<CommandResult>[]>;
    /** Runs work that somebody else waits for. */
    run: (work: () => Promise<void>) => void;
  }) {
    this.#write = options.write;
    this.#run = options.run;
  }

  /** The answer that a first try of the same command is still waiting for. */
  waiting(command: Command): Promise<Result<CommandResult>> | undefined {
    return this.#numbered.get(keyOf(command) ?? '');
  }

  /**
   * `lastCheck` may refuse when all commands before this one are applied, and none is between it and its application: for what
   * cannot be told from the tables when it is applied.
   */
  add(command: Command, lastCheck?: LastCheck): Promise<Result<CommandResult>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#waiting.length >= WAITING_COUNT_MAX) {
      return Promise.reject(new GfsError('UNAVAILABLE', 'too many commands are waiting for the disk'));
    }
    const answer = new Promise<Result<CommandResult>>((resolve, reject) => {
      this.#waiting.push({ command, lastCheck, resolve, reject });
    });
    const key = keyOf(command);
    if (key !== undefined) this.#numbered.set(key, answer);
    if (!this.#pumping) {
      this.#pumping = true;
      this.#run(() => this.#pump());
    }
    return answer;
  }

  async #pump(): Promise<void> {
    // Commands that are given in the same turn go together.
    await undefined;
    while (this.#waiting.length > 0) {
      const batch = this.#nextBatch();
      if (batch.length === 0) continue;
      try {
        const results = await this.#write(batch.map(({ command }) => command));
        for (const [index, waiting] of batch.entries())
          this.#answer(waiting, must(results[index], 'a result each'));
      } catch (cause) {
        // Whether these were carried out, only recovery can tell.
        const error = new GfsError('UNAVAILABLE', 'the master could not write its log', { cause });
        this.#failure = error;
        for (const waiting of [...batch, ...this.#waiting.splice(0)]) this.#abandon(waiting, error);
        throw cause;
      }
    }
    this.#pumping = false;
  }

  /** Up to the next command that wants a last look at what these leave behind; or that one, unless it is refused. */
  #nextBatch(): Waiting[] {
    const [first] = this.#waiting;
    const refusal = first?.lastCheck?.();
    if (first !== undefined && refusal !== undefined) {
      this.#waiting.shift();
      this.#answer(first, refusal);
      return [];
    }
    const next = this.#waiting.findIndex(({ lastCheck }, index) => index > 0 && lastCheck !== undefined);
    const alone = first?.lastCheck === undefined ? BATCH_COUNT_MAX : 1;
    return this.#waiting.splice(0, Math.min(alone, next === -1 ? alone : next));
  }

  #answer({ command, resolve }: Waiting, result: Result<CommandResult>): void {
    this.#numbered.delete(keyOf(command) ?? '');
    resolve(result);
  }

  #abandon({ command, reject }: Waiting, error: GfsError): void {
    this.#numbered.delete(keyOf(command) ?? '');
    reject(error);
  }
}

/** Why a command cannot be carried out after all; undefined: it can. */
export type LastCheck = () => Result<never> | undefined;

interface Waiting {
  readonly command: Command;
  readonly lastCheck: LastCheck | undefined;
  readonly resolve: (result: Result<CommandResult>) => void;
  readonly reject: (error: GfsError) => void;
}

function keyOf({ context: { session, number } }: Command): string | undefined {
  return session === 0 ? undefined : `${session}:${number}`;
}
