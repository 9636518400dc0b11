// What goes wrong, and when: a function of the seed alone, so that a seed repeats the same accidents in the same order.
import { SECOND_MS } from '../../src/base/units.ts';
import { Random } from '../sim/random.ts';

const BETWEEN_MS = { min: 0.2 * SECOND_MS, max: 6 * SECOND_MS };
const DOWN_MS_MAX = 5 * SECOND_MS;
const PAUSE_MS_MAX = 8 * SECOND_MS;
const SPLIT_MS_MAX = 12 * SECOND_MS;
const PAUSE_PART = 0.2;
const SPLIT_PART = 0.25;
const SEVERAL_PART = 0.2;
const SEVERAL_MAX = 4;

export type Accident =
  | { readonly kind: 'kill'; readonly victims: readonly string[]; readonly forMs: number }
  | { readonly kind: 'pause'; readonly victim: string; readonly forMs: number }
  /** No packets to and from it; none from it; none to it. */
  | { readonly kind: 'isolate' | 'mute' | 'deafen'; readonly victim: string; readonly forMs: number }
  /** No packets between two that still reach everybody else. */
  | { readonly kind: 'part'; readonly victims: readonly [string, string]; readonly forMs: number };

export interface Planned {
  /** After the one before has begun. */
  readonly afterMs: number;
  readonly accident: Accident;
}

/** Accidents to these nodes, one after the other, without end. */
export function* accidents(seed: number, nodes: readonly string[], canSplit: boolean): Generator<Planned> {
  const dice = new Random(`chaos ${seed}`);
  for (;;) {
    const afterMs = dice.between(BETWEEN_MS.min, BETWEEN_MS.max);
    yield { afterMs, accident: accident(dice, nodes, canSplit) };
  }
}

function accident(dice: Random, nodes: readonly string[], canSplit: boolean): Accident {
  const order = dice.shuffled(nodes);
  const [first = '', second = ''] = order;
  const what = dice.next();
  if (what < PAUSE_PART) return { kind: 'pause', victim: first, forMs: dice.between(0, PAUSE_MS_MAX) };
  if (canSplit && what < PAUSE_PART + SPLIT_PART) {
    const forMs = dice.between(0, SPLIT_MS_MAX);
    const kind = dice.pick(['isolate', 'mute', 'deafen', 'part'] as const);
    if (kind === 'part') return { kind, victims: [first, second], forMs };
    return { kind, victim: first, forMs };
  }
  const count = dice.chance(SEVERAL_PART) ? 2 + dice.below(SEVERAL_MAX - 1) : 1;
  return { kind: 'kill', victims: order.slice(0, count), forMs: dice.between(0, DOWN_MS_MAX) };
}
