import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Connection, Listener } from '../../src/rpc/network.ts';
import { SimEnv } from '../sim/sim-env.ts';
import { SimNetwork } from '../sim/sim-network.ts';
import { Simulation } from '../sim/simulation.ts';
import { LogBook, type Pair, type PairOptions, TestServices } from './harness.ts';
import type { CuttableWire } from './wire.ts';

const MACHINE = '127.0.0.1';

/** An `Env` of the simulator whose lines a test can look at. */
class LoggedSimEnv extends SimEnv {
  override readonly log = new LogBook();
}

/** A server and a client on the simulated network, whose clock follows the real one: the suite waits in real time. */
export async function simPair(options: PairOptions): Promise<Pair> {
  const simulation = new Simulation(1);
  const network = new SimNetwork(simulation);
  network.callsInFlightMax = options.limits?.callsInFlightMax ?? network.callsInFlightMax;
  const env = new LoggedSimEnv(simulation, 'server and client');
  const services = new TestServices();
  const serve = (address: string): Promise<Listener> =>
    network.processView(env, MACHINE).listen(address, services.bindings(options.services));
  const connect = (address: string): Connection => network.processView(env, MACHINE).connect(address);
  const clock = followRealTime(simulation);
  const listener = await serve(`${MACHINE}:0`);
  return {
    transport: 'sim',
    services,
    listener,
    connection: connect(listener.address),
    env,
    log: env.log,
    connect: () => connect(listener.address),
    throughWire: async () => {
      let far = await serve(`${MACHINE}:0`);
      const { address } = far;
      const wire: CuttableWire = {
        cut: () => network.reset(MACHINE),
        close: () => far.close(),
        reopen: async () => {
          far = await serve(address);
        },
      };
      return { connection: connect(address), wire };
    },
    [Symbol.asyncDispose]: async () => {
      await listener.close();
      await clock.stop();
    },
  };
}

function followRealTime(simulation: Simulation): { stop(): Promise<void> } {
  const startMs = performance.now();
  let stopping = false;
  const turning = (async () => {
    while (!stopping) {
      await simulation.advance(performance.now() - startMs);
      await delay(1);
    }
  })();
  return {
    stop: async () => {
      stopping = true;
      await turning;
    },
  };
}
