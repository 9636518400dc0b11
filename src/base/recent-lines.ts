import type { LogLevel } from './log.ts';

/** Of each kind; whichever comes first. */
const LINES_MAX = 2000;
const CHARACTERS_MAX = 1024 * 1024;

export interface RecentLine {
  /** Rises with each line of the process. */
  readonly number: number;
  readonly level: LogLevel;
  /** As it was written: JSON. */
  readonly text: string;
}

/**
 * The last lines of a log, within a bound. Those at level debug are kept beside the others: there are so many of them that
 * they would leave nothing else.
 */
export class RecentLines {
  readonly #debug = new Kept();
  readonly #others = new Kept();
  #lastNumber = 0;
  #waiting: (() => void)[] = [];

  add(level: LogLevel, text: string): void {
    this.#lastNumber += 1;
    (level === 'debug' ? this.#debug : this.#others).add({ number: this.#lastNumber, level, text });
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  get lastNumber(): number {
    return this.#lastNumber;
  }

  /** What came behind that one and is still there, in order. */
  since(number: number): RecentLine[] {
    const debug = this.#debug.since(number);
    const others = this.#others.since(number);
    if (debug.length === 0) return others;
    return [...others, ...debug].sort((one, other) => one.number - other.number);
  }

  /** Whether something came behind that one, of this level or a higher one, that is not there any more. */
  isMissing(number: number, level: LogLevel): boolean {
    return this.#others.droppedTo > number || (level === 'debug' && this.#debug.droppedTo > number);
  }

  /** Resolves when there is one behind that one, or `signal` aborts. */
  async after(number: number, signal: AbortSignal): Promise<void> {
    if (this.#lastNumber > number || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        signal.removeEventListener('abort', done);
        this.#waiting = this.#waiting.filter((other) => other !== done);
        resolve();
      };
      signal.addEventListener('abort', done);
      this.#waiting.push(done);
    });
  }
}

/** Lines, oldest first, of which the oldest go. */
class Kept {
  readonly #lines = new Map<number, RecentLine>();
  #characters = 0;
  /** The last of them that is gone. */
  droppedTo = 0;

  add(line: RecentLine): void {
    this.#lines.set(line.number, line);
    this.#characters += line.text.length;
    for (const [number, { text }] of this.#lines) {
      if (this.#lines.size <= LINES_MAX && this.#characters <= CHARACTERS_MAX) return;
      this.#lines.delete(number);
      this.#characters -= text.length;
      this.droppedTo = number;
    }
  }

  since(number: number): RecentLine[] {
    const lines = [...this.#lines.values()];
    if (this.droppedTo >= number) return lines;
    return lines.filter((line) => line.number > number);
  }
}
