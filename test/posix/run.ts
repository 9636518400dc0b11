import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/base/errors.ts';
import type { Check, Checks } from './checks.ts';
import { Callers, World } from './world.ts';

/** Nothing in the list waits for anything; so long a check may take on a machine that is busy. */
const CHECK_MS_MAX = 60_000;

export interface Outcome {
  /** By the checks' names. */
  readonly failures: ReadonlyMap<string, string>;
  /** How many checks made calls as somebody else than root. */
  readonly ordinaryCount: number;
}

/** Runs the checks one after another, each in a new directory below `directory`. */
export async function runChecks(program: string, directory: string, checks: Checks): Promise<Outcome> {
  const failures = new Map<string, string>();
  let ordinaryCount = 0;
  const callers = new Callers(program);
  try {
    for (const [index, [name, check]] of Object.entries(checks).entries()) {
      const world = new World(join(directory, String(index)), callers);
      await mkdir(world.directory);
      await chmod(world.directory, 0o777);
      try {
        await withinTime(runCheck(world, check));
      } catch (error) {
        failures.set(name, messageOf(error));
      }
      if (await isStuck(callers, world, directory)) callers.end();
      if ([...world.people].some((person) => person !== 'root')) ordinaryCount += 1;
    }
  } finally {
    callers.end();
  }
  return { failures, ordinaryCount };
}

async function runCheck(world: World, check: Check): Promise<void> {
  if (typeof check === 'string') await world.script(check);
  else await check(world);
}

/** What the check left is removed, also what it has open; true: some caller does not answer. */
async function isStuck(callers: Callers, world: World, directory: string): Promise<boolean> {
  try {
    for (const person of world.people) await withinTime(callers.get(person).call('reset', directory));
    await withinTime(callers.get('root').call('rmtree', world.directory));
    return false;
  } catch {
    return true;
  }
}

async function withinTime<T>(work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  try {
    const late = sleep(CHECK_MS_MAX, undefined, { signal: timer.signal }).then(() => {
      throw new Error(`no answer for ${CHECK_MS_MAX / 1000} seconds`);
    });
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}
