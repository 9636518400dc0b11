import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const STOP_MS_MAX = 20_000;

/** A real process that is killed, stopped and started again with the same arguments. */
export class Daemon {
  readonly name: string;
  readonly #argv: readonly string[];
  readonly #logFile: string;
  #process: ChildProcess | undefined;
  #ready: Promise<Readonly<Record<string, unknown>>> | undefined;

  /** `argv` begins with the program; what it says goes to a file in `logDirectory`. */
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
    const [command = '', ...args] = this.#argv;
    const log = openSync(this.#logFile, 'a');
    const started = spawn(command, args, { stdio: ['ignore', log, log, 'ipc'] });
    closeSync(log);
    started.once('exit', () => {
      if (this.#process === started) this.#process = undefined;
    });
    this.#ready = readyMessage(started);
    this.#ready.catch(() => undefined);
    this.#process = started;
  }

  /** What it tells its starter once it serves; rejects with the end of its log when it ended instead. */
  async ready(): Promise<Readonly<Record<string, unknown>>> {
    try {
      return (await this.#ready) ?? {};
    } catch (cause) {
      const log = readFileSync(this.#logFile, 'utf8').slice(-2000);
      throw new Error(`${this.name} does not serve: ${log}`, { cause });
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
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
      sleep(STOP_MS_MAX, false, { ref: false }),
    ]);
    if (!ended) await this.kill();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const ending = this.#process;
    if (ending === undefined) return;
    const ended = once(ending, 'exit');
    ending.kill(signal);
    await ended;
    if (this.#process === ending) this.#process = undefined;
  }
}

function readyMessage(started: ChildProcess): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((resolve, reject) => {
    started.on('message', (message: { ready?: Record<string, unknown> }) => {
      if (message.ready !== undefined) resolve(message.ready);
    });
    started.once('exit', (code, signal) => reject(new Error(`it ended: ${code ?? signal}`)));
  });
}
