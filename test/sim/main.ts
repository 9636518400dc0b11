// npm run sim -- [--seed N] [--seeds COUNT] [--trace]: seeds of the simulated cluster, one after another, each twice.
import { parseArgs } from 'node:util';
import { randomWrites } from './workloads/random-writes.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string' }, seeds: { type: 'string' }, trace: { type: 'boolean' } },
});
const first = Number(values.seed ?? 0);
const count = Number(values.seeds ?? (values.seed === undefined ? 100 : 1));
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count)) {
  process.stderr.write('sim: --seed and --seeds take whole numbers\n');
  process.exit(2);
}
const onTrace = values.trace === true ? (line: string) => process.stdout.write(`${line}\n`) : undefined;

for (let seed = first; seed < first + count; seed += 1) {
  try {
    const once = await randomWrites(seed, onTrace === undefined ? {} : { onTrace });
    const again = await randomWrites(seed);
    if (once.traceHash !== again.traceHash) throw new Error('two runs of one seed differ');
    const { traceHash, eventCount, syncedWriteCount } = once;
    process.stdout.write(
      `seed ${seed}: ${traceHash}, ${eventCount} events, ${syncedWriteCount} synced writes\n`,
    );
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    if (error instanceof Error && error.cause instanceof Error)
      process.stdout.write(`${error.cause.stack}\n`);
    process.stdout.write(`seed ${seed} fails; to repeat it: npm run sim -- --seed ${seed} --trace\n`);
    process.exit(1);
  }
}
