// Each sync that a client depends on is needed: a cluster that leaves it out is found out.
import test from 'ava';
import { SECOND_MS } from '../../src/base/units.ts';
import type { Cluster } from './cluster.ts';
import { POWER_CUTS } from './faults/power-cut.ts';
import type { SyncCall } from './sim-disk.ts';
import { type Plan, runSeed } from './story.ts';

/** Where what a client was promised gets to the disks. (What is less used has tests of its own, closer to it.) */
const SYNCS = [
  'Oplog.#syncFile data',
  'ReplicaFiles.syncData data',
  'ReplicaFiles.syncLog data',
  'ReplicaDirectory.syncNames directory',
];
/** A sync that does nothing is found by one of so many seeds. */
const SEEDS = 12;
/** In earlier seeds it takes minutes until a file that lost its data is given up. */
const SEED_FIRST: Readonly<Record<string, number>> = { 'ReplicaFiles.syncData data': 12 };
const PLAN: Partial<Plan> = {
  serverCount: 4,
  workloads: ['random-writes'],
  faultsMs: 20 * SECOND_MS,
  faults: {
    faults: POWER_CUTS.filter(({ name }) => name === 'power cut of all'),
    calmMsMax: 3 * SECOND_MS,
    durationsMs: [10, 500, 4_000, 10_000],
  },
};

for (const wanted of SYNCS) {
  test.serial(`a cluster that leaves out the sync of ${wanted} is found out`, async (t) => {
    const ignoreSync = ({ kind, site }: SyncCall) => `${site.split(' ')[0]} ${kind}` === wanted;
    const first = SEED_FIRST[wanted] ?? 0;
    t.true(await isFoundOut(ignoreSync, first, SEEDS));
  });
}

test.serial('a cluster that leaves out nothing is not', async (t) => {
  t.false(await isFoundOut(() => false, 0, 2));
});

async function isFoundOut(
  ignoreSync: (call: SyncCall) => boolean,
  first: number,
  seeds: number,
): Promise<boolean> {
  const sabotage = ({ master, servers }: Cluster) => {
    for (const { disk } of [master, ...servers]) disk.ignoreSync = ignoreSync;
  };
  for (let seed = first; seed < first + seeds; seed += 1) {
    try {
      await runSeed(seed, { plan: PLAN, sabotage });
    } catch {
      return true;
    }
  }
  return false;
}
