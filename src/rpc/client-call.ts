import type { Env } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';
import type { LogFields, Logger } from '../base/log.ts';
import type { CallFigures } from './call-figures.ts';
import { programOf, type Route } from './contract.ts';
import { CountedCall } from './counted-call.ts';
import type { Deadlines } from './deadlines.ts';
import type { Inbox } from './inbox.ts';
import type { Incoming, StreamOptions } from './network.ts';

/** What calls need of their connection. */
export interface CallHome {
  readonly env: Env;
  readonly address: string;
  readonly deadlines: Deadlines;
  readonly figures: CallFigures;
  readonly log: Logger;
  /** The call is over: its place is free. */
  ended(call: ClientCall): void;
}

/** Deadline, cancellation and end of one call, as the caller's side sees it, over whatever transport. */
export abstract class ClientCall extends CountedCall {
  readonly isStream: boolean;
  protected readonly home: CallHome;
  protected readonly deadlineMs: number | undefined;
  readonly #signal: AbortSignal | undefined;
  #over = false;

  constructor(home: CallHome, route: Route, requestId: string, isStream: boolean, options: StreamOptions) {
    const startMs = home.env.monotonicMs();
    super(route, requestId, home.figures.of(route), startMs);
    this.home = home;
    this.isStream = isStream;
    this.deadlineMs = options.deadlineMs;
    this.#signal = options.signal;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Ends it at once when it was cancelled before it began, or its deadline has passed. */
  watch(): void {
    if (this.#signal !== undefined) {
      if (this.#signal.aborted) {
        this.#onAbort();
        return;
      }
      this.#signal.addEventListener('abort', this.#onAbort);
    }
    if (this.deadlineMs === undefined) return;
    if (this.deadlineMs <= this.startMs) this.expire();
    else this.home.deadlines.add(this.deadlineMs, this);
  }

  expire(): void {
    const { fullName } = this.route;
    this.cancelWith(new GfsError('DEADLINE_EXCEEDED', `${fullName} at ${this.home.address} took too long`));
  }

  cancel(reason?: unknown): void {
    this.cancelWith(new GfsError('CANCELLED', `${this.route.fullName} was cancelled`, { cause: reason }));
  }

  /** Ends it from this side; the server is told. */
  cancelWith(error: GfsError): void {
    if (this.#over) return;
    this.tellServer();
    this.fail(error);
  }

  fail(error: unknown): void {
    if (this.finish(error)) this.failed(error);
  }

  protected override get otherEnd(): LogFields {
    return { server: this.home.address };
  }

  /** The server, if it knows of the call, need not go on. */
  protected abstract tellServer(): void;
  /** The call is over, badly: whoever waits learns it. */
  protected abstract failed(error: unknown): void;

  /** False when it was over before. */
  protected finish(error?: unknown): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    if (this.deadlineMs !== undefined) this.home.deadlines.remove(this.deadlineMs, this);
    const { env, log } = this.home;
    this.ended(env, log, error === undefined ? undefined : { error });
    this.home.ended(this);
    return true;
  }

  /** Of a stream that has one. */
  protected async onlyAnswer(inbox: Inbox<unknown>): Promise<Incoming<unknown>> {
    const answer = await inbox.next();
    if (answer.done) throw new GfsError('INTERNAL', `${this.route.fullName} ended without an answer`);
    return answer.value;
  }

  /** What the server said, in words that fit this side: it does not know under which address it was asked. */
  protected asSeenHere(error: GfsError): GfsError {
    if (error.code !== 'WRONG_SERVICE') return error;
    const { address } = this.home;
    return new GfsError('WRONG_SERVICE', `what answers at ${address} is not a ${programOf(this.route)}`, {
      cause: error,
    });
  }

  readonly #onAbort = () => this.cancel(this.#signal?.reason);
}
