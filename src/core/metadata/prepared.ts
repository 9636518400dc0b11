import { ok, type Result } from '../../base/result.ts';
import type { Command, CommandBodies, CommandCase, CommandResults } from './commands.ts';
import type { MetadataState } from './state.ts';

/**
 * A command in two steps: the first only reads, and refuses or returns the second, which only writes and cannot fail.
 * So the cheap check before logging and the real application are the same code.
 */
export type Prepared<T> = Result<() => T>;

export type Prepare<K extends CommandCase> = (
  state: MetadataState,
  body: CommandBodies[K],
  command: Command,
) => Prepared<CommandResults[K]>;

/** Nothing speaks against it: `write` does it. */
export function ready<T>(write: () => T): Prepared<T> {
  return ok(write);
}
