// A program that takes locks: `lock-program.py`, told line by line what to do.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from './cluster.ts';

const SCRIPT = join(ROOT, 'test/e2e/lock-program.py');
/** fcntl(2) and flock(2), by the numbers of x86-64 and of arm64. */
const LOCK_CALLS = ['72', '73', '25', '32'];

/** Why no such program runs here; undefined: it does. */
export function whyNoPython(): string | undefined {
  return spawnSync('python3', ['-c', 'import fcntl']).status === 0 ? undefined : 'there is no python3';
}

export class LockProgram {
  readonly #process: ChildProcess;
  readonly #answers: ((line: string) => void)[] = [];

  constructor() {
    this.#process = spawn('python3', [SCRIPT], { stdio: ['pipe', 'pipe', 'inherit'] });
    if (this.#process.stdout === null) throw new Error('its output is a pipe');
    createInterface(this.#process.stdout).on('line', (line) => this.#answers.shift()?.(line));
    this.#process.once('exit', () => {
      for (const answer of this.#answers.splice(0)) answer('ended');
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Does one thing; resolves to its answer. */
  do(line: string): Promise<string> {
    return new Promise((resolve) => {
      this.#answers.push(resolve);
      this.#process.stdin?.write(`${line}\n`);
    });
  }

  /** Begins to wait for a lock; resolves when it does, to the answer that will come. */
  async beginsToWait(line: string): Promise<{ readonly answer: Promise<string> }> {
    let over = false;
    const answer = this.do(line).finally(() => {
      over = true;
    });
    while (!over && !this.#isInLockCall()) await sleep(5);
    return { answer };
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }

  #isInLockCall(): boolean {
    const [call = ''] = readFileSync(`/proc/${this.pid}/syscall`, 'latin1').split(' ');
    return LOCK_CALLS.includes(call);
  }
}
