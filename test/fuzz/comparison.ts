// The same calls on the mount and on a plain directory: what is answered has to be the same, and what is there afterwards.
import { constants } from 'node:os';
import type { Answer, Caller } from './caller.ts';
import type { Scheme, Step } from './plan.ts';
import type { Place, World } from './world.ts';

const ERRORS = new Map(Object.entries(constants.errno).map(([name, errno]) => [errno, name]));

/** What came of a step. */
export interface Outcome {
  /** `ok`, an error's name, or what was read. */
  readonly text: string;
  /** How long the mount took. */
  readonly milliseconds: number;
}

/** The first thing that was not the same. */
export interface Difference {
  /** How many steps were done before it. */
  readonly stepCount: number;
  readonly what: string;
  readonly plain: string;
  readonly mounted: string;
}

/** ext4 that writes a page back may say that there is data, and at the next look that there is none. A mount may not. */
function contradictsItself(plain: string, mounted: string): boolean {
  return plain.startsWith('no data at ') && mounted.startsWith('holes up to ');
}

export class Comparison {
  readonly #world: World;
  readonly #place: Place;
  readonly #scheme: Scheme;
  readonly #outcomes: Outcome[] = [];
  #side = 0;
  /** What went wrong when sides synced what they had written. */
  #failures = '';

  constructor(world: World, place: Place, scheme: Scheme) {
    this.#world = world;
    this.#place = place;
    this.#scheme = scheme;
  }

  /** Of each step so far. */
  get outcomes(): readonly Outcome[] {
    return this.#outcomes;
  }

  /** Does these steps, and compares their answers. */
  async run(steps: readonly Step[]): Promise<Difference | undefined> {
    const stepCount = this.#outcomes.length;
    const [expected, answers] = await Promise.all([
      this.#place.plain.run(steps.map(({ line }) => line)),
      this.#onMounts(steps),
    ]);
    for (const [index, { line }] of steps.entries()) {
      const answer = answers[index];
      const [plain, mounted] = [readable(expected[index]?.text), readable(answer?.text)];
      if (plain !== mounted && !contradictsItself(plain, mounted)) {
        return { stepCount: stepCount + index, what: line, plain, mounted };
      }
      this.#outcomes.push({ text: plain, milliseconds: answer?.milliseconds ?? 0 });
    }
    return this.#failure();
  }

  /** Compares all there is: what is open on the sides, and the tree as a mount finds it that remembers nothing. */
  async compareState(): Promise<Difference | undefined> {
    const { sides, view, plain } = this.#place;
    const stepCount = this.#outcomes.length;
    for (const side of sides) await this.#settle(side);
    const failure = this.#failure();
    if (failure !== undefined) return failure;
    for (const [index] of sides.entries()) await this.#world.handOver(this.#side, index);
    const [expectedOpen, open] = await Promise.all([plain.ask('0 0 settle'), settled(sides)]);
    if (open !== expectedOpen) {
      return { stepCount, what: 'open files', ...firstDifference(expectedOpen, open) };
    }
    await this.#world.handOver(this.#side, this.#world.view);
    await this.#world.dropCaches();
    const [expected, found] = await Promise.all([plain.ask('0 0 walk'), view.ask('0 0 walk')]);
    if (withoutTimes(expected) !== withoutTimes(found)) {
      return { stepCount, what: 'the tree', ...firstDifference(withoutTimes(expected), withoutTimes(found)) };
    }
    // The ctime of a write may be when what was written became known: files have none to compare. What is written to a FIFO
    // its file system is not told of.
    for (const [time, types] of [
      ['mtime', 'dflsc'],
      ['ctime', 'dlsc'],
    ] as const) {
      const disorder = timeDisorder(timesOf(expected, time, types), timesOf(found, time, types));
      if (disorder !== undefined) return { stepCount, what: `the order of ${time}`, ...disorder };
    }
    return undefined;
  }

  async #onMounts(steps: readonly Step[]): Promise<readonly Answer[]> {
    const answers: Answer[] = [];
    let begin = 0;
    while (begin < steps.length) {
      const side = steps[begin]?.side ?? 0;
      let end = begin;
      while (steps[end]?.side === side) end += 1;
      if (side !== this.#side) await this.#takeTurn(side);
      const caller = this.#place.sides[side];
      answers.push(...((await caller?.run(steps.slice(begin, end).map(({ line }) => line))) ?? []));
      begin = end;
    }
    return answers;
  }

  async #takeTurn(side: number): Promise<void> {
    await this.#settle(this.#place.sides[this.#side]);
    if (this.#scheme.closeToOpen) await this.#place.sides[side]?.ask('0 0 look');
    else await this.#world.handOver(this.#side, side);
    this.#side = side;
  }

  async #settle(side: Caller | undefined): Promise<void> {
    // Of several, each reads what it has open, so that its kernel has something to forget when it hears of what others write.
    const how = this.#scheme.sideCount > 1 ? 'settle' : 'sync';
    const answer = (await side?.ask(`0 0 ${how}`)) ?? '';
    if (answer.includes('!')) this.#failures += answer;
  }

  #failure(): Difference | undefined {
    if (this.#failures === '') return undefined;
    const stepCount = this.#outcomes.length;
    return { stepCount, what: 'a sync of all open files', plain: '', mounted: readable(this.#failures) };
  }
}

async function settled(sides: readonly Caller[]): Promise<string> {
  let open = '';
  for (const side of sides) open += await side.ask('0 0 settle');
  return open;
}

function readable(answer = 'nothing'): string {
  return answer.replace(/!(\d+)/g, (_, errno) => ERRORS.get(Number(errno)) ?? `errno ${errno}`);
}

function firstDifference(expected: string, found: string): { plain: string; mounted: string } {
  const [ours, theirs] = [expected.split('|'), found.split('|')];
  const at = ours.findIndex((entry, index) => entry !== theirs[index]);
  return { plain: readable(ours[at]), mounted: readable(theirs[at]) };
}

function withoutTimes(walk: string): string {
  return walk.replace(/ [mc]time=-?\d+/g, '');
}

interface TimedEntry {
  readonly path: string;
  readonly time: bigint;
}

function timesOf(walk: string, time: string, types: string): TimedEntry[] {
  return [...walk.matchAll(new RegExp(`(?:^|\\|)(\\S+) [${types}] [^|]* ${time}=(-?\\d+)`, 'g'))].map(
    ([, path = '', value = '0']) => ({ path, time: BigInt(value) }),
  );
}

/** Clocks differ, but what the plain directory has changed before something else was not changed later on the mount. */
function timeDisorder(
  expected: readonly TimedEntry[],
  found: readonly TimedEntry[],
): { plain: string; mounted: string } | undefined {
  const pairs = expected
    .map(({ path, time }, index) => ({ path, time, mounted: found[index]?.time ?? 0n }))
    .sort((one, other) => Number(one.time - other.time));
  let latest = pairs[0];
  for (const pair of pairs) {
    if (latest === undefined) break;
    if (pair.time > latest.time && pair.mounted < latest.mounted) {
      const text = (side: 'time' | 'mounted') =>
        `${latest?.path} ${latest?.[side]}, ${pair.path} ${pair[side]}`;
      return { plain: text('time'), mounted: text('mounted') };
    }
    if (pair.mounted > latest.mounted) latest = pair;
  }
  return undefined;
}
