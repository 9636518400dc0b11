import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

// Says of each line that write(2) returned for it. (A shell closes a copy of the file after each redirection.)
const SCRIPT = `
const { openSync, writeSync } = require('node:fs');
const file = openSync(process.argv[1], 'a');
require('node:readline').createInterface(process.stdin).on('line', (line) => {
  writeSync(file, line + '\\n');
  writeSync(1, 'told\\n');
});`;

/**
 * Appends lines to a file that it keeps open, in a process of its own. (A test that did so itself could start no program
 * meanwhile: a fork has the file, too, and closes it, which waits for the master.)
 */
export class LineAppender {
  readonly #program: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ended: Promise<unknown>;
  readonly #told: AsyncIterator<string>;

  constructor(path: string) {
    this.#program = spawn(process.execPath, ['-e', SCRIPT, path], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#ended = once(this.#program, 'exit');
    this.#told = createInterface(this.#program.stdout)[Symbol.asyncIterator]();
  }

  /** Resolves when the line was acknowledged; to false when it was not, and no other will be. */
  async append(line: string): Promise<boolean> {
    this.#program.stdin.write(line);
    return (await this.#told.next()).done !== true;
  }

  async close(): Promise<void> {
    this.#program.stdin.end();
    await this.#ended;
  }
}
