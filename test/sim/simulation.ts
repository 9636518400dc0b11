// Virtual time. Everything that would wait for the world (timers, disks, networks) waits for an event here instead;
// between events the promises run dry, which JavaScript does in a fixed order. So a run is a function of its seed.
import type { Timer } from '../../src/base/env.ts';
import { EventQueue, type QueuedEvent } from './event-queue.ts';
import { hashOf, Random } from './random.ts';

/** Somebody whose events end with him: a process. */
export interface Life {
  readonly alive: boolean;
  /** Runs the task now, or when he goes on again if he stands still; never, if he has ended by then. */
  whenRunning(task: () => void): void;
}

interface Event extends QueuedEvent {
  readonly life: Life | undefined;
  /** Undefined: cancelled. */
  run: (() => void) | undefined;
}

/** Nothing is left that could happen, but the work is not done: somebody waits for what nobody will do. */
export class Deadlock extends Error {
  override name = 'Deadlock';
}

/** The work is not done after so much virtual time: it makes no progress, or far too little. */
export class NoProgress extends Error {
  override name = 'NoProgress';
}

/** Rarely enough to cost nothing; often enough that Ctrl-C works and rejections nobody handles are noticed. */
const EVENTS_PER_TURN = 1024;

export class Simulation {
  readonly seed: string;
  readonly random: Random;
  /** Gets each line of the trace; for people who look for a bug. */
  onTrace: ((line: string) => void) | undefined;
  readonly #queue = new EventQueue<Event>();
  #nowMs = 0;
  #sequence = 0;
  #eventCount = 0;
  #hashLow = 0x811c9dc5;
  #hashHigh = 0x01234567;
  #failure: { error: unknown } | undefined;
  readonly #counts = new Map<string, number>();

  constructor(seed: string | number) {
    this.seed = String(seed);
    this.random = new Random(this.seed);
  }

  /** Virtual milliseconds since the start of the run. */
  get nowMs(): number {
    return this.#nowMs;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  /** Two runs of one seed that did the same have the same. */
  get traceHash(): string {
    return this.#hashHigh.toString(16).padStart(8, '0') + this.#hashLow.toString(16).padStart(8, '0');
  }

  /** Adds what happens to the trace, so that two runs which differ in it differ in their hash. */
  trace(text: string): void {
    this.#mix(hashOf(text, this.#hashLow));
    this.note(text);
  }

  /** As `trace`, for what happens all the time: the text is made up only for a reader, numbers go into the hash instead. */
  traceNumbers(text: () => string, ...numbers: readonly number[]): void {
    let hash = this.#hashLow ^ Math.floor(this.#nowMs * 1000);
    for (const number of numbers) hash = Math.imul(hash ^ (hash >>> 15) ^ number, 0x01000193);
    this.#mix(hash);
    if (this.onTrace !== undefined) this.note(text());
  }

  #mix(hash: number): void {
    this.#hashLow = hash >>> 0;
    this.#hashHigh = (Math.imul(this.#hashHigh, 31) + this.#hashLow) >>> 0;
  }

  /** Says something to the reader of the trace; not part of the hash. */
  note(text: string): void {
    this.onTrace?.(`${this.#nowMs.toFixed(3).padStart(12)}  ${text}`);
  }

  /** How often it happened, by name. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** One more of those: what a run is judged by that proves something. */
  count(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  /** Runs `task` after the delay, unless `life` has ended by then. */
  schedule(delayMs: number, task: () => void, life?: Life): Timer {
    const atMs = this.#nowMs + Math.max(0, delayMs);
    this.#sequence += 1;
    const event: Event = { atMs, sequence: this.#sequence, life, run: task };
    this.#queue.push(event);
    return {
      cancel: () => {
        event.run = undefined;
      },
    };
  }

  /** Resolves after the delay; never, if `life` has ended by then. */
  sleep(delayMs: number, life?: Life): Promise<void> {
    return new Promise((resolve) => {
      this.schedule(delayMs, resolve, life);
    });
  }

  /** Ends the run with this error: somebody found a bug. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Ends the run if this throws; for checkers that look on from within somebody's step. */
  check(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Turns the clock until `main` settles. What else is going on then stays where it is. */
  async run<T>(main: () => Promise<T>, options: { untilMs?: number } = {}): Promise<T> {
    const untilMs = options.untilMs ?? Number.POSITIVE_INFINITY;
    let settled = false;
    const settle = () => {
      settled = true;
    };
    const result = main();
    result.then(settle, settle);
    await microtasksDone();
    while (!settled) {
      const event = this.#next();
      if (event === undefined) throw new Deadlock('nothing left to happen, but the work is not done');
      if (event.atMs > untilMs) throw new NoProgress(`the work is not done after ${untilMs} ms`);
      await this.#happen(event);
    }
    this.trace(`settled at ${this.#nowMs} after ${this.#eventCount} events`);
    return await result;
  }

  /** Lets everything happen that is due until then. */
  async advance(untilMs: number): Promise<void> {
    for (;;) {
      const event = this.#next();
      if (event === undefined) break;
      if (event.atMs > untilMs) {
        this.#queue.push(event);
        break;
      }
      await this.#happen(event);
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  async #happen(event: Event): Promise<void> {
    this.#nowMs = event.atMs;
    this.#eventCount += 1;
    if (event.life === undefined) event.run?.();
    else event.life.whenRunning(() => event.run?.());
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#eventCount % EVENTS_PER_TURN === 0) await new Promise(setImmediate);
    else await microtasksDone();
  }

  #next(): Event | undefined {
    for (;;) {
      const event = this.#queue.pop();
      if (event === undefined) return undefined;
      if (event.run !== undefined && event.life?.alive !== false) return event;
    }
  }
}

/** A tick's turn comes when no promise has anything left to do; it costs a third of `setImmediate`. */
function microtasksDone(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
