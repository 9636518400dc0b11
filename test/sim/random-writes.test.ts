import test from 'ava';
import { SECOND_MS } from '../../src/base/units.ts';
import type { Cluster } from './cluster.ts';
import { randomWrites } from './random-writes.ts';

const SEEDS = 24;
/** Every so often a seed runs twice, which shows whether a run is a function of its seed. */
const TWICE_EVERY = 4;
/** A sync that does nothing is found sooner than this. */
const SEEDS_CANARY = 12;
const POWER_CUTS = { faults: ['power cut of all'], pauseMsMax: 4 * SECOND_MS } as const;

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

test.serial('chunkservers that do not sync are found out', async (t) => {
  const ignoring = ({ servers }: Cluster) => {
    for (const { disk } of servers) disk.ignoreSync = ({ path }) => path.includes('/chunks/');
  };
  t.true((await seedThatFails(ignoring)) < SEEDS_CANARY);
});

test.serial('a master that does not sync its log is found out', async (t) => {
  const ignoring = ({ master }: Cluster) => {
    master.disk.ignoreSync = ({ path }) => path.includes('/oplog/');
  };
  t.true((await seedThatFails(ignoring)) < SEEDS_CANARY);
});

async function seedThatFails(sabotage: (cluster: Cluster) => void): Promise<number> {
  for (let seed = 0; seed < SEEDS_CANARY; seed += 1) {
    try {
      await randomWrites(seed, { faults: POWER_CUTS, sabotage });
    } catch {
      return seed;
    }
  }
  return SEEDS_CANARY;
}
