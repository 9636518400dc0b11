import { SECOND_MS } from '../../../src/base/units.ts';
import type { Cluster } from '../cluster.ts';
import type { Node } from '../node.ts';
import type { Random } from '../random.ts';

export const FAULTS = [
  'kill server',
  'kill master',
  'kill client',
  'kill all',
  'power cut of a server',
  'power cut of the master',
  'power cut of all',
  'partition',
  'slow network',
  'slow disk',
] as const;

export type Fault = (typeof FAULTS)[number];

export interface FaultMixture {
  readonly faults: readonly Fault[];
  readonly pauseMsMax: number;
}

/** Half of the faults, and how often they come: each seed tries another mixture (a swarm). */
export function chooseFaults(dice: Random): FaultMixture {
  const faults = FAULTS.filter(() => dice.chance(0.5));
  return { faults, pauseMsMax: dice.pick([0.5, 2, 8]) * SECOND_MS };
}

/** Makes things go wrong until the time is over, then makes all of it good again. */
export async function injectFaults(
  cluster: Cluster,
  { faults, pauseMsMax }: FaultMixture,
  untilMs: number,
): Promise<void> {
  const { simulation, network } = cluster;
  const dice = simulation.random.fork('faults');
  while (faults.length > 0) {
    await simulation.sleep(dice.between(0, pauseMsMax));
    if (simulation.nowMs >= untilMs) break;
    const fault = dice.pick(faults);
    simulation.trace(`fault: ${fault}`);
    inject(fault, cluster, dice);
  }
  network.healAll();
  network.spikeChance = 0;
  for (const node of cluster.nodes) {
    node.disk.slowness = 1;
    node.start();
  }
}

function inject(fault: Fault, cluster: Cluster, dice: Random): void {
  const { network, master, servers, clients, nodes } = cluster;
  const downMs = dice.pick([0.01, 0.5, 4, 10]) * SECOND_MS * dice.next();
  const restart = (...some: readonly Node[]) => {
    for (const node of some) cluster.simulation.schedule(downMs * dice.between(0.5, 1), () => node.start());
  };
  switch (fault) {
    case 'kill server':
      kill(dice.pick(servers), restart);
      break;
    case 'kill master':
      kill(master, restart);
      break;
    case 'kill client':
      kill(dice.pick(clients), restart);
      break;
    case 'kill all':
      for (const node of dice.shuffled(nodes)) if (dice.chance(0.8)) kill(node, restart);
      break;
    case 'power cut of a server':
      powerCut(dice.pick(servers), restart);
      break;
    case 'power cut of the master':
      powerCut(master, restart);
      break;
    case 'power cut of all':
      for (const node of [master, ...servers]) powerCut(node, restart);
      break;
    case 'partition': {
      const [one, other] = dice.shuffled(nodes);
      if (one === undefined || other === undefined) break;
      network.partition(one.name, other.name);
      cluster.simulation.schedule(downMs, () => network.heal(one.name, other.name));
      break;
    }
    case 'slow network':
      network.spikeChance = dice.pick([0.01, 0.3]);
      network.spikeMsMax = dice.pick([20, 500]);
      cluster.simulation.schedule(downMs, () => {
        network.spikeChance = 0;
      });
      break;
    case 'slow disk': {
      const { disk } = dice.pick(nodes);
      disk.slowness = dice.pick([10, 100]);
      cluster.simulation.schedule(downMs, () => {
        disk.slowness = 1;
      });
      break;
    }
  }
}

function kill(node: Node, restart: (node: Node) => void): void {
  node.kill();
  restart(node);
}

function powerCut(node: Node, restart: (node: Node) => void): void {
  node.powerCut();
  restart(node);
}
