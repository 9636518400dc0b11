import type { Node } from '../node.ts';
import type { Fault, Scene } from './fault.ts';
import { cutPowerOfMaster } from './master-log.ts';

/** A machine is off, and what it had not synced is gone, or half there. */
export const POWER_CUTS: readonly Fault[] = [
  { name: 'power cut of a server', inject: (scene) => cut(scene, scene.dice.pick(scene.cluster.servers)) },
  { name: 'power cut of the master', inject: cutMaster },
  {
    name: 'power cut of all',
    inject: (scene) => {
      cutMaster(scene);
      for (const node of scene.cluster.servers) cut(scene, node);
    },
  },
];

function cut({ after }: Scene, node: Node): void {
  node.powerCut();
  after(() => node.start());
}

function cutMaster({ cluster, after }: Scene): void {
  cutPowerOfMaster(cluster);
  after(() => cluster.master.start());
}
