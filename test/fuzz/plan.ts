// What is done is a function of the seed alone, and not of what came of it, so that any part of it can be done again.
import { Random } from '../sim/random.ts';
import { Choices } from './choices.ts';
import { DATA, type OperationTable, TREE } from './operations.ts';

/** One operation of a run. */
export interface Step {
  readonly kind: string;
  /** The mount whose programs do it. */
  readonly side: number;
  /** As calls.cc reads it. */
  readonly line: string;
}

/** What is done, and between whom. */
export interface Scheme {
  readonly table: OperationTable;
  /** Mounts that take turns; in each turn, one works. */
  readonly sideCount: number;
  /** Other users than root, too. */
  readonly users: boolean;
  /** Only data is handed over, as close-to-open promises it: by a sync of what was written and a new open. */
  readonly closeToOpen: boolean;
}

export const SCHEMES: Readonly<Record<string, Scheme>> = {
  tree: { table: TREE, sideCount: 1, users: true, closeToOpen: false },
  data: { table: DATA, sideCount: 1, users: false, closeToOpen: false },
  'handover of data': { table: DATA, sideCount: 2, users: false, closeToOpen: true },
  'handover of a tree': { table: TREE, sideCount: 2, users: true, closeToOpen: false },
};

const TURN_STEPS_MAX = 30;
const USER_CHANCE = 0.25;
const USERS = [1000, 1001];

export function* planOf({ table, sideCount, users }: Scheme, seed: string): Generator<Step, never> {
  const random = new Random(seed);
  const choices = new Choices(random);
  const kinds = Object.entries(table).map(([kind, { weight, call }]) => ({ kind, weight, call }));
  for (let turn = 0; ; turn += 1) {
    const side = turn % sideCount;
    for (let left = 1 + random.below(TURN_STEPS_MAX); left > 0; left -= 1) {
      const { kind, call } = choices.weighted(kinds);
      const user = users && random.chance(USER_CHANCE) ? random.pick(USERS) : 0;
      choices.user = user;
      yield { kind, side, line: `${side} ${user} ${call(choices).join(' ')}` };
    }
  }
}
