import type { Env } from '../base/env.ts';
import type { Logger } from '../base/log.ts';
import type { BusyPoll } from './busy-poll.ts';
import type { CallFigures } from './call-figures.ts';
import type { Handlers } from './contract.ts';
import type { Deadlines } from './deadlines.ts';
import type { Limits } from './limits.ts';

export interface ServingParts {
  readonly env: Env;
  readonly deadlines: Deadlines;
  readonly limits: Limits;
  readonly handlers: Handlers;
  readonly figures: CallFigures;
  /** A failed assertion in a handler: the process should end. */
  readonly onBug: (error: unknown) => void;
  readonly busyPoll: BusyPoll | undefined;
}

/** What every connection of one listener shares, whatever its protocol. */
export class Serving {
  readonly env: Env;
  readonly deadlines: Deadlines;
  readonly limits: Limits;
  readonly handlers: Handlers;
  readonly figures: CallFigures;
  readonly onBug: (error: unknown) => void;
  readonly busyPoll: BusyPoll | undefined;
  readonly log: Logger;
  #running = 0;
  #closing = false;
  #onQuiet: (() => void) | undefined;

  constructor({ env, deadlines, limits, handlers, figures, onBug, busyPoll }: ServingParts) {
    this.env = env;
    this.deadlines = deadlines;
    this.limits = limits;
    this.handlers = handlers;
    this.figures = figures;
    this.onBug = onBug;
    this.busyPoll = busyPoll;
    this.log = env.log.of('rpc');
  }

  /** New calls are refused. */
  get closing(): boolean {
    return this.#closing;
  }

  /** A handler starts ... */
  began(): void {
    this.#running += 1;
  }

  /** ... and has settled, whether or not its caller still waits. */
  settled(): void {
    this.#running -= 1;
    if (this.#running === 0) this.#onQuiet?.();
  }

  /** Refuses new calls; resolves when no handler runs any more, or after the grace. */
  quiet(): Promise<void> {
    this.#closing = true;
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.env.setTimer(this.limits.closeGraceMs, resolve);
      this.#onQuiet = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
