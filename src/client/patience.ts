import { backoffMs, type Env } from '../base/env.ts';
import { codeOf, GfsError, messageOf } from '../base/errors.ts';
import { requestIdOf } from '../base/request-ids.ts';
import type { Waiting } from './api.ts';

/** Of a retry: many clients meet the same fault at the same moment, so delays grow and are spread. */
const RETRY_DELAY = { delayMsMin: 5, delayMsMax: 1000 };

/** Of one call. */
export interface Attempt {
  readonly signal?: AbortSignal | undefined;
  readonly deadlineMs: number | undefined;
  readonly requestId?: string | undefined;
}

/**
 * How long one call of the library goes on trying: one absolute deadline over all its attempts and hops, the caller's
 * signal, the growing pauses in between, and what the operation is called in all logs.
 */
export class Patience {
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
  readonly #env: Env;
  #lingers = false;
  readonly #waiting: Waiting | undefined;
  #requestId: string | undefined;
  #failures = 0;

  constructor(env: Env, waiting: Waiting | undefined, timeoutMs: number) {
    this.#env = env;
    this.#waiting = waiting;
    this.deadlineMs = waiting?.deadlineMs ?? env.monotonicMs() + timeoutMs;
    this.signal = waiting?.signal;
  }

  /**
   * For what has to be known even if nobody waits for it any more: an attempt that is under way when this patience ends has all the
   * time it would have had. Another one is not begun then.
   */
  lingering(): Patience {
    const lingering = new Patience(this.#env, this, 0);
    lingering.#lingers = true;
    return lingering;
  }

  /** The same at every hop of every attempt. It is made when somebody is asked: much is answered from what is here. */
  get requestId(): string {
    this.#requestId ??= requestIdOf(this.#waiting?.requestId) ?? this.#env.newRequestId();
    return this.#requestId;
  }

  /** Attempts that failed so far: after one, whether a request was carried out may be unknown. */
  get failures(): number {
    return this.#failures;
  }

  /** Options of one attempt, which may be given up long before the whole is. */
  attempt(limitMs: number): Attempt {
    const { signal, requestId } = this;
    const limit = this.#env.monotonicMs() + limitMs;
    if (this.#lingers) {
      this.#mustLast();
      return { signal: undefined, deadlineMs: limit, requestId };
    }
    const deadlineMs = Math.min(this.deadlineMs, limit);
    return { signal, deadlineMs: Number.isFinite(deadlineMs) ? deadlineMs : undefined, requestId };
  }

  /** Waits before another attempt; throws when none fits before the deadline. */
  async pause(error: unknown): Promise<void> {
    const delayMs = backoffMs(this.#env, this.#failures, RETRY_DELAY);
    this.#failures += 1;
    this.#mustNotBeCancelled(error);
    if (this.#env.monotonicMs() + delayMs >= this.deadlineMs) {
      const message = `not done in time: ${messageOf(error)}`;
      // Of all that may be different a moment later, a full disk alone has a name that a program understands.
      const code = codeOf(error) === 'NO_SPACE' ? 'NO_SPACE' : 'DEADLINE_EXCEEDED';
      throw new GfsError(code, message, { cause: error });
    }
    await this.#env.sleep(delayMs, { signal: this.signal });
  }

  #mustLast(): void {
    this.#mustNotBeCancelled();
    if (this.#env.monotonicMs() < this.deadlineMs) return;
    throw new GfsError('DEADLINE_EXCEEDED', 'nothing was asked before the deadline');
  }

  #mustNotBeCancelled(cause?: unknown): void {
    if (this.signal?.aborted) throw new GfsError('CANCELLED', 'cancelled', { cause });
  }
}

/** What may be different a moment later. (DEADLINE_EXCEEDED: of the attempt; `pause` knows of the whole call's.) */
export function isTransient(error: unknown): boolean {
  switch (codeOf(error)) {
    case 'UNAVAILABLE':
    case 'DEADLINE_EXCEEDED':
    case 'NOT_READY':
    case 'TOO_FEW_REPLICAS':
      return true;
    default:
      return false;
  }
}

/** The promise, as far as there is patience for it. `late`: what its end without success would mean. */
export async function within(
  env: Env,
  promise: Promise<void>,
  patience: Patience,
  late: string,
): Promise<void> {
  const { signal, deadlineMs } = patience;
  let stop: (error: GfsError) => void = () => undefined;
  const stopped = new Promise<never>((_, reject) => {
    stop = reject;
  });
  const onAbort = () => stop(new GfsError('CANCELLED', `cancelled: ${late}`));
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const isEndless = deadlineMs === Number.POSITIVE_INFINITY;
  const onLate = () => stop(new GfsError('DEADLINE_EXCEEDED', `${late} before the deadline`));
  const timer = isEndless ? undefined : env.setTimer(deadlineMs - env.monotonicMs(), onLate);
  try {
    await Promise.race([promise, stopped]);
  } finally {
    timer?.cancel();
    signal?.removeEventListener('abort', onAbort);
  }
}
