import type { World } from './world.ts';

/** A script, or more than that: works in an empty directory, and throws when something is not as POSIX (or Linux) has it. */
export type Check = string | ((world: World) => Promise<void>);
export type Checks = Readonly<Record<string, Check>>;

/** One check for each row of a table. */
export function each<T>(
  rows: readonly T[],
  check: (row: T) => readonly [name: string, check: Check],
): Checks {
  return Object.fromEntries(rows.map(check));
}
