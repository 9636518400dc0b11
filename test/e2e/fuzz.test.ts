// A slice of each of the runs of `npm run fuzz`.
import test from 'ava';
import { fuzz } from '../fuzz/fuzz.ts';
import { SCHEMES } from '../fuzz/plan.ts';
import { skips } from './cluster.ts';

const OPERATIONS: Readonly<Record<string, number>> = {
  tree: 2000,
  data: 800,
  'handover of data': 500,
  'handover of a tree': 1000,
};

for (const [name, scheme] of Object.entries(SCHEMES)) {
  test.serial(`random calls do what they do on a plain directory: ${name}`, async (t) => {
    if (skips(t)) return;
    t.timeout(300_000);
    const seed = String(Date.now() % 1_000_000);
    const operations = OPERATIONS[name] ?? 0;
    t.log(`to repeat: npm run fuzz -- --only '${name}' --seed ${seed} --operations ${operations}`);
    const { histogram, difference } = await fuzz({ scheme, seed, operations });
    t.is(difference, undefined, difference);
    t.true(histogram.some((line) => / ok [1-9]/.test(line)));
  });
}
