import test from 'ava';
import { codeFrom } from '../storage/disk-compliance.ts';
import { SimEnv } from './sim-env.ts';
import { Deadlock, NoProgress, Simulation } from './simulation.ts';

test('timers fire in the order of their times, and of their making', async (t) => {
  const simulation = new Simulation(1);
  const env = new SimEnv(simulation, 'a');
  const fired: string[] = [];
  const start = env.monotonicMs();
  env.setTimer(20, () => fired.push('20'));
  env.setTimer(10, () => fired.push('10'));
  env.setTimer(10, () => fired.push('10 again'));
  env.setTimer(15, () => fired.push('never')).cancel();
  env.setTimer(-5, () => fired.push('now'));
  t.deepEqual(fired, []);
  await simulation.run(() => env.sleep(30));
  t.deepEqual(fired, ['now', '10', '10 again', '20']);
  t.is(Math.round(env.monotonicMs() - start), 30);
});

test('all that promises have to do is done before the clock moves on', async (t) => {
  const simulation = new Simulation(1);
  const seen: number[] = [];
  const work = async () => {
    await simulation.sleep(5);
    for (let step = 0; step < 1000; step += 1) await undefined;
    seen.push(simulation.nowMs);
  };
  await simulation.run(async () => {
    await Promise.all([work(), simulation.sleep(6)]);
    seen.push(simulation.nowMs);
  });
  t.deepEqual(seen, [5, 6]);
});

test('a killed process does nothing any more', async (t) => {
  const simulation = new Simulation(1);
  const [dying, other] = [new SimEnv(simulation, 'dying'), new SimEnv(simulation, 'other')];
  const fired: string[] = [];
  const working = async (env: SimEnv) => {
    for (;;) {
      await env.sleep(10);
      fired.push(env.name);
    }
  };
  void working(dying);
  void working(other);
  await simulation.run(async () => {
    await simulation.sleep(15);
    dying.kill();
    await simulation.sleep(10);
  });
  t.deepEqual(fired, ['dying', 'other', 'other']);
});

test('a sleep ends early when its signal aborts', async (t) => {
  const simulation = new Simulation(1);
  const env = new SimEnv(simulation, 'a');
  const controller = new AbortController();
  env.setTimer(5, () => controller.abort());
  const code = await simulation.run(() => codeFrom(env.sleep(1000, { signal: controller.signal })));
  t.is(code, 'CANCELLED');
  t.is(simulation.nowMs, 5);
});

test('waiting for what nobody will do is a deadlock', async (t) => {
  await t.throwsAsync(
    new Simulation(1).run(() => new Promise(() => undefined)),
    { instanceOf: Deadlock },
  );
});

test('work without end is no progress', async (t) => {
  const simulation = new Simulation(1);
  const work = async () => {
    for (;;) await simulation.sleep(10);
  };
  await t.throwsAsync(simulation.run(work, { untilMs: 1000 }), { instanceOf: NoProgress });
});

test('one seed gives one run, another seed another', async (t) => {
  const hash = async (seed: number) => {
    const simulation = new Simulation(seed);
    const nodes = ['a', 'b', 'c'].map((name) => new SimEnv(simulation, name));
    await simulation.run(() =>
      Promise.all(
        nodes.map(async (env) => {
          for (let round = 0; round < 400; round += 1) {
            await env.sleep(env.random() * 10);
            simulation.trace(`${env.name} ${env.nowMs()} ${env.uniqueId()}`);
          }
        }),
      ),
    );
    return simulation.traceHash;
  };
  t.is(await hash(1), await hash(1));
  t.not(await hash(1), await hash(2));
});

test('dice are even and stay within their limits', (t) => {
  const { random } = new Simulation(7);
  const counts = [0, 0, 0, 0];
  for (let round = 0; round < 40_000; round += 1) {
    const face = random.below(4);
    counts[face] = (counts[face] ?? 0) + 1;
  }
  for (const count of counts) t.true(Math.abs(count - 10_000) < 400, String(counts));
  const sorted = [...random.shuffled([1, 2, 3, 4, 5])].sort();
  t.deepEqual(sorted, [1, 2, 3, 4, 5]);
  t.is(random.hex(32).length, 32);
  t.is(random.bytes(7).length, 7);
});
