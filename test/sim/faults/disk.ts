import type { Cluster } from '../cluster.ts';
import type { Node } from '../node.ts';
import type { Random } from '../random.ts';
import type { Fault } from './fault.ts';

export const SLOW_DISK: Fault = {
  name: 'slow disk',
  inject: ({ cluster: { nodes }, dice, after }) => {
    const { disk } = dice.pick(nodes);
    disk.slowness = dice.pick([10, 100]);
    after(() => {
      disk.slowness = 1;
    });
  },
};

/** No file of a chunkserver can grow; what is there can be overwritten. */
export const FULL_DISK: Fault = {
  name: 'full disk',
  inject: ({ cluster: { servers }, dice, after }) => {
    const { disk } = dice.pick(servers);
    disk.fill();
    after(() => disk.empty());
  },
};

/**
 * Bits of replicas flip where they lie. On one machine in all of a run: a block of which every copy is bad is gone, and
 * nobody promised otherwise.
 */
export const BIT_ROT: Fault = {
  name: 'bit flipped on a disk',
  inject: ({ cluster, dice }) => {
    flipOne(rottenOf(cluster), dice);
  },
};

/** The machine on whose disk bits flip, if any do. */
export function rottenOf({ servers, simulation }: Cluster): Node {
  return simulation.random.fork('rotten disk').pick(servers);
}

function flipOne({ disk }: Node, dice: Random): void {
  const paths = disk.names.filePaths().filter((path) => path.startsWith('/data/chunks/'));
  if (paths.length === 0) return;
  const path = dice.pick(paths);
  const { length } = disk.names.file(path);
  if (length > 0) disk.flipBit(path, dice.below(length), dice.below(8));
}
