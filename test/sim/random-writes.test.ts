import test from 'ava';
import { SECOND_MS } from '../../src/base/units.ts';
import type { Cluster } from './cluster.ts';
import type { SyncCall } from './sim-disk.ts';
import { randomWrites } from './workloads/random-writes.ts';

const SEEDS = 24;
/** Every so often a seed runs twice, which shows whether a run is a function of its seed. */
const TWICE_EVERY = 4;
/** Where what a client was promised gets to the disks. (What is less used has tests of its own, closer to it.) */
const SYNCS = [
  'Oplog.#write data',
  'ReplicaFiles.syncData data',
  'ReplicaFiles.syncLog data',
  'ReplicaDirectory.syncNames directory',
];
/** A sync that does nothing is found sooner than this. */
const SEEDS_CANARY = 12;
const POWER_CUTS = { faults: ['power cut of all'], pauseMsMax: 3 * SECOND_MS } as const;

for (let seed = 0; seed < SEEDS; seed += 1) {
  test.serial(
    `what was synced is read by everybody, whatever dies: npm run sim -- --seed ${seed}`,
    async (t) => {
      const { traceHash, syncedWriteCount } = await randomWrites(seed);
      t.true(syncedWriteCount > 0);
      if (seed % TWICE_EVERY === 0) t.is((await randomWrites(seed)).traceHash, traceHash);
    },
  );
}

for (const wanted of SYNCS) {
  test.serial(`a cluster that leaves out the sync of ${wanted} is found out`, async (t) => {
    const ignoreSync = ({ kind, site }: SyncCall) => `${site.split(' ')[0]} ${kind}` === wanted;
    t.true(await isFoundOut(ignoreSync, SEEDS_CANARY));
  });
}

test.serial('a cluster that leaves out nothing is not', async (t) => {
  t.false(await isFoundOut(() => false, 2));
});

async function isFoundOut(ignoreSync: (call: SyncCall) => boolean, seeds: number): Promise<boolean> {
  const sabotage = ({ master, servers }: Cluster) => {
    for (const { disk } of [master, ...servers]) disk.ignoreSync = ignoreSync;
  };
  for (let seed = 0; seed < seeds; seed += 1) {
    try {
      await randomWrites(seed, { faults: POWER_CUTS, sabotage });
    } catch {
      return true;
    }
  }
  return false;
}
