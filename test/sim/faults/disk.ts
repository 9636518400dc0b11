import { ReplicaContent } from '../../../src/core/replica-content.ts';
import { parseReplicaName, replicaPaths } from '../../../src/storage/replica-files.ts';
import { scanLog } from '../../../src/storage/replica-recovery.ts';
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
 * Bits of replicas flip where they lie. On one machine in all of a run, and of chunks that two others hold whole: a block of
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
  const paths = disk.names
    .filePaths()
    .filter((path) => path.startsWith('/data/chunks/') && copiesOf(path, others) >= OTHER_COPIES_MIN);
  if (paths.length === 0) return;
  const path = dice.pick(paths);
  const { length } = disk.names.file(path);
  if (length > 0) disk.flipBit(path, dice.below(length), dice.below(8));
}

function copiesOf(path: string, others: readonly Node[]): number {
  const named = parseReplicaName(path.slice(path.lastIndexOf('/') + 1));
  if (named === undefined) return 0;
  return others.filter((server) => isWholeAt(server, named.chunk)).length;
}

/** Its log says so: a copy that was begun, and waits for its primary, holds nothing yet. */
function isWholeAt(node: Node, chunk: number): boolean {
  const content = contentAt(node, chunk);
  return content?.whole === true && content.length > 0;
}

/** What the machine's disk holds of the chunk; undefined: nothing. */
export function contentAt({ disk }: Node, chunk: number): ReplicaContent | undefined {
  const { log } = replicaPaths('/data/chunks', chunk);
  if (disk.names.find(log) === undefined) return undefined;
  const file = disk.names.file(log);
  const bytes = Buffer.alloc(file.length);
  file.read(bytes, 0);
  const scan = scanLog(bytes, chunk);
  if (scan === undefined) return undefined;
  const content = new ReplicaContent(scan.base, scan.baseInlineAt);
  for (const { record, inlineAt } of scan.changes) content.apply(record, inlineAt);
  return content;
}
