import type { Env, Timer } from '../base/env.ts';
import { GfsError } from '../base/errors.ts';

/** A call that takes longer makes its caller look whether the server is still there. */
export const WATCH_AFTER_MS = 750;
/** A server that does not answer a question that costs nothing for so long is silent. */
export const PROBE_MS_MAX = 750;

/** Made once: the reason that `abort` makes by itself, with its stack, costs more than the rest of a watch. */
const OVER = new GfsError('CANCELLED', 'what was watched is over');

/**
 * Runs `work`, which may take as long as the disks behind it take; but gives it up with the probe's error once a probe
 * fails: a stopped machine is told from a slow one, and noticed within two seconds.
 */
export async function watched<T>(
  env: Env,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly probe: (options: { deadlineMs: number; signal: AbortSignal }) => Promise<unknown>;
  },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const { signal, probe } = options;
  const onAbort = () => stop.abort(signal?.reason);
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  let timer: Timer | undefined;
  let probing = false;
  let over = false;
  let silence: { error: unknown } | undefined;
  const watch = () => {
    probing = false;
    if (over || stop.signal.aborted) return;
    timer = env.setTimer(WATCH_AFTER_MS, () => {
      probing = true;
      probe({ deadlineMs: env.monotonicMs() + PROBE_MS_MAX, signal: stop.signal }).then(watch, (error) => {
        if (stop.signal.aborted) return;
        silence = { error };
        stop.abort(error);
      });
    });
  };
  watch();
  try {
    return await work(stop.signal);
  } catch (error) {
    throw silence === undefined ? error : silence.error;
  } finally {
    over = true;
    timer?.cancel();
    signal?.removeEventListener('abort', onAbort);
    if (probing) stop.abort(OVER);
  }
}
