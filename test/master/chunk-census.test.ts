import test from 'ava';
import type { Env } from '../../src/base/env.ts';
import { chunkHandle, type ServerId, serverId } from '../../src/base/ids.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import { ChunkLocations } from '../../src/core/chunk-locations.ts';
import { ServerTable } from '../../src/core/server-table.ts';
import { ChunkCensus } from '../../src/master/chunk-census.ts';
import type { Metadata } from '../../src/master/metadata.ts';
import type { SystemReport } from '../../src/rpc/messages.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { Simulation } from '../sim/simulation.ts';

/** One chunk that should have two members and has those given, of whom nobody is within reach; a look at it takes so long. */
async function counting(
  lookMs: number,
  work: (census: ChunkCensus, looks: () => number, sleep: (ms: number) => Promise<void>) => Promise<void>,
) {
  const simulation = new Simulation(1);
  const env = new SimEnv(simulation, 'master');
  let looks = 0;
  const members: ServerId[] = [serverId(1)];
  const page = Array.from({ length: 500 }, (_, index) => ({
    chunk: chunkHandle(index + 1),
    row: { version: 1, members, goal: 2 },
  }));
  const chunks = (after: number) => {
    looks += 1;
    return after === 0 ? page : [];
  };
  const slow = { monotonicMs: () => env.monotonicMs(), sleep: () => env.sleep(lookMs) } as unknown as Env;
  await simulation.run(async () => {
    const census = new ChunkCensus({
      env: slow,
      metadata: { state: { chunks } } as unknown as Metadata,
      servers: new ServerTable<SystemReport>({ silenceMs: 1000, startedMs: 0, returnMs: 1000 }),
      locations: new ChunkLocations(),
    });
    await work(
      census,
      () => looks / 2,
      (ms) => env.sleep(ms),
    );
  });
}

test('who asks for a recent count waits for none, and begins one every ten seconds at most', (t) =>
  counting(10, async (census, counts, sleep) => {
    t.is(census.recent(), undefined);
    await sleep(100);
    for (let second = 0; second < 9; second += 1) {
      t.deepEqual(census.recent(), { underGoal: 500, lost: 500 });
      await sleep(1 * SECOND_MS);
    }
    t.is(counts(), 1);
    await sleep(1 * SECOND_MS);
    census.recent();
    await sleep(100);
    t.is(counts(), 2);
  }));

test('counting takes no more than a fiftieth of the time', (t) =>
  counting(2 * SECOND_MS, async (census, counts, sleep) => {
    for (let second = 0; second < 99; second += 1) {
      census.recent();
      await sleep(1 * SECOND_MS);
    }
    t.is(counts(), 1);
    for (let second = 0; second < 10; second += 1) {
      census.recent();
      await sleep(1 * SECOND_MS);
    }
    t.is(counts(), 2);
  }));
