import type { Node } from '../node.ts';
import type { Fault, Scene } from './fault.ts';

/** A machine is off, and what it had not synced is gone, or half there. */
export const POWER_CUTS: readonly Fault[] = [
  { name: 'power cut of a server', inject: (scene) => cut(scene, scene.dice.pick(scene.cluster.servers)) },
  { name: 'power cut of the master', inject: (scene) => cut(scene, scene.cluster.master) },
  {
    name: 'power cut of all',
    inject: (scene) => {
      for (const node of [scene.cluster.master, ...scene.cluster.servers]) cut(scene, node);
    },
  },
];

function cut({ after }: Scene, node: Node): void {
  node.powerCut();
  after(() => node.start());
}
