// A slice of each of the runs of `npm run fuzz`.
import test from 'ava';
import { fuzz } from '../fuzz/fuzz.ts';
import { Histogram } from '../fuzz/histogram.ts';
import { SCHEMES } from '../fuzz/plan.ts';
import { skips } from './cluster.ts';

/** The same ones each time; `npm run fuzz` takes others. */
const SLICES: Readonly<Record<string, { readonly seed: string; readonly operations: number }>> = {
  tree: { seed: '214468', operations: 2000 },
  data: { seed: '228178', operations: 800 },
  'handover of data': { seed: '240884', operations: 500 },
  'handover of a tree': { seed: '254403', operations: 1000 },
};

for (const [name, scheme] of Object.entries(SCHEMES)) {
  test.serial(`random calls do what they do on a plain directory: ${name}`, async (t) => {
    if (skips(t)) return;
    t.timeout(300_000);
    const { seed, operations } = SLICES[name] ?? { seed: '1', operations: 500 };
    t.log(`to repeat: npm run fuzz -- --only '${name}' --seed ${seed} --operations ${operations}`);
    const histogram = new Histogram();
    const difference = await fuzz({ scheme, seed, operations, histogram });
    t.is(difference, undefined, difference);
    t.true(histogram.lines().some((line) => / ok [1-9]/.test(line)));
  });
}
