import type { Cluster } from '../cluster.ts';
import type { Node } from '../node.ts';
import type { Random } from '../random.ts';
import type { Fault } from './fault.ts';

/** Beside the rotten one. */
const OTHER_COPIES_MIN = 2;

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
 * Bits of replicas flip where they lie. On one machine in all of a run, and of chunks that two others hold too: a block of
 * which every copy is bad is gone, and nobody promised otherwise; nor that a chunk lives on when one of two copies rots, and
 * the other's server is left out before that is noticed.
 */
export const BIT_ROT: Fault = {
  name: 'bit flipped on a disk',
  inject: ({ cluster, dice }) => {
    const rotten = rottenOf(cluster);
    const others = cluster.servers.filter((server) => server !== rotten);
    flipOne(rotten, others, dice);
  },
};

/** The machine on whose disk bits flip, if any do. */
export function rottenOf({ servers, simulation }: Cluster): Node {
  return simulation.random.fork('rotten disk').pick(servers);
}

function flipOne({ disk }: Node, others: readonly Node[], dice: Random): void {
  const held = others.map((server) => new Set(server.disk.names.filePaths()));
  const paths = disk.names
    .filePaths()
    .filter((path) => path.startsWith('/data/chunks/') && copiesOf(path, held) >= OTHER_COPIES_MIN);
  if (paths.length === 0) return;
  const path = dice.pick(paths);
  const { length } = disk.names.file(path);
  if (length > 0) disk.flipBit(path, dice.below(length), dice.below(8));
}

/** A chunk's files have the same names everywhere; what has data in a file of its own has a log, too. */
function copiesOf(path: string, held: readonly ReadonlySet<string>[]): number {
  const log = path.replace(/\.\w+$/, '.log');
  return held.filter((paths) => paths.has(log)).length;
}
