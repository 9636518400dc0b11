// Some seeds of what `npm run sim` runs thousands of; a few of them twice, which shows that a run is a function of its seed.
import test from 'ava';
import { CONSEQUENCES, FAULTS } from './faults/faults.ts';
import { runSeed } from './story.ts';

const SEEDS = 200;
const TWICE_EVERY = 20;
/** What the workloads had done and seen. */
const WORK = [
  'synced writes',
  'acknowledged appends',
  'followed records',
  'acknowledged commands',
  'names looked up',
  'turns',
  'locks granted',
  'locks refused',
  'values found under locks',
  'values written under locks',
  'extended attributes found',
  'extended attributes refused',
  'chunks ordered to be deleted',
  'extents shared',
  'trees removed',
  'trees looked at',
  'removed files read',
];
const counts = new Map<string, number>();

for (let seed = 0; seed < SEEDS; seed += 1) {
  test.serial(`whatever fails, all comes right: npm run sim -- --seed ${seed}`, async (t) => {
    const result = await runSeed(seed);
    for (const [name, count] of result.counts) counts.set(name, (counts.get(name) ?? 0) + count);
    if (seed % TWICE_EVERY === 0) t.is((await runSeed(seed)).traceHash, result.traceHash);
    else t.pass();
  });
}

test.serial('these seeds have seen every fault', (t) => {
  for (const [name, count] of counts) t.log(`${String(count).padStart(8)}  ${name}`);
  for (const name of [...FAULTS.map((fault) => fault.name), ...CONSEQUENCES, ...WORK]) {
    t.true((counts.get(name) ?? 0) > 0, `no seed has seen: ${name}`);
  }
});
