import { GfsError } from '../base/errors.ts';
import type { LogFields } from '../base/log.ts';
import type { Route } from './contract.ts';
import { CountedCall } from './counted-call.ts';
import { failureOf } from './failure.ts';
import type { ServerContext } from './network.ts';
import type { Serving } from './serving.ts';

/**
 * One call as its handler sees it. The signal is made when somebody asks for it: most handlers never do, and an
 * AbortController for each call would cost more than the rest of its frame.
 */
export class ServerCall extends CountedCall implements ServerContext {
  readonly deadlineMs: number | undefined;
  readonly peer: string;
  protected readonly serving: Serving;
  #abort: AbortController | undefined;
  #over: { error: unknown } | 'well' | undefined;

  constructor(
    serving: Serving,
    route: Route,
    {
      requestId,
      deadlineLeftMs,
      peer,
    }: { requestId: string; deadlineLeftMs: number | undefined; peer: string },
  ) {
    const startMs = serving.env.monotonicMs();
    super(route, requestId, serving.figures.of(route), startMs);
    this.serving = serving;
    this.peer = peer;
    this.deadlineMs = deadlineLeftMs === undefined ? undefined : startMs + deadlineLeftMs;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#over !== undefined) this.#abort.abort(this.#over === 'well' ? undefined : this.#over.error);
      else if (this.deadlineMs !== undefined) this.serving.deadlines.add(this.deadlineMs, this);
    }
    return this.#abort.signal;
  }

  /** The caller has its answer, or will never take one. */
  get over(): boolean {
    return this.#over !== undefined;
  }

  metadata(_key: string): string | undefined {
    return undefined;
  }

  protected override get otherEnd(): LogFields {
    return { peer: this.peer };
  }

  /** The deadline has passed: the caller has given up by itself. */
  expire(): void {
    this.giveUp(new GfsError('DEADLINE_EXCEEDED', `${this.route.fullName} took too long`));
  }

  /** Nobody waits for the answer any more; the handler learns it by its signal. */
  giveUp(error: GfsError): void {
    if (!this.#finish({ error })) return;
    this.#abort?.abort(error);
    this.abandoned(error);
  }

  /** The handler has settled well. False: too late. */
  protected succeed(): boolean {
    return this.#finish('well');
  }

  /** What to tell the caller of what the handler threw; undefined: too late. */
  protected failWith(thrown: unknown): GfsError | undefined {
    if (this.#over !== undefined) return undefined;
    const { log, onBug } = this.serving;
    const error = failureOf(thrown, {
      log,
      requestId: this.requestId,
      method: this.route.fullName,
      onBug,
    });
    this.#finish({ error });
    return error;
  }

  /** For what else a kind of call has to end. */
  protected abandoned(_error: GfsError): void {}

  #finish(outcome: { error: unknown } | 'well'): boolean {
    if (this.#over !== undefined) return false;
    this.#over = outcome;
    const { env, log, deadlines } = this.serving;
    if (this.#abort !== undefined && this.deadlineMs !== undefined) deadlines.remove(this.deadlineMs, this);
    this.ended(env, log, outcome === 'well' ? undefined : outcome);
    return true;
  }
}
