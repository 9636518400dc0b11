import type { Env, Timer } from '../../src/base/env.ts';
import type { Component, LogFields, Logger } from '../../src/base/log.ts';
import { sleepWith } from '../../src/base/node-env.ts';
import { hashOf, type Random } from './random.ts';
import type { Life, Simulation } from './simulation.ts';

const EPOCH_MS = 1_700_000_000_000;

/**
 * The world as one process sees it, from its start to its death: then its timers never fire any more and what it
 * waits for never comes. The next process of that machine gets an `Env` of its own.
 */
export class SimEnv implements Env, Life {
  readonly name: string;
  readonly log: Logger;
  readonly simulation: Simulation;
  /** The name's, for traces. */
  readonly nameHash: number;
  readonly #random: Random;
  /** No two processes agree on where their monotonic clocks begin; comparing them is a bug that shows here. */
  readonly #monotonicZeroMs: number;
  readonly #clockSkewMs: number;
  #requestCount = 0;
  #alive = true;
  /** What came while the process stands still, in order; undefined: it runs. */
  #waiting: (() => void)[] | undefined;

  /** `name` is the process's, and no other has had it: it seeds the dice. */
  constructor(simulation: Simulation, name: string, options: { clockSkewMs?: number } = {}) {
    this.name = name;
    this.nameHash = hashOf(name);
    this.simulation = simulation;
    this.#random = simulation.random.fork(`env ${name}`);
    this.#monotonicZeroMs = this.#random.between(0, 1_000_000);
    this.#clockSkewMs = options.clockSkewMs ?? 0;
    this.log = tracingLogger(simulation, name);
  }

  get alive(): boolean {
    return this.#alive;
  }

  kill(): void {
    this.#alive = false;
    this.#waiting = undefined;
  }

  get paused(): boolean {
    return this.#waiting !== undefined;
  }

  /** SIGSTOP: nothing that comes is taken until `resume`. */
  pause(): void {
    if (this.#alive) this.#waiting ??= [];
  }

  resume(): void {
    const tasks = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const task of tasks) this.simulation.schedule(0, task, this);
  }

  whenRunning(task: () => void): void {
    if (!this.#alive) return;
    if (this.#waiting === undefined) task();
    else this.#waiting.push(task);
  }

  nowMs(): number {
    return Math.floor(this.nowMicros() / 1000);
  }

  nowMicros(): number {
    return Math.floor((EPOCH_MS + this.simulation.nowMs + this.#clockSkewMs) * 1000);
  }

  monotonicMs(): number {
    return this.simulation.nowMs + this.#monotonicZeroMs;
  }

  random(): number {
    return this.#random.next();
  }

  uniqueId(): string {
    return this.#random.hex(32);
  }

  newRequestId(): string {
    this.#requestCount += 1;
    return `${this.name}-${this.#requestCount}`;
  }

  setTimer(delayMs: number, task: () => void): Timer {
    return this.simulation.schedule(delayMs, task, this);
  }

  sleep(delayMs: number, options: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    return sleepWith(this, delayMs, options.signal);
  }
}

/** Log lines are for the reader of the trace; they are made up only while there is one. */
function tracingLogger(simulation: Simulation, name: string, component?: Component): Logger {
  const who = component === undefined ? name : `${name} ${component}`;
  const line = (level: string) => (fields: LogFields, message: string) => {
    if (simulation.onTrace === undefined) return;
    simulation.note(`${who} ${level}: ${message} ${textOf(fields)}`);
  };
  return {
    debugs: true,
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    of: (component) => tracingLogger(simulation, name, component),
  };
}

function textOf(fields: LogFields): string {
  return Object.entries(fields)
    .map(
      ([key, value]) => `${key}=${value instanceof Error ? (value.stack ?? value.message) : String(value)}`,
    )
    .join(' ');
}
