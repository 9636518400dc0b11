import test from 'ava';
import { GfsError } from '../../src/base/errors.ts';
import { PROBE_MS_MAX, WATCH_AFTER_MS, watched } from '../../src/rpc/watched-call.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { Simulation } from '../sim/simulation.ts';

const SILENT = new GfsError('DEADLINE_EXCEEDED', 'no answer to the probe');

function world() {
  const simulation = new Simulation(1);
  const env = new SimEnv(simulation, 'a');
  const neverEnds = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  return { simulation, env, neverEnds };
}

test('slow work at a server that answers probes is waited for', async (t) => {
  const { simulation, env } = world();
  let probes = 0;
  const probe = async () => {
    probes += 1;
    await env.sleep(1);
  };
  const work = async () => {
    await env.sleep(10 * WATCH_AFTER_MS);
    return 'done';
  };
  t.is(await simulation.run(() => watched(env, { probe }, work)), 'done');
  t.is(probes, 9);
});

test('work at a server that answers no probe ends with the error of the probe', async (t) => {
  const { simulation, env, neverEnds } = world();
  const began = env.monotonicMs();
  const probe = async () => {
    await env.sleep(PROBE_MS_MAX);
    throw SILENT;
  };
  await t.throwsAsync(
    simulation.run(() => watched(env, { probe }, neverEnds)),
    { is: SILENT },
  );
  t.is(Math.round(env.monotonicMs() - began), WATCH_AFTER_MS + PROBE_MS_MAX);
});

test('a probe under way ends with the work, and its failure is nobody’s then', async (t) => {
  const { simulation, env, neverEnds } = world();
  let ended: unknown;
  const probe = async ({ signal }: { signal: AbortSignal }) => {
    await neverEnds(signal).catch((error: unknown) => {
      ended = error;
      throw error;
    });
  };
  const work = async () => {
    await env.sleep(WATCH_AFTER_MS + 1);
    return 'done';
  };
  t.is(await simulation.run(() => watched(env, { probe }, work)), 'done');
  t.like(ended, { code: 'CANCELLED' });
});

test('who cancels it cancels the work, before it began too', async (t) => {
  const { simulation, env, neverEnds } = world();
  const probe = async () => undefined;
  const cancelled = new GfsError('CANCELLED', 'enough');
  const controller = new AbortController();
  env.setTimer(10, () => controller.abort(cancelled));
  const { signal } = controller;
  await t.throwsAsync(
    simulation.run(() => watched(env, { signal, probe }, neverEnds)),
    { is: cancelled },
  );
  const again = watched(env, { signal, probe }, async (inner) => inner.aborted);
  t.true(await again);
});
