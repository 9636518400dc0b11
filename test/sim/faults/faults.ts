// All that goes wrong, and how a seed mixes it.
import { SECOND_MS } from '../../../src/base/units.ts';
import type { Cluster } from '../cluster.ts';
import type { Random } from '../random.ts';
import { ANSWERS_LOST } from './answers-lost.ts';
import { CRASHES, LESSON_BROKEN_OFF } from './crash.ts';
import { BIT_ROT, FULL_DISK, SLOW_DISK } from './disk.ts';
import { EARLY_SEAL } from './early-seal.ts';
import type { Fault, Scene } from './fault.ts';
import { LOG_TAIL_LOST } from './lost-log.ts';
import { FLIPS_ON_THE_WIRE, LATE_COPIES, LOST_CONNECTIONS, SLOW_NETWORK } from './network.ts';
import { ORDERS_CUT_OFF } from './orders-cut-off.ts';
import { PARTITIONS } from './partition.ts';
import { PAUSE } from './pause.ts';
import { POWER_CUTS } from './power-cut.ts';
import { VERSION_UNTOLD } from './version-untold.ts';

export const FAULTS: readonly Fault[] = [
  ...CRASHES,
  LESSON_BROKEN_OFF,
  ORDERS_CUT_OFF,
  ANSWERS_LOST,
  VERSION_UNTOLD,
  ...POWER_CUTS,
  LOG_TAIL_LOST,
  PAUSE,
  ...PARTITIONS,
  SLOW_NETWORK,
  LOST_CONNECTIONS,
  FLIPS_ON_THE_WIRE,
  LATE_COPIES,
  SLOW_DISK,
  FULL_DISK,
  BIT_ROT,
  EARLY_SEAL,
];

/** What follows from the faults, and is counted where it happens. */
export const CONSEQUENCES = [
  'unsynced writes lost',
  'torn write',
  'reordered frames',
  'bit flipped on the wire',
  'late copy of a request',
  'write to a full disk',
  'learner cut off from its teacher',
  'primary cut off from members',
  'client cut off from its answers',
  'version told to few or nobody',
  'synced commands lost',
  'chunk sealed before it was full',
] as const;

export interface FaultMixture {
  readonly faults: readonly Fault[];
  /** Between one and the next, at most. */
  readonly calmMsMax: number;
  readonly durationsMs: readonly number[];
}

/** A third of the faults, and how often they come and how long they last: each seed tries another mixture (a swarm). */
export function chooseFaults(dice: Random): FaultMixture {
  const faults = FAULTS.filter(() => dice.chance(1 / 3));
  return {
    // One replica damaged, and the power gone under the others before they were made equal: more than three copies make up for.
    faults: faults.filter(
      (fault) => fault !== BIT_ROT || !faults.some(({ name }) => losesServersPower(name)),
    ),
    calmMsMax: dice.pick([0.4, 1, 3]) * SECOND_MS,
    durationsMs: dice.pick([[10], [10, 500], [10, 500, 4_000, 10_000], [4_000, 20_000]]),
  };
}

function losesServersPower(name: string): boolean {
  return name === 'power cut of a server' || name === 'power cut of all';
}

/** Makes things go wrong until the time is over, then makes all of it good again. */
export async function injectFaults(
  cluster: Cluster,
  { faults, calmMsMax, durationsMs }: FaultMixture,
  untilMs: number,
): Promise<void> {
  const { simulation } = cluster;
  const dice = simulation.random.fork('faults');
  let over = false;
  while (faults.length > 0) {
    await simulation.sleep(dice.between(0, calmMsMax));
    if (simulation.nowMs >= untilMs) break;
    const fault = dice.pick(faults);
    const durationMs = dice.pick(durationsMs) * dice.next();
    simulation.trace(`fault: ${fault.name}, ${durationMs} ms`);
    simulation.count(fault.name);
    const after = (task: () => void) => {
      // What comes after the end finds all good again, and would undo what somebody else does then: start a master, say.
      simulation.schedule(durationMs * dice.between(0.5, 1), () => {
        if (!over) task();
      });
    };
    const scene: Scene = {
      ...{ cluster, dice, durationMs, after },
      get over() {
        return over;
      },
    };
    fault.inject(scene);
  }
  over = true;
  cluster.restore();
}
