import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A real process that is killed, stopped and started again with the same arguments. */
export class Daemon {
  readonly name: string;
  readonly #argv: readonly string[];
  readonly #logFile: string;
  #process: ChildProcess | undefined;

  constructor(name: string, argv: readonly string[], logDirectory: string) {
    mkdirSync(logDirectory, { recursive: true });
    this.name = name;
    this.#argv = argv;
    this.#logFile = join(logDirectory, `${name}.log`);
  }

  get running(): boolean {
    return this.#process !== undefined;
  }

  start(): void {
    if (this.#process !== undefined) return;
    const started = spawn(process.execPath, this.#argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(this.#logFile, { flags: 'a' });
    started.stdout.pipe(log, { end: false });
    started.stderr.pipe(log, { end: false });
    started.once('exit', () => {
      if (this.#process === started) this.#process = undefined;
    });
    this.#process = started;
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGSTOP for so long. */
  async pause(ms: number): Promise<void> {
    const stopped = this.#process;
    stopped?.kill('SIGSTOP');
    await sleep(ms);
    stopped?.kill('SIGCONT');
  }

  /** SIGTERM, and -9 if that takes too long. */
  async stop(): Promise<void> {
    const ended = await Promise.race([
      this.#end('SIGTERM').then(() => true),
      sleep(20_000, false, { ref: false }),
    ]);
    if (!ended) await this.kill();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const ending = this.#process;
    if (ending === undefined) return;
    const ended = once(ending, 'exit');
    ending.kill(signal);
    await ended;
    this.#process = undefined;
  }
}
