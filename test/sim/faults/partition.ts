import type { Fault, Scene } from './fault.ts';

/** Two machines do not hear each other, or only one of them the other. */
export const PARTITIONS: readonly Fault[] = [
  {
    name: 'partition',
    inject: (scene) => split(scene, (one, other) => scene.cluster.network.partition(one, other)),
  },
  {
    name: 'one-way partition',
    inject: (scene) => split(scene, (one, other) => scene.cluster.network.block(one, other)),
  },
  {
    name: 'isolation',
    inject: ({ cluster, dice, after }) => {
      const { network, nodes } = cluster;
      const alone = dice.pick(nodes);
      for (const node of nodes) if (node !== alone) network.partition(alone.name, node.name);
      after(() => {
        for (const node of nodes) if (node !== alone) network.heal(alone.name, node.name);
      });
    },
  },
];

function split({ cluster, dice, after }: Scene, block: (one: string, other: string) => void): void {
  const [one, other] = dice.shuffled(cluster.nodes);
  if (one === undefined || other === undefined) return;
  block(one.name, other.name);
  after(() => cluster.network.heal(one.name, other.name));
}
