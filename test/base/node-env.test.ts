import test from 'ava';
import { silentLogger } from '../../src/base/log.ts';
import { NodeEnv } from '../../src/base/node-env.ts';

test('microseconds are those of the wall clock, rise within its milliseconds, and never go back', (t) => {
  const env = new NodeEnv(silentLogger);
  let lastMicros = 0;
  let stepCount = 0;
  const startMs = env.nowMs();
  const seen = new Set<number>();
  while (seen.size < 5) {
    const beforeMs = env.nowMs();
    const micros = env.nowMicros();
    const afterMs = env.nowMs();
    t.true(Number.isInteger(micros));
    const isWithin = micros >= beforeMs * 1000 && micros < (afterMs + 1) * 1000;
    if (!isWithin || micros < lastMicros)
      t.fail(`${micros} after ${lastMicros}, in ${beforeMs}..${afterMs} ms`);
    if (micros > lastMicros) stepCount += 1;
    lastMicros = micros;
    seen.add(afterMs - startMs);
  }
  t.true(stepCount > seen.size, `${stepCount} steps in ${seen.size} milliseconds`);
});
