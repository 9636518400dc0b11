import test from 'ava';
import type { ChunkHandle } from '../../src/base/ids.ts';
import { SECOND_MS } from '../../src/base/units.ts';
import { ChunkChores } from '../../src/master/chunk-chores.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { Simulation } from '../sim/simulation.ts';

/** Chores on virtual time: what was done, and when since the start. */
function world(options: { helps?: boolean; worksMs?: number } = {}) {
  const simulation = new Simulation(1);
  const env = new SimEnv(simulation, 'master');
  const wanted = new Set<number>();
  const asked: number[] = [];
  const done: { readonly chunk: number; readonly atS: number }[] = [];
  const chores = new ChunkChores(env, {
    name: 'trying',
    component: 'repair',
    isWanted: (chunk) => {
      asked.push(chunk);
      return wanted.has(chunk);
    },
    work: async (chunk) => {
      done.push({ chunk, atS: Math.round(simulation.nowMs / SECOND_MS) });
      if (options.worksMs !== undefined) await env.sleep(options.worksMs);
      if (options.helps ?? false) wanted.delete(chunk);
      else throw new Error('in vain');
    },
  });
  const note = (chunk: number) => {
    wanted.add(chunk);
    chores.note(chunk as ChunkHandle);
  };
  const timesOf = (chunk: number) => done.filter((one) => one.chunk === chunk).map(({ atS }) => atS);
  const runTo = (atS: number) => simulation.run(() => simulation.sleep(atS * SECOND_MS - simulation.nowMs));
  const has = (chunk: number) => chores.has(chunk as ChunkHandle);
  return { simulation, chores, has, wanted, asked, done, note, timesOf, runTo };
}

test('what does not help is done again later and later, but every minute', async (t) => {
  const { note, timesOf, runTo } = world();
  note(1);
  await runTo(200);
  t.deepEqual(timesOf(1), [2, 6, 14, 30, 62, 122, 182]);
});

test('a new chunk does not wait for one that is tried every minute', async (t) => {
  const { note, timesOf, runTo } = world();
  note(1);
  await runTo(63);
  note(2);
  await runTo(70);
  t.deepEqual(timesOf(2), [65, 69]);
});

test('one noted while others are at work is done in time too', async (t) => {
  const { note, timesOf, runTo } = world({ worksMs: 1 * SECOND_MS });
  note(1);
  await runTo(2.5);
  note(2);
  await runTo(5);
  t.deepEqual(timesOf(2), [5]);
});

test('noted again, it waits two seconds and no longer', async (t) => {
  const { note, timesOf, runTo } = world();
  note(1);
  await runTo(31);
  note(1);
  await runTo(40);
  t.deepEqual(timesOf(1), [2, 6, 14, 30, 33, 37]);
});

test('what is not wanted any more is forgotten without work, and asked about when it is due only', async (t) => {
  const { has, wanted, asked, done, note, runTo } = world();
  note(1);
  note(2);
  wanted.delete(1);
  await runTo(1);
  note(3);
  t.deepEqual(asked, []);
  await runTo(2.5);
  t.deepEqual(asked, [1, 2]);
  t.deepEqual(
    done.map(({ chunk }) => chunk),
    [2],
  );
  t.deepEqual([1, 2, 3].map(has), [false, true, true]);
});

test('many are done batch by batch, and then nothing is left to do', async (t) => {
  const { simulation, has, done, note, runTo } = world({ helps: true });
  for (let chunk = 1; chunk <= 1000; chunk += 1) note(chunk);
  await runTo(1.9);
  t.is(done.length, 0);
  await runTo(2.01);
  t.is(done.length, 64);
  await runTo(3);
  t.is(done.length, 1000);
  await runTo(100);
  t.is(done.length, 1000);
  t.false(has(1), 'asked about again, and not wanted');
  const { eventCount } = simulation;
  await runTo(10_000);
  t.true(simulation.eventCount - eventCount <= 1, 'nobody wakes for nothing');
});

test('closed, nothing is begun any more, and what is at work ends first', async (t) => {
  const { simulation, chores, done, note } = world({ worksMs: 1 * SECOND_MS, helps: true });
  note(1);
  await simulation.run(async () => {
    await simulation.sleep(2.5 * SECOND_MS);
    note(2);
    await chores.close();
    t.is(Math.round(simulation.nowMs / 100), 30);
    await simulation.sleep(60 * SECOND_MS);
  });
  t.is(done.length, 1);
});
