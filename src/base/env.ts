import type { Logger } from './log.ts';

/** Cancels a pending timer; safe to call at any time. */
export interface Timer {
  cancel(): void;
}

/**
 * Time, timers and chance. Every shell takes one from its constructor; nothing else in the program asks the clock
 * or throws dice, so the simulator can own both.
 */
export interface Env {
  /** Wall clock, whole milliseconds since 1970: for people. It may jump. */
  nowMs(): number;
  /** The same clock in whole microseconds: for the times of files, so that of two that change one after the other one is older. */
  nowMicros(): number;
  /** A clock that never goes back, for durations, leases and deadlines; its zero means nothing. May be fractional. */
  monotonicMs(): number;
  /** In [0, 1). */
  random(): number;
  /** Runs `task` once, later; never before this call returns. */
  setTimer(delayMs: number, task: () => void): Timer;
  /** Resolves after the delay; rejects with `CANCELLED` as soon as `signal` aborts. */
  sleep(delayMs: number, options?: { signal?: AbortSignal | undefined }): Promise<void>;
  /** 32 hexadecimal digits nobody else has: incarnations, file system ids. */
  uniqueId(): string;
  /** A name for an operation that begins here (`RequestIds`). */
  newRequestId(): string;
  readonly log: Logger;
}

/** Half to all of an exponentially growing delay: retries of many clients spread out. */
export function backoffMs(
  env: Env,
  attempt: number,
  limits: { delayMsMin: number; delayMsMax: number },
): number {
  const ceiling = Math.min(limits.delayMsMax, limits.delayMsMin * 2 ** Math.min(attempt, 30));
  return ceiling * (0.5 + env.random() / 2);
}
