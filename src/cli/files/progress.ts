import type { SingleBar } from 'cli-progress';
import type { Env } from '../../base/env.ts';
import { formatSize, SECOND_MS } from '../../base/units.ts';
import type { Files } from './files.ts';

/** Of "12.3 MiB of 1.0 GiB  123.4 MiB/s  12:34 left" the bar leaves room for that in 80 columns. */
const FORMAT = '{bar} {percentage}%  {done} of {all}  {rate}  {left}';
const BAR_COLUMNS = 18;
const REDRAWN_PER_SECOND = 5;
/** Things that are counted are drawn as so many, bytes as sizes; of steps it is said which one it is, in place of a rate. */
export type Unit = 'bytes' | 'files' | 'steps';
/** Whose lines on standard error come above the bar. */
type Reporter = Pick<Files, 'env' | 'onReport'>;

/** How far a command is: a bar on standard error when a person sits before it, otherwise nothing. */
export class Progress {
  readonly #env: Env;
  readonly #unit: Unit;
  readonly #startedAtMs: number;
  #bar: SingleBar | undefined;
  #done = 0;
  /** Of what is done, what took no time. */
  #skipped = 0;
  #all = 0;
  /** Of the unit `steps`: the one that is being done. */
  step = '';
  fileCount = 0;
  /** Files that needed no copy. */
  skippedCount = 0;

  /** Runs `work` with a bar, unless that is not wanted or nobody sees it. */
  static async during(
    files: Reporter,
    { quiet = false, unit = 'bytes' }: { quiet?: boolean; unit?: Unit },
    work: (progress: Progress) => Promise<void>,
  ): Promise<void> {
    const progress = new Progress(files.env, unit);
    if (!quiet && process.stderr.isTTY) await progress.#show(files);
    try {
      await work(progress);
    } finally {
      progress.#end();
    }
  }

  /** For what takes no bar. */
  static none({ env }: Files): Progress {
    return new Progress(env, 'bytes');
  }

  private constructor(env: Env, unit: Unit) {
    this.#env = env;
    this.#unit = unit;
    this.#startedAtMs = env.monotonicMs();
  }

  /** Whether it is worth counting what there is to do. */
  get isShown(): boolean {
    return this.#bar !== undefined;
  }

  get done(): number {
    return this.#done - this.#skipped;
  }

  /** So much more is to be done. */
  expect(count: number): void {
    this.#all += count;
    this.#bar?.setTotal(Math.max(this.#all, this.#done));
  }

  add(count: number): void {
    this.#done += count;
    this.#draw();
  }

  /** So much needed not be done. */
  skipped(count: number): void {
    this.#skipped += count;
    this.add(count);
  }

  fileDone(): void {
    this.fileCount += 1;
  }

  #end(): void {
    this.#draw();
    this.#bar?.stop();
    this.#bar = undefined;
  }

  async #show(files: Reporter): Promise<void> {
    // Loaded for people alone.
    const { SingleBar, Presets } = await import('cli-progress');
    const bar = new SingleBar(
      {
        ...{ format: FORMAT, barsize: BAR_COLUMNS, fps: REDRAWN_PER_SECOND, hideCursor: true },
        ...{ forceRedraw: true, clearOnComplete: true, gracefulExit: false, stream: process.stderr },
      },
      Presets.shades_classic,
    );
    bar.start(1, 0, this.#texts());
    this.#bar = bar;
    // The bar comes back below what is printed.
    files.onReport = () => {
      if (this.#bar !== undefined) process.stderr.write('\r\x1b[K');
    };
  }

  #draw(): void {
    if (this.#done > this.#all) this.#bar?.setTotal(this.#done);
    this.#bar?.update(this.#done, this.#texts());
  }

  #texts(): Record<string, string> {
    const passedMs = Math.max(1, this.#env.monotonicMs() - this.#startedAtMs);
    const perSecond = ((this.#done - this.#skipped) * SECOND_MS) / passedMs;
    const remaining = Math.max(0, this.#all - this.#done);
    const text = (count: number) => (this.#unit === 'bytes' ? formatSize(count) : String(Math.round(count)));
    return {
      done: text(this.#done),
      all: text(Math.max(this.#all, this.#done)),
      rate: this.#unit === 'steps' ? this.step : `${text(Math.round(perSecond))}/s`,
      left: perSecond > 0 ? `${minutesText(remaining / perSecond)} left` : '',
    };
  }
}

/** "0:07", "12:30", "3:04:05". */
function minutesText(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
