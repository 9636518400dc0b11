import type { Node } from '../node.ts';
import type { Fault, Scene } from './fault.ts';

/** kill -9, and started again. */
export const CRASHES: readonly Fault[] = [
  { name: 'kill a server', inject: (scene) => kill(scene, scene.dice.pick(scene.cluster.servers)) },
  { name: 'kill the master', inject: (scene) => kill(scene, scene.cluster.master) },
  { name: 'kill a client', inject: (scene) => kill(scene, scene.dice.pick(scene.cluster.clients)) },
  {
    name: 'kill all',
    inject: (scene) => {
      for (const node of scene.dice.shuffled(scene.cluster.nodes)) {
        if (scene.dice.chance(0.8)) kill(scene, node);
      }
    },
  },
];

function kill({ after }: Scene, node: Node): void {
  node.kill();
  after(() => node.start());
}
