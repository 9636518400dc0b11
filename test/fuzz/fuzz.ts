import { Comparison, type Difference, type Outcome } from './comparison.ts';
import type { Histogram } from './histogram.ts';
import { planOf, type Scheme, type Step } from './plan.ts';
import { World } from './world.ts';

/** So often everything is compared. */
const STEPS_PER_CHECK = 100;
const LAST_STEPS_SHOWN = STEPS_PER_CHECK;
const SHOWN_LENGTH_MAX = 300;

export interface FuzzOptions {
  readonly scheme: Scheme;
  readonly seed: string;
  readonly operations: number;
  /** Where what came of each is counted. */
  readonly histogram: Histogram;
  /** When something differs, look for fewer steps that show it. */
  readonly reduce?: boolean;
  /** Logs and data stay after a difference. */
  readonly keep?: boolean;
  readonly say?: (line: string) => void;
  readonly signal?: AbortSignal;
}

interface Where {
  readonly world: World;
  readonly scheme: Scheme;
  readonly signal: AbortSignal | undefined;
}

/** One run: a cluster of its own, so many operations. Resolves with what differs, for a person to read, or with nothing. */
export async function fuzz({
  scheme,
  seed,
  operations,
  histogram,
  reduce = false,
  keep = false,
  say = () => undefined,
  signal,
}: FuzzOptions): Promise<string | undefined> {
  const world = await World.create(scheme.sideCount);
  const where: Where = { world, scheme, signal };
  let isGood = false;
  try {
    const plan = planOf(scheme, seed);
    const steps = Array.from({ length: operations }, () => plan.next().value);
    const { outcomes, difference } = await compare(where, steps);
    for (const [index, outcome] of outcomes.entries()) histogram.add(steps[index]?.kind ?? '', outcome);
    const report = difference === undefined ? undefined : described(difference, steps, outcomes);
    if (difference !== undefined && reduce) {
      say(report ?? '');
      const fewer = await reduced(where, steps.slice(0, difference.stepCount + 1), say);
      const again = await compare(where, fewer);
      say(`reduced to ${fewer.length} steps:`);
      if (again.difference !== undefined) say(described(again.difference, fewer, again.outcomes));
    }
    isGood = difference === undefined;
    return report;
  } finally {
    const stays = keep && !isGood && signal?.aborted !== true;
    await world.close({ keep: stays });
    if (stays) say(`logs and data are in ${world.directories.join(' and ')}`);
  }
}

/** Does the steps in a new place, up to the first difference. */
async function compare(
  { world, scheme, signal }: Where,
  steps: readonly Step[],
): Promise<{ readonly outcomes: readonly Outcome[]; readonly difference: Difference | undefined }> {
  const place = await world.place();
  try {
    const comparison = new Comparison(world, place, scheme);
    let difference: Difference | undefined;
    for (let begin = 0; begin < steps.length && difference === undefined; begin += STEPS_PER_CHECK) {
      signal?.throwIfAborted();
      difference = await comparison.run(steps.slice(begin, begin + STEPS_PER_CHECK));
      difference ??= await comparison.compareState();
    }
    return { outcomes: comparison.outcomes, difference };
  } finally {
    await place.close();
  }
}

/** What is left of the last steps that show a difference when everything is left out that can be, halves at first. */
async function reduced(
  where: Where,
  steps: readonly Step[],
  say: (line: string) => void,
): Promise<readonly Step[]> {
  let current = await lastThatDiffer(where, steps);
  say(`the last ${current.length} steps do`);
  for (
    let piece = Math.ceil(current.length / 2);
    piece >= 1;
    piece = piece === 1 ? 0 : Math.ceil(piece / 2)
  ) {
    for (let begin = 0; begin < current.length; ) {
      const fewer = [...current.slice(0, begin), ...current.slice(begin + piece)];
      if ((await compare(where, fewer)).difference === undefined) begin += piece;
      else current = fewer;
    }
    say(`pieces of ${piece}: ${current.length} steps are left`);
  }
  return current;
}

async function lastThatDiffer(where: Where, steps: readonly Step[]): Promise<readonly Step[]> {
  for (let count = STEPS_PER_CHECK; count < steps.length; count *= 2) {
    const last = steps.slice(-count);
    if ((await compare(where, last)).difference !== undefined) return last;
  }
  return steps;
}

function described(
  { stepCount, what, plain, mounted }: Difference,
  steps: readonly Step[],
  outcomes: readonly Outcome[],
): string {
  const begin = Math.max(0, stepCount - LAST_STEPS_SHOWN);
  const last = steps.slice(begin, stepCount).map(({ line }, index) => {
    const outcome = outcomes[begin + index]?.text ?? '';
    return `  ${short(line)} = ${short(outcome)}`;
  });
  const at = firstDifference(plain, mounted);
  return [
    `after ${stepCount} operations: ${short(what)}`,
    `  plain:   ${short(plain, at)}`,
    `  mounted: ${short(mounted, at)}`,
    'before it:',
    ...last,
  ].join('\n');
}

function firstDifference(one: string, other: string): number {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at += 1;
  return at;
}

/** The beginning, or what is around a place behind it. */
function short(text: string, at = 0): string {
  const begin = Math.max(0, at - SHOWN_LENGTH_MAX / 2);
  const end = begin + SHOWN_LENGTH_MAX;
  return `${begin > 0 ? '...' : ''}${text.slice(begin, end)}${end < text.length ? '...' : ''}`;
}
