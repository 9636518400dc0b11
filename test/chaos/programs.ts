import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../e2e/cluster.ts';
import { readManifest, type Told } from './verdict.ts';

const SHELL_WRITER = join(ROOT, 'test/chaos/shell-writer.sh');

/** The programs that use the mounts during a run, each with a manifest of its own. */
export class Programs {
  readonly #directory: string;
  readonly #timerWriter: string | undefined;
  readonly #manifests = new Map<string, string>();
  readonly #copies: string[] = [];
  #writers: ChildProcess[] = [];
  #readers: ChildProcess[] = [];

  /** `directory` is where manifests go; `timerWriter` the compiled program, if there is a compiler. */
  constructor(directory: string, timerWriter: string | undefined) {
    this.#directory = directory;
    this.#timerWriter = timerWriter;
  }

  /** What readers saw of the log. */
  get copies(): readonly string[] {
    return this.#copies;
  }

  /** Starts writers of every kind in a directory of a mount; `other` is the same one on another mount. */
  startWriters(mount: number, directory: string, other: string): void {
    const log = join(directory, 'log');
    for (const name of [`a${mount}`, `b${mount}`]) {
      const script = join(import.meta.dirname, 'writer.js');
      this.#writers.push(spawnQuiet(process.execPath, script, directory, other, this.#manifest(name), name));
    }
    const shell = `shell${mount}`;
    this.#writers.push(spawnQuiet('bash', SHELL_WRITER, log, this.#manifest(shell), shell));
    const timer = `timer${mount}`;
    if (this.#timerWriter !== undefined)
      this.#writers.push(spawnQuiet(this.#timerWriter, log, this.#manifest(timer), timer, '0'));
  }

  /** Starts a reader; one that is `strict` minds when the file ends within a line. */
  startReader(mount: number, directory: string, { strict }: { readonly strict: boolean }): void {
    const reader = `reader${mount}`;
    const copy = join(this.#directory, `${reader}.copy`);
    writeFileSync(copy, '');
    this.#copies.push(copy);
    const script = join(import.meta.dirname, 'reader.js');
    const args = [join(directory, 'log'), copy, this.#manifest(reader), strict ? 'strict' : 'lenient'];
    this.#readers.push(spawnQuiet(process.execPath, script, ...args));
  }

  /** kill -9 to all writers; what they were told is in their manifests. */
  async stopWriters(): Promise<void> {
    await endAll(this.#writers);
    this.#writers = [];
  }

  async stopReaders(): Promise<void> {
    await endAll(this.#readers);
    this.#readers = [];
  }

  told(): Told[] {
    return [...this.#manifests].map(([name, path]) => readManifest(name, readFileSync(path, 'utf8')));
  }

  #manifest(name: string): string {
    const path = join(this.#directory, `${name}.manifest`);
    writeFileSync(path, '');
    this.#manifests.set(name, path);
    return path;
  }
}

function spawnQuiet(command: string, ...args: string[]): ChildProcess {
  return spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
}

async function endAll(programs: readonly ChildProcess[]): Promise<void> {
  for (const program of programs) {
    if (program.exitCode !== null || program.signalCode !== null) continue;
    const ended = once(program, 'exit');
    program.kill('SIGKILL');
    await ended;
  }
}
