import type { Env } from '../base/env.ts';
import { codeOf, messageOf } from '../base/errors.ts';
import type { LogFields, Logger } from '../base/log.ts';
import { wholeMicros } from '../base/units.ts';
import { type MethodFigures, OK } from './call-figures.ts';
import type { Route } from './contract.ts';

/** One call, as it is counted and told of on either side, over whatever transport. */
export abstract class CountedCall {
  readonly route: Route;
  readonly requestId: string;
  readonly #figures: MethodFigures;
  protected readonly startMs: number;
  #receivedBytes = 0;
  #sentBytes = 0;

  constructor(route: Route, requestId: string, figures: MethodFigures, startMs: number) {
    this.route = route;
    this.requestId = requestId;
    this.#figures = figures;
    this.startMs = startMs;
    figures.begun();
  }

  received(bytes: number): void {
    this.#receivedBytes += bytes;
    this.#figures.receivedBytes += bytes;
  }

  sent(bytes: number): void {
    this.#sentBytes += bytes;
    this.#figures.sentBytes += bytes;
  }

  /** Who is at the other end, as a line says it. */
  protected abstract get otherEnd(): LogFields;

  /** Once. Says all but the messages, and data least of all (§5.3). */
  protected ended(env: Env, log: Logger, failure: { readonly error: unknown } | undefined): void {
    const durationMs = env.monotonicMs() - this.startMs;
    const code = failure === undefined ? OK : codeOf(failure.error);
    this.#figures.ended(durationMs, code);
    if (!log.debugs) return;
    log.debug(
      {
        requestId: this.requestId,
        method: this.route.fullName,
        ...this.otherEnd,
        code,
        ...(failure === undefined ? {} : { error: messageOf(failure.error) }),
        durationMs: wholeMicros(durationMs),
        receivedBytes: this.#receivedBytes,
        sentBytes: this.#sentBytes,
      },
      'a call ended',
    );
  }
}
