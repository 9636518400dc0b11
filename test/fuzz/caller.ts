import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Longer than any call takes that ends at all. */
const ANSWER_MS_MAX = 120_000;

export interface Answer {
  /** What the call returned, or `!` and the errno. */
  readonly text: string;
  readonly milliseconds: number;
}

/** A process that makes system calls in a directory, which is its root (calls.cc). */
export class Caller {
  readonly #process: ChildProcess;
  readonly #answers: Answer[] = [];
  #wake: () => void = () => undefined;
  #ended = false;

  /** `sideCount`: how many mounts' programs the calls are of. */
  constructor(program: string, directory: string, sideCount: number) {
    this.#process = spawn(program, [directory, String(sideCount)], { stdio: ['pipe', 'pipe', 'inherit'] });
    // A process that ended is told of by its exit.
    this.#process.stdin?.on('error', () => undefined);
    this.#process.once('exit', () => {
      this.#ended = true;
      this.#wake();
    });
    if (this.#process.stdout === null) throw new Error('no output');
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      this.#answers.push(answerOf(line));
      this.#wake();
    });
  }

  /** Makes these calls, one after the other: an answer for each. */
  async run(lines: readonly string[]): Promise<readonly Answer[]> {
    this.#answers.length = 0;
    this.#process.stdin?.write(lines.map((line) => `${line}\n`).join(''));
    while (this.#answers.length < lines.length) {
      const stuck = lines[this.#answers.length];
      if (this.#ended) throw new Error(`the caller ended at: ${stuck}`);
      const answered = new Promise<true>((resolve) => {
        this.#wake = () => resolve(true);
      });
      let timer: NodeJS.Timeout | undefined;
      const expired = new Promise<false>((resolve) => {
        timer = setTimeout(resolve, ANSWER_MS_MAX, false);
      });
      const isAnswered = await Promise.race([answered, expired]);
      clearTimeout(timer);
      if (!isAnswered) throw new Error(`no answer to: ${stuck}`);
    }
    return [...this.#answers];
  }

  /** What one call returned. */
  async ask(line: string): Promise<string> {
    const [answer] = await this.run([line]);
    return answer?.text ?? '';
  }

  /** Ends it, and with it closes what it has open. */
  async close(): Promise<void> {
    if (this.#ended) return;
    const ended = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
    this.#process.kill('SIGKILL');
    await ended;
  }
}

function answerOf(line: string): Answer {
  const end = line.indexOf(' ');
  return { text: line.slice(end + 1), milliseconds: Number(line.slice(0, end)) / 1000 };
}
