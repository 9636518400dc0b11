import { backoffMs, type Env } from '../base/env.ts';
import { codeOf, type ErrorCode, type GfsError, messageOf } from '../base/errors.ts';
import { hex } from '../base/ids.ts';
import { SECOND_MS } from '../base/units.ts';

const RETRY_DELAYS = { delayMsMin: 50, delayMsMax: 1 * SECOND_MS };

/** Who cannot go on with whom, as the master is told (P12). */
export interface Accusation {
  readonly chunk: number;
  readonly version: number;
  readonly accused: number;
  readonly code: ErrorCode;
}

/** Asks the master for an eviction; resolves to the chunk's version then. */
export type Evict = (accusation: Accusation, signal: AbortSignal) => Promise<number>;

/**
 * Asks the master to evict a member, and again until the version is over: the master may be away, or too few other
 * members be there, which may change. Never decides anything itself: a primary does not shrink its version (P12).
 * Rejects with NO_SPACE: the accused is full, and cannot be spared.
 */
export async function accuseUntilOver(
  parts: { env: Env; evict: Evict },
  accusation: Accusation,
  signal: AbortSignal,
): Promise<void> {
  const { env, evict } = parts;
  const { accused, code, version } = accusation;
  const fields = { chunk: hex(accusation.chunk), version, accused, code };
  env.log.of('primary').warn(fields, 'a member does not do as ordered: the master is asked to evict it');
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      await evict(accusation, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (codeOf(error) === 'NO_SPACE') throw error;
      env.log.of('primary').info({ ...fields, error: messageOf(error) }, 'it is not evicted yet');
    }
    try {
      await env.sleep(backoffMs(env, attempt, RETRY_DELAYS), { signal });
    } catch {
      return;
    }
  }
}

/** Errors of a member that say: the version is over, nobody is to blame. */
export function isSuperseded(error: unknown, version: number): boolean {
  if (codeOf(error) !== 'VERSION_MISMATCH') return false;
  return Number((error as GfsError).fields.version ?? 0) > version;
}
