// Random lives of a replica store, each ended by a kill, a power cut or a close at a random moment, compared with a
// model. What this leaves out: flipped bits and full disks, which have tests of their own.
// To repeat one run: SEED=7 npx ava dist/test/storage/replica-crash.test.js; SEEDS=5000 runs more of them.
import test from 'ava';
import { Workload } from './replica-workload.ts';
import { ReplicaWorld } from './replica-world.ts';

type End = 'kill' | 'power' | 'close' | 'close, then power';
// A sync is reached through several functions.
Error.stackTraceLimit = 30;

const SEED = process.env.SEED;
const SEEDS = Number(process.env.SEEDS ?? 120);

/** Several lives of one machine. Throws when something was found that must not be. */
async function live(
  seed: string,
  ends: readonly End[],
  prepare?: (world: ReplicaWorld) => void,
): Promise<void> {
  const world = new ReplicaWorld(seed, { logBytesMax: 32 * 1024 * (1 + (Number(seed.length) % 5)) });
  prepare?.(world);
  const lives = 2 + world.dice.below(3);
  await world.simulation.run(async () => {
    for (let life = 0; life < lives; life += 1) await liveOnce(world, world.dice.pick(ends));
    await world.start();
    await world.verify();
  });
}

async function liveOnce(world: ReplicaWorld, end: End): Promise<void> {
  const { simulation, dice } = world;
  let isOver = false;
  let resolveOver = () => {};
  const over = new Promise<void>((resolve) => {
    resolveOver = resolve;
  });
  const work = (async () => {
    await world.start();
    await world.verify();
    const workload = new Workload(world, Workload.swarm(dice));
    await workload.run(10 + dice.below(60));
    if (end.startsWith('close')) await world.close();
    else if (dice.chance(0.3)) await simulation.sleep(dice.below(60_000), world.env);
  })();
  // Most lives are ended in the middle of something.
  if (!end.startsWith('close')) simulation.schedule(dice.between(0, dice.pick([15, 60, 200])), resolveOver);
  await Promise.race([over, work]);
  isOver = true;
  if (end.includes('power')) world.powerCut();
  else if (end === 'kill') await world.kill();
  // What the end interrupted never settles; what failed before has thrown above.
  void work.catch((error) => {
    if (!isOver) throw error;
  });
}

function seeds(): string[] {
  return SEED === undefined ? Array.from({ length: SEEDS }, (_, index) => String(index)) : [SEED];
}

async function named(seed: string, run: Promise<void>): Promise<void> {
  try {
    await run;
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
  }
}

test.serial('a kill at any moment leaves what was acknowledged', async (t) => {
  for (const seed of seeds()) await named(seed, live(`k${seed}`, ['kill', 'close']));
  t.pass();
});

test.serial('a power cut at any moment leaves what was synced, verified, and not whole', async (t) => {
  for (const seed of seeds()) await named(seed, live(`p${seed}`, ['power']));
  t.pass();
});

test.serial('kills, power cuts and closes in any order', async (t) => {
  for (const seed of seeds()) {
    await named(seed, live(`m${seed}`, ['kill', 'power', 'close', 'close, then power']));
  }
  t.pass();
});

/**
 * Syncs are told apart by the ways that lead to them, not only by the line where the disk is called. Two ways are left
 * out, since they use lines that others need and guard against two accidents at once: what a recovery syncs while it
 * rewrites a damaged log; and the contents of the mark at the start, without which the next start takes it that power
 * was lost, which is so.
 */
test.serial('without any one of its syncs, something would be lost', async (t) => {
  const seedsOf = new Map<string, Set<string>>();
  for (let index = 0; index < 60; index += 1) {
    const seed = `s${index}`;
    await live(seed, SYNC_ENDS, (world) => {
      world.disk.ignoreSync = ({ kind }) => {
        const way = wayHere();
        const stack = new Error().stack ?? '';
        const isLeftOut = /recoverFromLog/.test(stack) || (kind === 'data' && /markIfPossible/.test(stack));
        if (!isLeftOut) seedsOf.set(way, (seedsOf.get(way) ?? new Set()).add(seed));
        return false;
      };
    });
  }
  const ways = [...seedsOf.keys()];
  t.true(ways.length >= 15, ways.join('; '));
  for (const way of ways) {
    t.true(await breaksWithout(way, seedsOf.get(way) ?? []), `nothing is lost without the sync at ${way}`);
  }
});

const SYNC_ENDS: readonly End[] = ['power', 'power', 'kill', 'close, then power'];

async function breaksWithout(way: string, seeds: Iterable<string>): Promise<boolean> {
  for (const seed of seeds) {
    try {
      await live(seed, SYNC_ENDS, (world) => {
        world.disk.ignoreSync = () => wayHere() === way;
      });
    } catch (error) {
      if (process.env.VERBOSE) console.error(way, seed, String(error).slice(0, 200));
      return true;
    }
  }
  return false;
}

/**
 * The lines of the storage code on the way to the sync, innermost first, up to the operation that wants it. (A sync of
 * names behind one of data is the same for all who want both.)
 */
function wayHere(): string {
  const places: string[] = [];
  for (const line of (new Error().stack ?? '').split('\n')) {
    const place = /\/src\/storage\/([^/\s]+:\d+):\d+\)?$/.exec(line)?.[1];
    if (place === undefined) continue;
    places.push(place);
    const isOperation = /^replica(-fold|-recovery|-store)?\.[jt]s/.test(place);
    const isKeepers = /ReplicaKeeper\.(?!#synced|syncData|commit)/.test(line);
    if (isOperation || isKeepers || line.includes('async ReplicaKeeper.#synced')) break;
  }
  return places.join(' < ');
}
