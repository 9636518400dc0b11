import type { Env } from '../../base/env.ts';
import type { Done } from './arithmetic.ts';
import type { Work } from './workloads.ts';

/** Often enough to end soon, seldom enough not to show in the figures. */
const CHECK_INTERVAL_MS = 10;

/** One operation after the other, until all are done or the time is over. */
export async function measure(
  env: Env,
  work: Work,
  { timeMs, check }: { timeMs: number; check: () => void },
): Promise<Done> {
  const latenciesMs = new Float64Array(work.count);
  const startedAtMs = env.monotonicMs();
  let nowMs = startedAtMs;
  let checkAtMs = startedAtMs;
  let operations = 0;
  while (operations < work.count && nowMs - startedAtMs < timeMs) {
    const pending = work.act(operations);
    if (pending !== undefined) await pending;
    const endedAtMs = env.monotonicMs();
    latenciesMs[operations] = endedAtMs - nowMs;
    nowMs = endedAtMs;
    operations += 1;
    if (nowMs < checkAtMs) continue;
    check();
    checkAtMs = nowMs + CHECK_INTERVAL_MS;
  }
  await work.finish?.();
  const ms = env.monotonicMs() - startedAtMs;
  await work.after?.();
  return { operations, ms, latenciesMs: latenciesMs.slice(0, operations) };
}
